"""What an ablation is of: a network, the layer of it, and the data that it is measured on.

`open_run` takes a network that `simtool train` made, on its own data; `open_model` one from
somebody else's code, on a folder of pictures. From there on there is one path, for both.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simrun.errors import ModelError, SourceError, UsageError, first_line
from simtool.ablation.measure import Provenance
from simtool.ablation.record import AblationRecord
from simtool.data import CARRIED, load_split
from simtool.data.image_folder import ImageFolder, channels_named
from simtool.data.tensors import to_tensors
from simtool.nets.base import Classifier
from simtool.nets.imported import ForeignNet, InputFormat, load_imported
from simtool.nets.layers import find_layer, last_spatial_layer
from simtool.runs.checkpoint import CHECKPOINT_FILE, Checkpoint, read_checkpoint
from simtool.runs.folder import ABLATION_FILE, ForeignConfig, RunFolder

log = logging.getLogger(__name__)

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
        """Two images (2, C, H, W), the first and the last, on the device."""
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


def open_run(folder: Path, data: Path | None, split: str, device: str = "cpu") -> OpenedRun:
    """Open the network of a run folder and a split of the data that it was trained on.

    Args:
        folder: of the run.
        data: where the data set is; None looks where it always is.
        split: its name, such as "train".
        device: cpu or cuda.

    Raises:
        ModelError: that is no run folder, or it is damaged.
        UsageError: it is the run of a network from --model.
        SourceError: the data cannot be read.
    """
    run = RunFolder.open(folder)
    checkpoint = read_checkpoint(folder)
    if checkpoint.foreign is not None:
        raise UsageError(f"{folder} is of --model {checkpoint.net}; give --model and --weights")
    name = run.config().recipe.data
    images = load_split(name, split, folder if data is None and name in CARRIED else data)
    network = checkpoint.build().to(device)
    provenance = Provenance(
        layer=network.spec.layer,
        split=split,
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
    return OpenedRun(target, folder)


def open_model(
    factory: str,
    weights: Path,
    takes: InputFormat,
    data: Path,
    folder: Path,
    layers: Sequence[str] = (),
    device: str = "cpu",
) -> list[OpenedRun]:
    """Open layers of a network from somebody else's code, with a folder of pictures.

    Args:
        factory: `package.module:factory`.
        weights: file of its state dict.
        takes: what is known of its input.
        data: folder of the pictures, a sub-folder a class.
        folder: the run folder to write; of several layers, the folder of theirs, by layer.
        layers: names of modules; none takes the last one with maps.
        device: cpu or cuda.

    Raises:
        UsageError: an option, the factory or a layer is unknown or does not fit.
        ModelError: factory, weights or network cannot be used.
        SourceError: the pictures cannot be used.
    """
    network, tensors = load_imported(factory, weights, takes)
    spec = network.spec
    pictures = ImageFolder.open(
        data, spec.crop_size, channels_named(spec.channels), spec.classes or None
    )
    network = network.to(device)
    example = _example(pictures.tensors, len(pictures)).to(device)
    _check_head(network, example, pictures)
    chosen = tuple(layers) or (last_spatial_layer(network.model, example[:1]),)
    for layer in chosen:
        find_layer(network.model, layer)  # all names first: a slip must not cost the others' time
    opened = []
    for layer in chosen:
        cut = network.at(layer, pictures.classes)
        checkpoint = Checkpoint(factory, 0, tensors, {}, cut.spec)
        provenance = Provenance(
            layer=layer,
            split="all",
            data_sha256=pictures.sha256,
            checkpoint_sha256=checkpoint.sha256,
            classes=pictures.classes,
        )
        target = Target(cut, pictures.tensors, len(pictures), provenance, device)
        place = folder / layer if len(chosen) > 1 else folder
        config = ForeignConfig(factory, str(data), pictures.sha256, layer)
        opened.append(OpenedRun(target, place, (config, checkpoint)))
    return opened


def _example(read: Reader, count: int) -> Tensor:
    return read(np.array([0, count - 1], np.int64))[0]


def _check_head(net: ForeignNet, example: Tensor, data: ImageFolder) -> None:
    """Run two pictures. Raises ModelError, UsageError or SourceError where that does not work."""
    try:
        with torch.inference_mode():
            logits: object = net(example)
    except RuntimeError as error:
        raise ModelError(
            f"the network fails on images {tuple(example.shape[1:])} ({first_line(error)}); check "
            "--channels and --size"
        ) from error
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ModelError(
            f"the network gives {shape}, not logits (N, classes); wrap it in a factory"
        )
    if logits.shape[1] != len(data.classes):
        raise SourceError(
            f"the network's head has {logits.shape[1]} classes, {data.root} has "
            f"{len(data.classes)} class folders; name the head's in its order with --classes"
        )
    if not bool(torch.isfinite(logits).all()):
        raise ModelError(
            "the network gives logits that are not finite (NaN or infinity); check its weights and "
            "the normalisation (--mean, --std)"
        )
