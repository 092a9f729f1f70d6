"""What an ablation is of: a network, the layer of it, and the data that it is measured on.

`open_target` takes a network that `simtool train` made, on its own data, or one from somebody
else's code, on a folder of pictures. From there on there is one path, for both.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from simrun.errors import UsageError
from simtool.ablation.head import fit_head, named_head
from simtool.ablation.measure import Provenance
from simtool.ablation.record import AblationRecord
from simtool.data import CARRIED, load_split
from simtool.data.image_folder import ImageFolder, channels_named, class_folders
from simtool.data.tensors import to_tensors
from simtool.nets.base import Classifier
from simtool.nets.imported import ForeignNet, InputFormat, load_imported
from simtool.nets.layers import find_layer, last_spatial_layer
from simtool.nets.layout import check_layout
from simtool.runs.checkpoint import CHECKPOINT_FILE, Checkpoint, read_checkpoint
from simtool.runs.folder import ABLATION_FILE, ForeignConfig, RunFolder

log = logging.getLogger(__name__)

_EXAMPLES: Final = 16
"""Images of the data that a network is tried on before anything is measured."""

Reader = Callable[[NDArray[np.int64]], tuple[Tensor, Tensor]]
"""Indices -> images (n, C, H, W) float in [0, 1] and labels."""


@dataclass(frozen=True)
class Target:
    """A network whose layer is to be ablated, and the data to measure on."""

    network: Classifier
    """In evaluation mode, on the device that computes; its `layer` is the one."""
    read: Reader
    count: int
    """Images in the data."""
    provenance: Provenance
    device: str = "cpu"

    def example(self) -> Tensor:
        """A few images (N, C, H, W), evenly from the first to the last, on the device."""
        return _example(self.read, self.count).to(self.device)


@dataclass(frozen=True)
class OpenedRun:
    """A target, and the run folder that its ablation.json goes into."""

    target: Target
    folder: Path
    imported: tuple[ForeignConfig, Checkpoint] | None = None
    """What the folder needs besides, where no training wrote it."""

    def claim(self) -> None:
        """Refuse a folder that holds something else, before the work. Raises OutputError."""
        if self.imported is not None:
            self.imported[0].claim(self.folder)

    def save(self, record: AblationRecord) -> None:
        """Write what was measured. Raises OutputError where it cannot be written."""
        if self.imported is not None:
            config, checkpoint = self.imported
            config.save(self.folder, checkpoint)
            log.info("%s: %s and %s written", self.folder, CHECKPOINT_FILE, ABLATION_FILE)
        record.save(self.folder / ABLATION_FILE)


@dataclass(frozen=True)
class RunSource:
    """A network that `simtool train` made, on a split of the data that it was trained on."""

    folder: Path
    """Of the run."""
    data: Path | None = None
    """Where the data set is; None looks where it always is."""
    split: str = "train"

    def open(self, device: str) -> list[OpenedRun]:
        """Open run and data.

        Raises:
            ModelError: that is no run folder, or it is damaged.
            UsageError: it is the run of a network from --model.
            SourceError: the data cannot be read.
        """
        run = RunFolder.open(self.folder)
        checkpoint = read_checkpoint(self.folder)
        if checkpoint.foreign is not None:
            raise UsageError(
                f"{self.folder} is of --model {checkpoint.net}; give --model and --weights"
            )
        name = run.config().recipe.data
        carried = self.data is None and name in CARRIED
        images = load_split(name, self.split, self.folder if carried else self.data)
        network = checkpoint.build().to(device)
        provenance = Provenance(
            layer=network.spec.layer,
            split=self.split,
            data_sha256=images.sha256,
            checkpoint_sha256=checkpoint.sha256,
            classes=network.spec.classes,
        )
        target = Target(
            network=network,
            read=lambda indices: to_tensors(images, indices),
            count=len(images),
            provenance=provenance,
            device=device,
        )
        return [OpenedRun(target, self.folder)]


@dataclass(frozen=True)
class ModelSource:
    """Layers of a network from somebody else's code, on a folder of pictures."""

    factory: str
    """`package.module:factory`"""
    weights: Path
    """File of its state dict."""
    takes: InputFormat
    """What is known of its input."""
    data: Path
    """Folder of the pictures, a sub-folder a class."""
    folder: Path
    """The run folder to write; of several layers, the folder of theirs, by layer."""
    layers: Sequence[str] = ()
    """Names of modules; none takes the last one with maps."""

    def open(self, device: str) -> list[OpenedRun]:
        """Open network and pictures; a run for each layer.

        Raises:
            UsageError: an option, the factory or a layer is unknown or does not fit.
            ModelError: factory, weights or network cannot be used.
            SourceError: the pictures cannot be used.
        """
        network, weights = load_imported(self.factory, self.weights, self.takes)
        pictures, network = self._with_pictures(network.to(device))
        example = _example(pictures.tensors, len(pictures)).to(device)
        layers = tuple(self.layers) or (last_spatial_layer(network.model, example[:1]),)
        for layer in layers:
            # All first: a slip must not cost the others' time.
            find_layer(network.model, layer)
            check_layout(network.model, layer, example, chosen=not self.layers)
        several = len(layers) > 1
        return [
            self._opened(
                network.at(layer),
                weights,
                pictures,
                self.folder / layer if several else self.folder,
            )
            for layer in layers
        ]

    def _with_pictures(self, network: ForeignNet) -> tuple[ImageFolder, ForeignNet]:
        """The pictures, and the network answering with their classes."""
        spec = network.spec
        channels = channels_named(spec.channels)
        head = named_head(class_folders(self.data), self.takes, spec.classes)
        pictures = ImageFolder.open(self.data, spec.crop_size, channels, head.classes).readable()
        example = _example(pictures.tensors, len(pictures)).to(network.mean.device)
        head = replace(head, classes=pictures.classes)
        return pictures, fit_head(network, example, head, self.data)

    def _opened(
        self,
        network: ForeignNet,
        weights: Mapping[str, Tensor],
        pictures: ImageFolder,
        folder: Path,
    ) -> OpenedRun:
        layer = network.spec.layer
        checkpoint = Checkpoint(self.factory, 0, weights, {}, network.spec)
        provenance = Provenance(
            layer=layer,
            split="all",
            data_sha256=pictures.sha256,
            checkpoint_sha256=checkpoint.sha256,
            classes=pictures.classes,
        )
        device = str(network.mean.device)
        target = Target(network, pictures.tensors, len(pictures), provenance, device)
        config = ForeignConfig(self.factory, str(self.data), pictures.sha256, layer)
        return OpenedRun(target, folder, (config, checkpoint))


def open_target(source: RunSource | ModelSource, device: str = "cpu") -> list[OpenedRun]:
    """Open what is to be ablated; of a network from --model, a target for each layer.

    Raises:
        SimError: the errors of the source's `open`.
    """
    return source.open(device)


def _example(read: Reader, count: int) -> Tensor:
    # Two at least, even where they are the same one: a cut is planned with a batch.
    chosen = np.linspace(0, count - 1, max(2, min(count, _EXAMPLES))).round()
    return read(chosen.astype(np.int64))[0]
