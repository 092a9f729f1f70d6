"""The command `simtool ablate`.

Heavy imports happen inside the command, so that `--help` answers at once.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from simtool.cli.options import (
    ChannelsChoice,
    CriterionOption,
    DataOption,
    PerClassOption,
    StandardiseOption,
    TemperatureOption,
)


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(
        "ablate",
        epilog="Example: simtool ablate --model mynet:build --weights mynet.pt --layer layer4 "
        "--data pictures/ --out runs/mynet",
    )(ablate_command)


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
    from simtool.ablation.measure import AblationOptions
    from simtool.commands.ablate_request import AblateRequest, ablate_any
    from simtool.weighting.weigh import weighting_options

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
        typer.echo(json.dumps(result, indent=1))
