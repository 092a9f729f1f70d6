"""Export of a trained and ablated network as a bundle that `simrun` runs.

One stage after the other: open the networks, build the graph of H, export the graphs, describe
them, quantize where asked to, write.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from simrun.bundle.load import METADATA_FILE
from simrun.bundle.metadata import BundleMeta
from simtool.data import LabelledImages
from simtool.export.ablated_model import AblatedModel
from simtool.export.bundle_graphs import Wanted, export_graphs
from simtool.export.formats import WITHOUT_SPACE_TO_DEPTH, convert_all, require_format
from simtool.export.int8.compare import PrecisionComparison
from simtool.export.int8.export import Samples, to_int8
from simtool.export.localizer import build_localizer
from simtool.export.metadata import bundle_metadata
from simtool.export.presets import ExportOptions
from simtool.export.recognition import labelling_of
from simtool.export.writer import bundle_files, keep_points, kept_card, origin_files
from simtool.files import check_target, write_folder
from simtool.weighting.weigh import Weighting

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Report:
    """What an export made."""

    meta: BundleMeta
    weighting: Weighting
    localizer_difference: float
    """Largest absolute difference between graph, in single precision, and PyTorch."""
    recognition_difference: float
    """The same of the classifier or reader."""
    sizes: dict[str, int]
    """File name -> bytes."""
    format_differences: dict[str, float]
    """Format -> largest absolute difference between it and the ONNX graphs."""
    comparison: PrecisionComparison | None
    """Of int8 with single precision, where that was asked for."""


def export_bundle(
    ablated: AblatedModel,
    options: ExportOptions,
    target: Path,
    load: Callable[[str], LabelledImages],
    overwrite: bool = False,
) -> Report:
    """Write the bundle `target`, whole or not at all.

    Args:
        ablated: the network and its ablation.
        options: how.
        target: the folder; its name is the model's.
        load: gives the split of that name of the training data. It is called only where the
            bundle that is exported again does not hold the calibration already.
        overwrite: replace a bundle that is there; its README.md is kept.

    Raises:
        OutputError: `target` is not empty, or cannot be written.
        UsageError: the weighting or its options are impossible, or a format's converter is missing.
        ModelError: the network cannot be exported, the graph differs from PyTorch, or a format from
            the graph.
        SourceError: the data that the calibration needs, or pictures for int8, cannot be read.
    """
    for name in options.formats:
        require_format(name, int8=options.int8 is not None)
    samples = None if options.int8 is None else Samples.open(options.int8)
    check_target(target, mark=METADATA_FILE, overwrite=overwrite)
    card = kept_card(target)
    nets = ablated.networks()
    built = build_localizer(nets.localizer, ablated.ablation, options, load, ablated.previous)
    wanted = Wanted(
        options.static_size,
        plain=any(name in WITHOUT_SPACE_TO_DEPTH for name in options.formats),
        unfolded=samples is not None,
    )
    graphs = export_graphs(built, nets.recognition, wanted)
    labelling = labelling_of(nets, ablated.previous)
    localizer, comparison = graphs.localizer.model, None
    meta = bundle_metadata(
        target.resolve().name,
        built,
        labelling,
        ablated.provenance,
        ablated.ablation,
        options,
        opset=localizer.opset_import[0].version,
    )
    if samples is not None and graphs.unfolded is not None:
        localizer, meta, comparison = to_int8(localizer, graphs.unfolded, meta, samples)
    meta = keep_points(meta, ablated.previous)
    read = {labelling.file: graphs.recognition.content}
    made = bundle_files(meta, localizer, read) | origin_files(ablated)
    converted, differences = convert_all(options.formats, graphs, made)
    contents = card | made | converted
    write_folder(target, contents, mark=METADATA_FILE, overwrite=overwrite)
    log.info("%s: graph and PyTorch differ by at most %.1e", target, graphs.localizer.difference)
    return Report(
        meta=meta,
        weighting=built.weighting,
        localizer_difference=graphs.localizer.difference,
        recognition_difference=graphs.recognition.difference,
        sizes={name: len(content) for name, content in contents.items()},
        format_differences=differences,
        comparison=comparison,
    )
