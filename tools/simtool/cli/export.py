"""The command `simtool export`: a bundle out of a run, or of another bundle.

Heavy imports happen inside the functions, so that `--help` answers at once.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from simrun.config.options import expand_options
from simrun.errors import UsageError
from simtool.cli.options import (
    CriterionOption,
    DataOption,
    FactoryOption,
    PerClassOption,
    StandardiseOption,
    TemperatureOption,
    read_numbers,
)

if TYPE_CHECKING:
    from simtool.data import LabelledImages
    from simtool.export.ablated_model import AblatedModel
    from simtool.export.pipeline import Report
    from simtool.export.presets import ExportOptions
    from simtool.nets.imported import ForeignSpec
    from simtool.weighting.weigh import WeightingOptions

SHIPPED_MODEL: Final = "mnist-lenet"
_CALIBRATION_PICTURES: Final = 1000


class PoolChoice(StrEnum):
    """What becomes of pooling layers."""

    keep = "keep"
    drop = "drop"
    atrous = "atrous"


class PaddingChoice(StrEnum):
    """What becomes of the convolutions' padding."""

    valid = "valid"
    same = "same"


class FormatChoice(StrEnum):
    """Formats of other runtimes."""

    ort = "ort"
    openvino = "openvino"
    ncnn = "ncnn"


class PolarityChoice(StrEnum):
    """Which text the graph responds to."""

    bright = "bright"
    dark = "dark"
    both = "both"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(
        "export",
        epilog="Example: simtool export runs/mnist-lenet/seed-0 --polarity both --out models/mine",
    )(expand_options(export_command))


@dataclass(frozen=True)
class ExportArguments:
    """What `simtool export` was called with; None where an option was not given."""

    out: Annotated[Path, typer.Option("--out", help="Folder of the bundle; its name names it.")]
    run: Annotated[
        Path | None,
        typer.Argument(
            help="Run folder, or a bundle to export again with its own settings; without it, "
            "mnist-lenet, which has its checkpoint in the source tree and not in the wheel."
        ),
    ] = None
    model: FactoryOption = None
    data: DataOption = None
    weighting: Annotated[
        str | None,
        typer.Option(help="paper-printed, paper-code, uniform, softmax or signed."),
    ] = None
    criterion: CriterionOption = None
    temperature: TemperatureOption = None
    standardise: StandardiseOption = None
    per_class: PerClassOption = None
    pool: Annotated[
        PoolChoice | None,
        typer.Option(help="Keep pooling as trained, drop it, or pool at every pixel (atrous)."),
    ] = None
    padding: Annotated[
        PaddingChoice | None,
        typer.Option(help="Leave the convolutions' padding out (valid) or in (same)."),
    ] = None
    polarity: Annotated[
        PolarityChoice | None,
        typer.Option(help="Bright text on dark, dark on bright, or both."),
    ] = None
    static: Annotated[
        str | None,
        typer.Option(metavar="HxW", help="Fix the image size, for accelerators that need it."),
    ] = None
    side: Annotated[
        int | None, typer.Option(help="Working side that the bundle asks for, in pixels.")
    ] = None
    scales: Annotated[
        str | None, typer.Option(help="Image pyramid, factors of the side, such as 1,0.5.")
    ] = None
    map_threshold: Annotated[
        float | None, typer.Option(help="Heatmap value from which a cell belongs to a hotspot.")
    ] = None
    region_threshold: Annotated[
        float | None, typer.Option(help="Least mean heatmap value of a hotspot.")
    ] = None
    regions: Annotated[
        str | None,
        typer.Option(metavar="NAME=X,...", help="Rules of the regions step, such as min_height=7."),
    ] = None
    classifier: Annotated[
        Path | None,
        typer.Option(help="Run folder of the network that reads crops, where it is another one."),
    ] = None
    reader: Annotated[
        Path | None,
        typer.Option(help="Run folder of 'simtool train reader': whole lines are read by it."),
    ] = None
    formats: Annotated[
        list[FormatChoice] | None,
        typer.Option("--format", help="Write the graphs for another runtime too; may be repeated."),
    ] = None
    int8: Annotated[
        Path | None,
        typer.Option(
            metavar="PICTURES",
            help="Quantize the inner convolutions by a folder of pictures as the camera sees them.",
        ),
    ] = None
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the bundle there; keep its README.md.")
    ] = False


def export_command(arguments: ExportArguments) -> None:
    """Write a bundle: a graph to a heatmap, and what reads.

    Their record goes with them. The graph is compared with PyTorch at 20 sizes first, and each
    --format with the graph; nothing is written where they differ. With --int8, cost and results of
    both precisions are shown side by side. --int8, --static and --format are not kept when a bundle
    is exported again.
    """
    typer.echo(json.dumps(export(arguments), indent=1))


def export(arguments: ExportArguments) -> dict[str, Any]:
    """Export a run, or a bundle again, as a bundle; a summary.

    Raises:
        UsageError: an option cannot be read; and the errors of `open_ablated` and `export_bundle`.
    """
    from simtool.export.ablated_model import open_ablated, with_classifier, with_reader
    from simtool.export.pipeline import export_bundle
    from simtool.export.presets import preset

    source = Path(SHIPPED_MODEL) if arguments.run is None else arguments.run
    ablated = open_ablated(source, arguments.model)
    if arguments.classifier is not None:
        ablated = with_classifier(ablated, arguments.classifier)
    if arguments.classifier is not None and arguments.reader is not None:
        raise UsageError("a region is named by --classifier or read by --reader; leave one out")
    if arguments.reader is not None:
        ablated = with_reader(ablated, arguments.reader)
    options = export_options(preset(ablated), arguments)

    def load(split: str) -> LabelledImages:
        return _calibration_images(ablated, arguments, split)

    report = export_bundle(ablated, options, arguments.out, load, arguments.overwrite)
    return _summary(arguments.out, report)


def _summary(out: Path, report: Report) -> dict[str, Any]:
    return {
        "bundle": str(out),
        "stride": report.meta.stride,
        "offset": report.meta.offset,
        "receptive_field": report.meta.receptive_field,
        "difference_to_pytorch": {
            "localizer": report.localizer_difference,
            "recognition": report.recognition_difference,
        },
        "difference_of_formats": report.format_differences,
        "int8": report.comparison and report.comparison.to_json(),
        "weighting": report.weighting.to_json(),
        "calibration": report.meta.export["calibration"],
        "bytes": report.sizes,
    }


def _calibration_images(
    ablated: AblatedModel, arguments: ExportArguments, split: str
) -> LabelledImages:
    """A split of what the network was ablated on, from --data or from where it was."""
    from simtool.data import CARRIED, load_split

    foreign = ablated.checkpoint.foreign
    if foreign is not None:
        return _pictures(foreign, arguments.data or Path(ablated.provenance.data), split)
    carried = ablated.provenance.data in CARRIED and ablated.previous is None
    folder = arguments.run if carried and arguments.data is None else arguments.data
    return load_split(ablated.provenance.data, split, folder)


def _pictures(spec: ForeignSpec, folder: Path, split: str) -> LabelledImages:
    """At most 1000 pictures of a folder, evenly spread: enough to calibrate."""
    import numpy as np

    from simtool.data.image_folder import ImageFolder, channels_named
    from simtool.data.subsampling import subsampling_step

    pictures = ImageFolder.open(folder, spec.crop_size, channels_named(spec.channels), spec.classes)
    step = subsampling_step(len(pictures), _CALIBRATION_PICTURES)
    chosen = pictures.subset(np.arange(0, len(pictures), step)).readable()
    return chosen.labelled(np.arange(len(chosen)), split)


def export_options(defaults: ExportOptions, arguments: ExportArguments) -> ExportOptions:
    """The options asked for, over the defaults. Raises UsageError where one cannot be read."""
    static, scales, rules = arguments.static, arguments.scales, arguments.regions
    given: dict[str, Any] = {
        "weighting": arguments.weighting,
        "pool": arguments.pool and str(arguments.pool),
        "padding": arguments.padding and str(arguments.padding),
        "polarity": arguments.polarity and str(arguments.polarity),
        "static_size": None if static is None else _size(static),
        "side": arguments.side,
        "scales": None if scales is None else read_numbers("--scales", scales, "1,0.5"),
        "map_threshold": arguments.map_threshold,
        "region_threshold": arguments.region_threshold,
        "regions": None if rules is None else _rules(rules),
        "formats": tuple(str(choice) for choice in arguments.formats or ()),
        "int8": arguments.int8,
    }
    asked = {name: value for name, value in given.items() if value is not None}
    return replace(defaults, **asked, weights=_weights(defaults, arguments))


def _weights(defaults: ExportOptions, arguments: ExportArguments) -> WeightingOptions:
    from simtool.weighting.weigh import weighting_options

    given: dict[str, Any] = {
        "criterion": arguments.criterion,
        "temperature": arguments.temperature,
        "standardise": arguments.standardise,
        "per_class": arguments.per_class,
    }
    if arguments.weighting is not None:
        # Another method: the options of the former one mean nothing to it.
        return weighting_options(arguments.weighting, **given)
    return replace(
        defaults.weights, **{name: value for name, value in given.items() if value is not None}
    )


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise UsageError(f"--static is {text!r}; it must be HxW, such as 480x640")
    return int(match[1]), int(match[2])


def _rules(text: str) -> dict[str, float]:
    """Rules of the regions step, as `name=number,...`."""
    from simrun.localization.regions import RULES

    rules = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        if name not in RULES:
            raise UsageError(f"--regions has no rule {name!r}; known: {', '.join(sorted(RULES))}")
        try:
            rules[name] = float(value)
        except ValueError as error:
            raise UsageError(f"--regions {name} is {value!r}; it must be a number") from error
    return rules
