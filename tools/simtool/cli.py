"""The command line `simtool`: train -> ablate -> export -> eval, report.

Heavy imports happen inside the commands, so that `--help` answers at once. Results go to stdout,
everything else to stderr.
"""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from simrun.console import run_app
from simrun.errors import UsageError
from simtool import (
    commands_calibrate,
    commands_compose,
    commands_eval,
    commands_fetch,
    commands_report,
)

TRAIN_MODULES: Final = frozenset(
    {"torch", "onnx", "onnxscript", "safetensors", "pooch", "matplotlib", "PIL", "fontTools"}
)
"""What the extra [train] brings: the wheel has these commands, the base install not their needs."""

app = typer.Typer(
    help="Train a classifier, find out which of its last filters matter, and export a localizer.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    epilog="Example: simtool export --out mine\n\n"
    "Errors are one line; add --debug anywhere for the traceback.",
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
    typer.Option(
        "--criterion", help="error, loss, logit or margin; each weighting has its own default."
    ),
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


class ChannelsChoice(StrEnum):
    """What a network takes."""

    grey = "grey"
    rgb = "rgb"


@app.callback()
def _options() -> None:
    """Keeps the commands named, even while there is only one."""


@app.command(
    "train",
    epilog="Example: simtool train mnist-lenet --seeds 5 --out runs/mnist-lenet",
)
def train_command(
    recipe: Annotated[
        str,
        typer.Argument(
            help="Name of the recipe: mnist-lenet, scene-text, characters; folder for classes of "
            "your own."
        ),
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
    background: Annotated[
        Path | None,
        typer.Option(help="Of folder: photos without your things; textures are made without it."),
    ] = None,
    channels: Annotated[
        ChannelsChoice | None,
        typer.Option(help="Of folder: grey or rgb; by the pictures if not given."),
    ] = None,
) -> None:
    """Train a classifier by a recipe.

    Stopped by Ctrl-C, it keeps the last whole epoch; the same command again goes on from there,
    to the same result.
    """
    from simtool.commands import composed_of, train_run

    composed = composed_of(background, channels and channels.value)
    result = train_run(recipe, out, data, seed, seeds, steps, composed)
    if result is not None:
        _print(result)


@app.command(
    "ablate",
    epilog="Example: simtool ablate --model mynet:build --weights mynet.pt --layer layer4 "
    "--data pictures/ --out runs/mynet",
)
def ablate_command(
    run: Annotated[
        Path | None,
        typer.Argument(help="Run folder of a trained network, unless --model is given."),
    ] = None,
    data: DataOption = None,
    split: Annotated[str, typer.Option(help="Split of a run's data to measure on.")] = "train",
    model: Annotated[
        str | None,
        typer.Option(help="package.module:factory of your own network, called without arguments."),
    ] = None,
    weights_files: Annotated[
        list[Path] | None,
        typer.Option(
            "--weights", help="Its state dict, .pt or .safetensors; several to compare checkpoints."
        ),
    ] = None,
    layer: Annotated[
        list[str] | None,
        typer.Option(help="Layer of it, by name; several are possible. Without: the last spatial."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Run folder to write for it.")] = None,
    channels: Annotated[
        ChannelsChoice | None, typer.Option(help="What it takes; rgb if not given.")
    ] = None,
    size: Annotated[
        int | None, typer.Option(help="Side of the images it takes, in pixels; 224 if not given.")
    ] = None,
    mean: Annotated[
        str | None, typer.Option(help="Its normalisation, of values in [0, 1]: 0.5 or 0.5,0.5,0.4.")
    ] = None,
    std: Annotated[str | None, typer.Option(help="The same, what is divided by.")] = None,
    classes: Annotated[
        str | None,
        typer.Option(help="Class folders in the order of its outputs: cat,dog. By name if not."),
    ] = None,
    weighting: Annotated[
        str, typer.Option(help="Weighting whose weights are printed; ablation.json serves all.")
    ] = "signed",
    criterion: CriterionOption = None,
    temperature: TemperatureOption = None,
    standardise: StandardiseOption = None,
    per_class: PerClassOption = None,
    baseline: Annotated[
        str, typer.Option(help="What a blocked filter answers: zero, or its mean over the data.")
    ] = "zero",
    chunk: Annotated[
        int | None, typer.Option(min=1, help="Filters blocked at once; by the memory if not given.")
    ] = None,
    memory_mb: Annotated[
        int, typer.Option("--memory-mb", min=1, help="Working memory to keep to, in MiB.")
    ] = 1024,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    deletion: Annotated[
        bool, typer.Option(help="Measure the deletion curve too, on at most 2000 images.")
    ] = True,
    resamples: Annotated[int, typer.Option(min=2, help="Resamples of the bootstrap.")] = 1000,
    level: Annotated[float, typer.Option(help="Coverage of the bootstrap intervals.")] = 0.95,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
    seeds: Annotated[
        bool, typer.Option("--seeds", help="RUN holds several seeds: ablate every one.")
    ] = False,
) -> None:
    """Measure what each filter of a layer is worth.

    That is, how much worse the classifier gets without it. Error, loss, logit and margin are
    measured together, overall and per class, with a bootstrap interval per filter, and written to
    ablation.json in the run folder. Under torchrun the processes share the data.
    """
    from simtool.ablation import AblationOptions
    from simtool.commands import weighting_options
    from simtool.commands_ablate import AblateRequest, ablate_any

    weights = weighting_options(weighting, criterion, temperature, standardise, per_class)
    options = AblationOptions(chunk, resamples, level, seed, memory_mb, baseline)
    request = AblateRequest(
        run=run,
        data=data,
        split=split,
        model=model,
        weights=tuple(weights_files or ()),
        layers=tuple(layer or ()),
        out=out,
        channels=channels and channels.value,
        size=size,
        mean=mean,
        std=std,
        classes=classes,
        device=device,
        deletion=deletion,
        seeds=seeds,
    )
    result = ablate_any(request, options, weighting, weights)
    if result is not None:
        _print(result)


@app.command(
    "export",
    epilog="Example: simtool export runs/mnist-lenet/seed-0 --polarity both --out models/mine",
)
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
        formats=tuple(choice.value for choice in formats or ()),
        int8=int8,
    )
    _print(export_run(run, out, data, request, overwrite, classifier))


commands_calibrate.register(app)
commands_compose.register(app)
commands_eval.register(app)
commands_fetch.register(app)
commands_report.register(app)


def _print(result: dict[str, Any]) -> None:
    """A command's result on stdout, as JSON."""
    typer.echo(json.dumps(result, indent=1))


def main() -> None:
    """Entry point of the program `simtool`."""
    run_app(_run, "simtool")


def _run(**arguments: Any) -> None:  # noqa: ANN401 - whatever the application takes
    """Run the application; where the tools' libraries are not installed, say what brings them."""
    try:
        app(**arguments)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in TRAIN_MODULES:
            raise
        raise UsageError(
            f"'{missing}' is not installed, and simtool needs it: pip install 'similarnet[train]'"
        ) from error
