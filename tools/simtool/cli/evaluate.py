"""The command `simtool eval`.

Heavy imports happen inside the command, so that `--help` answers at once.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from simrun.cli.console import say
from simrun.config.options import expand_options
from simrun.errors import SourceError, UsageError
from simrun.progress import progress

if TYPE_CHECKING:
    from simtool.data.annotations import AnnotatedSet
    from simtool.evaluation.evaluate import Evaluation, ModelRecord

PREDICTIONS_FILE: Final = "predictions.jsonl"
SCORES_FILE: Final = "scores.json"
NAMES_FILE: Final = "names.json"
READINGS_FILE: Final = "readings.json"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(
        "eval",
        epilog="Example: simtool eval mnist-lenet photos/ --side 640 --out out/eval",
    )(expand_options(eval_command))


@dataclass(frozen=True)
class EvalArguments:
    """What `simtool eval` was called with; None where an option was not given."""

    model: Annotated[
        str,
        typer.Argument(
            help="A shipped model's name or a bundle's folder; with --predictions, the name that "
            "the report calls them by."
        ),
    ]
    dataset: Annotated[Path, typer.Argument(help="Folder with annotations.json and pictures.")]
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder to write; out/eval-MODEL-DATASET if not given."),
    ] = None
    side: Annotated[int | None, typer.Option(help="Working size: longer side in pixels.")] = None
    threads: Annotated[int, typer.Option(help="Threads of the network.")] = 1
    subset: Annotated[
        int | None, typer.Option(min=1, help="Score only N pictures, always the same ones.")
    ] = None
    map_threshold: Annotated[
        float | None, typer.Option(help="In place of the bundle's threshold of the map.")
    ] = None
    region_threshold: Annotated[
        float | None, typer.Option(help="In place of the bundle's threshold of a region's mean.")
    ] = None
    predictions: Annotated[
        Path | None, typer.Option(help="Score this file of JSON lines; no model is run.")
    ] = None
    read: Annotated[
        bool,
        typer.Option("--read", help="Score what is read too, in pictures and cut-out words."),
    ] = False
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the result of an earlier run.")
    ] = False


def eval_command(arguments: EvalArguments) -> None:
    """Score a model on annotated pictures.

    It is scored by pixels, by lines and by regions covered. The table goes to standard output;
    predictions.jsonl, scores.json, REPORT.md and index.html, a page of the best and the worst
    pictures, into the output folder. Where the model finds things rather than text, their names
    are scored too, into names.json; with --read what is read, where words are transcribed, and how
    much is read on pictures without text, into readings.json.
    """
    from simrun.bundle.metadata import Task
    from simtool.data.annotations import load_annotations
    from simtool.files import staged_folder
    from simtool.reporting.eval_page import text_table

    _check_arguments(arguments)
    pictures = load_annotations(arguments.dataset).sample(arguments.subset)
    target = arguments.out or Path("out") / f"eval-{Path(arguments.model).name}-{pictures.name}"
    with staged_folder(target, mark=SCORES_FILE, overwrite=arguments.overwrite) as folder:
        if arguments.predictions is None:
            record = _predict(arguments, pictures, folder)
        else:
            record = _take_predictions(arguments.model, arguments.predictions, folder)
        evaluation = _write_results(pictures, record, folder)
        is_named = record.task is Task.OBJECTS
        names = _write_names(pictures, folder) if is_named else None
        readings = _write_readings(arguments, pictures, folder) if arguments.read else None
    typer.echo(text_table(evaluation))
    if names is not None:
        typer.echo(f"\n{names}")
    if readings is not None:
        typer.echo(f"\n{readings}")
    count = len(pictures.images)
    used = count - len(evaluation.bad)
    say(f"simtool: {used} of {count} pictures scored, wrote {target}")
    if evaluation.bad:
        raise SourceError(
            f"{len(evaluation.bad)} of {len(pictures.images)} pictures could not be used and "
            f"count as empty; {target / 'REPORT.md'} names them"
        )


def _check_arguments(arguments: EvalArguments) -> None:
    """Raise UsageError where options for a model are given and none is run."""
    settings = (arguments.side, arguments.map_threshold, arguments.region_threshold)
    if arguments.predictions is not None and any(value is not None for value in settings):
        raise UsageError("--predictions runs no model: leave --side and the thresholds out")


def _predict(arguments: EvalArguments, pictures: AnnotatedSet, folder: Path) -> ModelRecord:
    from simrun.localizer import Localizer
    from simtool.evaluation.evaluate import predict, set_thresholds

    # Labels have no part in the scores, but predictions.jsonl is to be what simrun writes.
    localizer = Localizer.load(arguments.model, arguments.side, arguments.threads)
    set_thresholds(localizer, arguments.map_threshold, arguments.region_threshold)
    with progress("pictures", len(pictures.images)) as advance:
        return predict(localizer, pictures, folder / PREDICTIONS_FILE, advance)


def _take_predictions(name: str, source: Path, folder: Path) -> ModelRecord:
    from simtool.evaluation.evaluate import ModelRecord
    from simtool.files import write_bytes

    try:
        content = source.read_bytes()
    except OSError as error:
        raise SourceError(f"cannot read {source}: {error.strerror or error}") from error
    write_bytes(folder / PREDICTIONS_FILE, content)
    return ModelRecord(name, None)


def _write_results(pictures: AnnotatedSet, record: ModelRecord, folder: Path) -> Evaluation:
    import json

    from simtool.evaluation.evaluate import evaluate
    from simtool.files import write_text
    from simtool.reporting.eval_page import command_line, html, markdown

    command = command_line(sys.argv[1:])
    evaluation = evaluate(pictures, folder / PREDICTIONS_FILE, record)
    write_text(folder / SCORES_FILE, json.dumps(evaluation.to_json(command), indent=1) + "\n")
    write_text(folder / "REPORT.md", markdown(evaluation, command))
    write_text(folder / "index.html", html(evaluation, command))
    return evaluation


def _write_names(pictures: AnnotatedSet, folder: Path) -> str:
    """Score the names of things too, into names.json; the table."""
    from simtool.evaluation.object_metrics import names_table, score_names
    from simtool.files import write_json

    scores = score_names(pictures, folder / PREDICTIONS_FILE)
    write_json(folder / NAMES_FILE, {name: counts.to_json() for name, counts in scores.items()})
    return names_table(scores)


def _write_readings(arguments: EvalArguments, pictures: AnnotatedSet, folder: Path) -> str:
    """Score what is read into readings.json; the tables. Words are cut out where a model is run."""
    from simrun.localizer import Localizer
    from simtool.evaluation.predictions import read_predictions
    from simtool.evaluation.read_words import read_words
    from simtool.evaluation.reading_metrics import score_readings
    from simtool.files import write_json

    words = None
    if arguments.predictions is None:
        localizer = Localizer.load(arguments.model, threads=arguments.threads)
        with progress("pictures with words", len(pictures.images)) as advance:
            words = read_words(localizer, pictures, advance)
    scores = score_readings(pictures, read_predictions(folder / PREDICTIONS_FILE), words)
    write_json(folder / READINGS_FILE, scores.to_json())
    return scores.table()
