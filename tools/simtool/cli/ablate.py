"""The command `simtool ablate`.

Heavy imports happen inside the functions, so that `--help` answers at once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simrun.config.options import expand_options
from simrun.errors import UsageError, first_line
from simtool.cli.options import (
    ChannelsChoice,
    CriterionOption,
    DataOption,
    PerClassOption,
    StandardiseOption,
    TemperatureOption,
    read_numbers,
)

if TYPE_CHECKING:
    from simtool.ablation.record import AblationRecord
    from simtool.ablation.target import ModelSource, RunSource
    from simtool.nets.imported import InputFormat


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(
        "ablate",
        epilog="Example: simtool ablate --model mynet:build --weights mynet.pt --layer layer4 "
        "--data pictures/ --out runs/mynet",
    )(expand_options(ablate_command))


@dataclass(frozen=True)
class AblateArguments:
    """What `simtool ablate` was called with; None where an option was not given."""

    run: Annotated[
        Path | None,
        typer.Argument(help="Run folder of a trained network, unless --model is given."),
    ] = None
    data: DataOption = None
    split: Annotated[str, typer.Option(help="Split of a run's data to measure on.")] = "train"
    model: Annotated[
        str | None,
        typer.Option(help="package.module:factory of your own network, called without arguments."),
    ] = None
    weights: Annotated[
        list[Path] | None,
        typer.Option(help="Its state dict, .pt or .safetensors; several to compare checkpoints."),
    ] = None
    layer: Annotated[
        list[str] | None,
        typer.Option(help="Layer of it, by name; several are possible. Without: the last spatial."),
    ] = None
    out: Annotated[Path | None, typer.Option("--out", help="Run folder to write for it.")] = None
    channels: Annotated[
        ChannelsChoice | None, typer.Option(help="What it takes; rgb if not given.")
    ] = None
    size: Annotated[
        int | None, typer.Option(help="Side of the images it takes, in pixels; 224 if not given.")
    ] = None
    mean: Annotated[
        str | None, typer.Option(help="Its normalisation, of values in [0, 1]: 0.5 or 0.5,0.5,0.4.")
    ] = None
    std: Annotated[str | None, typer.Option(help="The same, what is divided by.")] = None
    classes: Annotated[
        str | None,
        typer.Option(
            help="Class folders in the order of its outputs: cat,dog. Or the output of each: "
            "cat=281,dog=207. Or a file with the outputs' names, a name a line. By name if not."
        ),
    ] = None
    weighting: Annotated[
        str, typer.Option(help="Weighting whose weights are printed; ablation.json serves all.")
    ] = "signed"
    criterion: CriterionOption = None
    temperature: TemperatureOption = None
    standardise: StandardiseOption = None
    per_class: PerClassOption = None
    baseline: Annotated[
        str, typer.Option(help="What a blocked filter answers: zero, or its mean over the data.")
    ] = "zero"
    chunk: Annotated[
        int | None, typer.Option(min=1, help="Filters blocked at once; by the memory if not given.")
    ] = None
    memory_mb: Annotated[
        int, typer.Option("--memory-mb", min=1, help="Working memory to keep to, in MiB.")
    ] = 1024
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu"
    deletion: Annotated[
        bool, typer.Option(help="Measure the deletion curve too, on at most 2000 images.")
    ] = True
    resamples: Annotated[int, typer.Option(min=2, help="Resamples of the bootstrap.")] = 1000
    level: Annotated[float, typer.Option(help="Coverage of the bootstrap intervals.")] = 0.95
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0
    seeds: Annotated[
        bool, typer.Option("--seeds", help="RUN holds several seeds: ablate every one.")
    ] = False


def ablate_command(arguments: AblateArguments) -> None:
    """Measure what each filter of a layer is worth.

    That is, how much worse the classifier gets without it. Error, loss, logit and margin are
    measured together, overall and per class, with a bootstrap interval per filter, and written to
    ablation.json in the run folder. Under torchrun the processes share the data.
    """
    result = ablate(arguments)
    if result is not None:
        typer.echo(json.dumps(result, indent=1))


def ablate(arguments: AblateArguments) -> dict[str, Any] | None:
    """Ablate a run, the seeds of a run, or a network of --model; a summary.

    None in a process that does not lead.

    Raises:
        UsageError: the options do not go together, and those of what is ablated.
    """
    from simtool.ablation.job import ablate_target
    from simtool.ablation.measure import AblationOptions
    from simtool.ablation.target import open_target
    from simtool.distributed import joined
    from simtool.reporting.ablation_summary import ablation_summary
    from simtool.weighting.weigh import weighting_options

    weights = weighting_options(
        arguments.weighting,
        arguments.criterion,
        arguments.temperature,
        arguments.standardise,
        arguments.per_class,
    )
    options = AblationOptions(
        chunk=arguments.chunk,
        resamples=arguments.resamples,
        level=arguments.level,
        seed=arguments.seed,
        memory_mb=arguments.memory_mb,
        baseline=arguments.baseline,
    )
    _check_device(arguments.device)
    summaries: dict[str, dict[str, Any]] = {}
    records: list[AblationRecord] = []
    with joined(arguments.device) as peers:
        for opened in chain.from_iterable(
            open_target(source, arguments.device) for source in _sources(arguments)
        ):
            if peers.leads:
                opened.claim()
            record = ablate_target(opened.target, options, peers, arguments.deletion)
            if peers.leads:
                opened.save(record)
            shown = replace(weights, background=opened.target.network.spec.contrast)
            summaries[str(opened.folder)] = ablation_summary(
                record, opened.folder, arguments.weighting, shown
            )
            records.append(record)
        if not peers.leads:
            return None
        compared = _compared(arguments, records)
    return summaries.popitem()[1] if len(summaries) == 1 else {"runs": summaries, **compared}


def _sources(arguments: AblateArguments) -> list[RunSource] | list[ModelSource]:
    """What is to be ablated. Raises UsageError where the options do not go together."""
    from simtool.ablation.target import ModelSource, RunSource
    from simtool.runs.folder import trained_seeds

    if arguments.model is None:
        run = _checked_run(arguments)
        folders = trained_seeds(run) if arguments.seeds else [run]
        return [RunSource(folder, arguments.data, arguments.split) for folder in folders]
    if arguments.run is not None or arguments.seeds:
        raise UsageError("--model and a run folder do not go together; leave one of them out")
    if not arguments.weights or arguments.data is None or arguments.out is None:
        raise UsageError("--model needs --weights FILE, --data FOLDER and --out RUN")
    several = len(arguments.weights) > 1
    return [
        ModelSource(
            factory=arguments.model,
            weights=file,
            takes=_takes(arguments),
            data=arguments.data,
            folder=arguments.out / f"checkpoint-{index}" if several else arguments.out,
            layers=arguments.layer or (),
        )
        for index, file in enumerate(arguments.weights)
    ]


def _takes(arguments: AblateArguments) -> InputFormat:
    """What the network of --model takes, as far as it was said."""
    from simtool.nets.imported import InputFormat

    return InputFormat(
        channels=arguments.channels and str(arguments.channels),
        size=arguments.size,
        mean=_given_numbers("--mean", arguments.mean),
        std=_given_numbers("--std", arguments.std),
        **_classes(arguments.classes),
    )


def _classes(text: str | None) -> dict[str, tuple[str, ...]]:
    """What --classes says, by the names of `InputFormat`. Raises UsageError."""
    if text is None:
        return {}
    if "=" in text:
        pairs = [part.partition("=") for part in text.split(",")]
        if not all(name and number for name, _, number in pairs):
            raise UsageError(f"--classes is {text!r}; either all or no folders have an output")
        names, _, numbers = zip(*pairs, strict=True)
        return {"classes": names, "numbers": numbers}
    if not Path(text).is_file():
        return {"classes": tuple(text.split(","))}
    try:
        lines = Path(text).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--classes {text} cannot be read: {first_line(error)}") from error
    return {"outputs": tuple(line.strip() for line in lines if line.strip())}


def _checked_run(arguments: AblateArguments) -> Path:
    """The run folder. Raises UsageError where there is none, or options for --model beside it."""
    own = (arguments.weights, arguments.layer, arguments.out, arguments.channels, arguments.size)
    if any(own) or arguments.mean or arguments.std or arguments.classes:
        raise UsageError(
            "--weights, --layer, --out, --channels, --size, --mean, --std and --classes belong to "
            "--model package.module:factory"
        )
    if arguments.run is None:
        raise UsageError("name a run folder, or a network with --model package.module:factory")
    return arguments.run


def _compared(arguments: AblateArguments, records: list[AblationRecord]) -> dict[str, Any]:
    """How far seeds or checkpoints agree, written beside their folders; empty for a single one."""
    from simtool.ablation.stability import between_checkpoints, between_seeds
    from simtool.files import write_json
    from simtool.runs.folder import STABILITY_FILE

    if arguments.seeds and arguments.run is not None:
        stability = between_seeds(records)
        write_json(arguments.run / STABILITY_FILE, stability)
        return {"stability": stability}
    if arguments.out is None or len(arguments.weights or ()) < 2:
        return {}
    by_layer: dict[str, list[AblationRecord]] = {}
    for record in records:
        by_layer.setdefault(record.layer, []).append(record)
    stability = {layer: between_checkpoints(group) for layer, group in by_layer.items()}
    write_json(arguments.out / STABILITY_FILE, stability)
    return {"stability between checkpoints": stability}


def _given_numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    return None if text is None else read_numbers(option, text, "0.5,0.5,0.4")


def _check_device(device: str) -> None:
    """Raise UsageError where PyTorch has no such device."""
    import torch

    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"--device {device} cannot be used ({first_line(error)}); cpu always can"
        ) from error
