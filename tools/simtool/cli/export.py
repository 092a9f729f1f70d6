"""The command `simtool export`.

Heavy imports happen inside the command, so that `--help` answers at once.
"""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from simtool.cli.options import (
    CriterionOption,
    DataOption,
    PerClassOption,
    StandardiseOption,
    TemperatureOption,
)


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
    )(export_command)


def export_command(
    out: Annotated[Path, typer.Option("--out", help="Folder of the bundle; its name names it.")],
    run: Annotated[
        Path | None,
        typer.Argument(
            help="Run folder, or a bundle to export again with its own settings; without it, "
            "mnist-lenet, which has its checkpoint in the source tree and not in the wheel."
        ),
    ] = None,
    data: DataOption = None,
    weighting: Annotated[
        str | None,
        typer.Option(help="paper-printed, paper-code, uniform, softmax or signed."),
    ] = None,
    criterion: CriterionOption = None,
    temperature: TemperatureOption = None,
    standardise: StandardiseOption = None,
    per_class: PerClassOption = None,
    pool: Annotated[
        PoolChoice | None,
        typer.Option(help="Keep pooling as trained, drop it, or pool at every pixel (atrous)."),
    ] = None,
    padding: Annotated[
        PaddingChoice | None,
        typer.Option(help="Leave the convolutions' padding out (valid) or in (same)."),
    ] = None,
    polarity: Annotated[
        PolarityChoice | None,
        typer.Option(help="Bright text on dark, dark on bright, or both."),
    ] = None,
    static: Annotated[
        str | None,
        typer.Option(metavar="HxW", help="Fix the image size, for accelerators that need it."),
    ] = None,
    side: Annotated[
        int | None, typer.Option(help="Working side that the bundle asks for, in pixels.")
    ] = None,
    scales: Annotated[
        str | None, typer.Option(help="Image pyramid, factors of the side, such as 1,0.5.")
    ] = None,
    map_threshold: Annotated[
        float | None, typer.Option(help="Heatmap value from which a cell belongs to a hotspot.")
    ] = None,
    region_threshold: Annotated[
        float | None, typer.Option(help="Least mean heatmap value of a hotspot.")
    ] = None,
    regions: Annotated[
        str | None,
        typer.Option(metavar="NAME=X,...", help="Rules of the regions step, such as min_height=7."),
    ] = None,
    classifier: Annotated[
        Path | None,
        typer.Option(help="Run folder of the network that reads crops, where it is another one."),
    ] = None,
    formats: Annotated[
        list[FormatChoice] | None,
        typer.Option("--format", help="Write the graphs for another runtime too; may be repeated."),
    ] = None,
    int8: Annotated[
        Path | None,
        typer.Option(
            metavar="PICTURES",
            help="Quantize the inner convolutions by a folder of pictures as the camera sees them.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the bundle there; keep its README.md.")
    ] = False,
) -> None:
    """Write a bundle: a graph to a heatmap, and a classifier.

    Their record goes with them. The graph is compared with PyTorch at 20 sizes first, and each
    --format with the graph; nothing is written where they differ. With --int8, cost and results of
    both precisions are shown side by side. --int8, --static and --format are not kept when a bundle
    is exported again.
    """
    from simtool.commands.export_run import ExportRequest, export_run

    request = ExportRequest(
        weighting=weighting,
        criterion=criterion,
        temperature=temperature,
        standardise=standardise,
        per_class=per_class,
        pool=pool and pool.value,
        padding=padding and padding.value,
        polarity=polarity and polarity.value,
        static=static,
        side=side,
        scales=scales,
        map_threshold=map_threshold,
        region_threshold=region_threshold,
        regions=regions,
        formats=tuple(choice.value for choice in formats or ()),
        int8=int8,
    )
    typer.echo(json.dumps(export_run(run, out, data, request, overwrite, classifier), indent=1))
