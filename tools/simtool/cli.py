"""The command line `simtool`: train -> ablate -> export -> eval, report.

Heavy imports happen inside the commands, so that `--help` answers at once. Results go to stdout,
everything else to stderr.
"""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from simrun.console import run_app
from simtool import commands_calibrate, commands_eval, commands_fetch, commands_report

app = typer.Typer(
    help="Train a classifier, find out which of its last filters matter, and export a localizer.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Errors are one line; add --debug anywhere for the traceback.",
)

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="Folder of the data set. Without it, the folder named by SIMTOOL_DATA is used, or the "
        "data is downloaded.",
    ),
]

CriterionOption = Annotated[
    str | None,
    typer.Option("--criterion", help="error, loss or logit; each weighting has its own default."),
]
TemperatureOption = Annotated[
    float | None,
    typer.Option("--temperature", help="Of softmax: below 1 sharper, above 1 flatter."),
]
StandardiseOption = Annotated[
    bool | None,
    typer.Option(
        "--standardise/--raw", help="Of softmax: bring the values to mean 0 and deviation 1 first."
    ),
]
PerClassOption = Annotated[
    bool | None,
    typer.Option("--per-class/--overall", help="A row of weights, and a heatmap, for each class."),
]


class PoolChoice(StrEnum):
    """What becomes of pooling layers."""

    keep = "keep"
    drop = "drop"
    atrous = "atrous"


class PaddingChoice(StrEnum):
    """What becomes of the convolutions' padding."""

    valid = "valid"
    same = "same"


class PolarityChoice(StrEnum):
    """Which text the graph responds to."""

    bright = "bright"
    dark = "dark"
    both = "both"


@app.callback()
def _options() -> None:
    """Keeps the commands named, even while there is only one."""


@app.command(
    "train",
    epilog="Example: simtool train mnist-lenet --seeds 5 --out runs/mnist-lenet",
)
def train_command(
    recipe: Annotated[
        str, typer.Argument(help="Name of the recipe: mnist-lenet, scene-text, characters.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Run folder to write.")],
    data: DataOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the weights and the order.")] = 0,
    seeds: Annotated[
        int | None,
        typer.Option(min=1, help="Train that many seeds, from 0, and summarise them."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Of scene-text: gradient steps in place of the recipe's.")
    ] = None,
) -> None:
    """Train a classifier by a recipe.

    Stopped by Ctrl-C, it keeps the last whole epoch; the same command again goes on from there,
    to the same result.
    """
    from simtool.commands import train_run

    _print(train_run(recipe, out, data, seed, seeds, steps))


@app.command(
    "ablate",
    epilog="Example: simtool ablate runs/mnist-lenet/seed-0 --split train --weighting paper-code",
)
def ablate_command(
    run: Annotated[Path, typer.Argument(help="Run folder of a trained network.")],
    data: DataOption = None,
    split: Annotated[str, typer.Option(help="Split of the data to measure on.")] = "train",
    weighting: Annotated[
        str, typer.Option(help="Weighting whose weights are printed; ablation.json serves all.")
    ] = "signed",
    criterion: CriterionOption = None,
    temperature: TemperatureOption = None,
    standardise: StandardiseOption = None,
    per_class: PerClassOption = None,
    chunk: Annotated[
        int, typer.Option(min=1, help="Filters blocked at once: memory for speed.")
    ] = 8,
    resamples: Annotated[int, typer.Option(min=2, help="Resamples of the bootstrap.")] = 1000,
    level: Annotated[float, typer.Option(help="Coverage of the bootstrap intervals.")] = 0.95,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
) -> None:
    """Measure how much worse the classifier gets without each filter of its last layer.

    The error, the loss and the true class's logit are measured together, overall and per class,
    with a bootstrap interval per filter, and written to ablation.json in the run folder.
    """
    from simtool.ablation import AblationOptions
    from simtool.commands import ablate_run, weighting_options

    weights = weighting_options(weighting, criterion, temperature, standardise, per_class)
    options = AblationOptions(chunk, resamples, level, seed)
    _print(ablate_run(run, data, split, weighting, weights, options))


@app.command(
    "export",
    epilog="Example: simtool export runs/mnist-lenet/seed-0 --polarity both --out models/mine",
)
def export_command(
    out: Annotated[Path, typer.Option("--out", help="Folder of the bundle; its name names it.")],
    run: Annotated[
        Path | None,
        typer.Argument(
            help="Run folder, or a bundle to export again with its own settings; without it, the "
            "shipped mnist-lenet."
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
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the bundle there; keep its README.md.")
    ] = False,
) -> None:
    """Write a bundle: one graph from image to heatmap, the classifier, and their record.

    The graph is compared with PyTorch at 20 sizes first; nothing is written where they differ.
    """
    from simtool.commands import ExportRequest, export_run

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
    )
    _print(export_run(run, out, data, request, overwrite, classifier))


commands_calibrate.register(app)
commands_eval.register(app)
commands_fetch.register(app)
commands_report.register(app)


def _print(result: dict[str, Any]) -> None:
    """A command's result on stdout, as JSON."""
    typer.echo(json.dumps(result, indent=1))


def main() -> None:
    """Entry point of the program `simtool`."""
    run_app(app, "simtool")
