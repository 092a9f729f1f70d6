"""What a training run came to: its accuracy, filters and weights, and the paper's Figure 2."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from torch import nn

from simrun.errors import ModelError, SourceError
from simrun.localizer import Localizer
from simtool.ablation.record import AblationRecord, read_ablation
from simtool.files import read_json
from simtool.reporting.figure2 import Figure2Row, compare, find_annotations, list_pictures
from simtool.reporting.maps_by_weighting import PictureMaps, map_pictures
from simtool.runs.checkpoint import read_checkpoint
from simtool.runs.folder import SUMMARY_FILE, RunConfig, RunFolder
from simtool.weighting.weigh import Weighting, WeightingOptions, weigh

log = logging.getLogger(__name__)

_MOST_PICTURES: Final = 12
"""Pictures that are shown by each weighting: the page holds them all."""
WEIGHTINGS: Final[tuple[tuple[str, str, WeightingOptions], ...]] = (
    ("paper-printed", "paper-printed", WeightingOptions()),
    ("paper-code", "paper-code", WeightingOptions()),
    ("uniform", "uniform", WeightingOptions()),
    ("softmax", "softmax", WeightingOptions()),
    ("softmax, standardised", "softmax", WeightingOptions(standardise=True)),
    ("signed", "signed", WeightingOptions()),
)
"""Title, method and options of each weighting that is shown."""


@dataclass(frozen=True)
class RunReport:
    """Everything that the page says of the run itself."""

    name: str
    config: RunConfig | None
    """None for a network from --model, which was trained elsewhere."""
    history: Sequence[Mapping[str, Any]]
    """A record an epoch: loss, test accuracy. Empty for a network from --model."""
    seeds: Mapping[str, Any] | None
    """Mean and standard deviation over seeds, where the run is one of several."""
    record: AblationRecord
    checkpoint_sha256: str
    kernels: NDArray[np.float64] | None
    """(K, I, h, w) of the convolution behind the ablated layer; None where they are too many."""
    weightings: Mapping[str, Weighting]
    """By title."""
    impossible: Mapping[str, str]
    """Weightings that cannot be made from this ablation, by title, and why."""


@dataclass(frozen=True)
class Figure2:
    """Everything that the page says of pictures."""

    localizer: Localizer
    comparisons: tuple[Figure2Row, ...]
    bad: Mapping[str, str]
    """Pictures that could not be compared, and why."""


def read_run(folder: Path) -> RunReport:
    """Read and check a run folder.

    Raises:
        ModelError: it is no run, is not trained or not ablated, or a file in it is damaged.
    """
    run = RunFolder.open(folder)
    checkpoint = read_checkpoint(folder)
    record = read_ablation(folder, checkpoint)
    weightings, impossible = _weigh_all(record)
    if checkpoint.foreign is not None:
        return RunReport(
            name=f"{checkpoint.net}, layer {record.layer}",
            config=None,
            history=(),
            seeds=None,
            record=record,
            checkpoint_sha256=checkpoint.sha256,
            kernels=None,
            weightings=weightings,
            impossible=impossible,
        )
    config = run.config()
    summary = folder.parent / SUMMARY_FILE
    return RunReport(
        name=f"{config.recipe.name}, seed {config.seed}",
        config=config,
        history=run.history(checkpoint.epoch),
        seeds=read_json(summary) if summary.is_file() else None,
        record=record,
        checkpoint_sha256=checkpoint.sha256,
        kernels=_last_kernels(checkpoint.build().export_trunk(), record.filters),
        weightings=weightings,
        impossible=impossible,
    )


def picture_maps(
    folder: Path, report: RunReport, pictures: Path, factory: str | None = None
) -> Iterator[PictureMaps]:
    """The pictures of a folder by each weighting of a run; a damaged one is passed over.

    `factory` is the one that the user named, where the network is from elsewhere.

    Raises:
        ModelError: the network cannot be cut at its layer.
        SourceError: there is no picture.
        UsageError: the network's factory is not the one that the user named.
    """
    net = read_checkpoint(folder).trusting(factory).build()
    for path in list_pictures(pictures)[:_MOST_PICTURES]:
        try:
            yield from map_pictures(net, report.weightings, [path])
        except SourceError as error:
            log.error("%s", error)  # noqa: TRY400 - the message says it all


def compare_pictures(folder: Path, localizer: Localizer) -> Figure2:
    """Figure 2 for every picture of a folder; one that cannot be used is logged and passed over.

    Raises:
        SourceError: there is no picture, or annotations are damaged.
    """
    annotations = find_annotations(folder)
    comparisons, bad = [], {}
    for path in list_pictures(folder):
        try:
            comparisons.append(compare(path, localizer, annotations.get(path.name)))
        except SourceError as error:
            log.error("%s", error)  # noqa: TRY400 - the message says it all
            bad[path.name] = str(error)
    return Figure2(localizer, tuple(comparisons), bad)


def _weigh_all(record: AblationRecord) -> tuple[dict[str, Weighting], dict[str, str]]:
    """Every weighting by title, and why the others cannot be made."""
    weightings, impossible = {}, {}
    for title, name, options in WEIGHTINGS:
        try:
            weightings[title] = weigh(record, name, options)
        except ModelError as error:
            impossible[title] = str(error)
    return weightings, impossible


def _last_kernels(trunk: nn.Module, filters: int) -> NDArray[np.float64]:
    """(K, I, h, w) weights of the last convolution of a trunk."""
    convolutions = [module for module in trunk.modules() if isinstance(module, nn.Conv2d)]
    if not convolutions or convolutions[-1].out_channels != filters:
        raise ModelError(f"the network's last convolution does not have the {filters} ablated maps")
    return np.asarray(convolutions[-1].weight.detach().numpy(), np.float64)
