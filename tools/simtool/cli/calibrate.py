"""The command `simtool calibrate`.

Heavy imports happen inside the command, so that `--help` answers at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simrun.cli.console import say
from simrun.config.options import expand_options
from simrun.errors import UsageError

if TYPE_CHECKING:
    from simrun.bundle.load import Bundle
    from simrun.bundle.metadata import BundleMeta
    from simtool.data.annotations import AnnotatedSet
    from simtool.evaluation.calibrate import Point


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(
        "calibrate",
        epilog="Example: simtool calibrate scene-text photos/ --side 512 --side 640 --out mine",
    )(expand_options(calibrate_command))


@dataclass(frozen=True)
class CalibrateArguments:
    """What `simtool calibrate` was called with; None where an option was not given."""

    model: Annotated[str, typer.Argument(help="A shipped model's name or a bundle's folder.")]
    dataset: Annotated[Path, typer.Argument(help="Folder with annotations.json and pictures.")]
    side: Annotated[
        list[int] | None,
        typer.Option("--side", help="Working side in pixels; may be given more than once."),
    ] = None
    tries: Annotated[int, typer.Option(min=0, help="Points tried at each side.")] = 60
    subset: Annotated[
        int | None, typer.Option(min=1, help="Choose on N pictures, always the same ones.")
    ] = None
    flagged: Annotated[
        float, typer.Option(min=0, max=1, help="Text-free area that may be flagged.")
    ] = 0.04
    clean: Annotated[
        Path | None,
        typer.Option(help="Annotated photos without any text: at most 2 % of them may be flagged."),
    ] = None
    max_ms: Annotated[
        float | None, typer.Option(help="CPU time that a call at the chosen side may take.")
    ] = None
    seed: Annotated[int, typer.Option(min=0, help="Seed of the search.")] = 0
    read: Annotated[
        bool,
        typer.Option("--read", help="Choose the reader's threshold, and nothing else."),
    ] = False
    out: Annotated[Path | None, typer.Option("--out", help="Bundle to write.")] = None
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the bundle there.")] = (
        False
    )


def calibrate_command(arguments: CalibrateArguments) -> None:
    """Choose thresholds, rules and working side on pictures.

    The pictures are annotated. The curve over the sides goes to standard output; with --out, a
    bundle that carries the choice and the curve is written. The graph stays as it is. Scores on the
    pictures chosen on flatter. With --read every other picture with transcribed words and all of
    --clean choose the probability from which a reading is a label; the other pictures score it.
    """
    from simrun.bundle.load import METADATA_FILE, load_bundle
    from simrun.localizer import Localizer
    from simtool.data.annotations import load_annotations
    from simtool.evaluation.calibrate import Targets, choose, search, with_point
    from simtool.export.writer import write_with_metadata
    from simtool.files import check_target

    if arguments.out is not None:
        check_target(arguments.out, mark=METADATA_FILE, overwrite=arguments.overwrite)
    bundle = load_bundle(arguments.model)
    pictures = load_annotations(arguments.dataset).sample(arguments.subset)
    without_text = None if arguments.clean is None else load_annotations(arguments.clean)
    if arguments.read:
        _refuse_search(arguments)
        meta = _with_threshold(bundle, pictures, without_text)
        if arguments.out is not None:
            write_with_metadata(bundle, meta, arguments.out, arguments.overwrite)
            typer.echo(f"simtool: wrote {arguments.out}", err=True)
        return
    targets = Targets(flagged=arguments.flagged)
    points = search(
        lambda at: Localizer(bundle, side=at, classify=False),
        pictures,
        arguments.side or [bundle.meta.side],
        arguments.tries,
        targets,
        arguments.seed,
        without_text,
    )
    chosen = choose(points, targets, arguments.max_ms)
    typer.echo(_table(points, chosen))
    if arguments.out is not None:
        record = {
            "dataset": pictures.name,
            "dataset_sha256": pictures.sha256(),
            "pictures": len(pictures.images),
            "clean_sha256": None if without_text is None else without_text.sha256(),
            "tries": arguments.tries,
            "seed": arguments.seed,
        }
        meta = with_point(bundle.meta, chosen, points, record)
        write_with_metadata(bundle, meta, arguments.out, arguments.overwrite)
        say(f"simtool: wrote {arguments.out}")


def _refuse_search(arguments: CalibrateArguments) -> None:
    if arguments.side or arguments.max_ms is not None:
        raise UsageError("--read chooses the reader's threshold alone: leave --side, --max-ms out")


def _with_threshold(
    bundle: Bundle, pictures: AnnotatedSet, clean: AnnotatedSet | None
) -> BundleMeta:
    """The metadata with a reader's threshold; the curve goes to standard output."""
    from simrun.localizer import Localizer
    from simrun.progress import progress
    from simtool.evaluation.calibrate_reading import (
        ReadingTargets,
        choose_threshold,
        read_pictures,
        with_threshold,
    )

    if bundle.meta.reader is None or clean is None:
        raise UsageError("--read needs a model that has a reader, and photos without text: --clean")
    localizer = Localizer(bundle)
    with progress("pictures", len(pictures.images) + len(clean.images)) as advance:
        read = read_pictures(localizer, pictures, advance)
        choice = choose_threshold(read, read_pictures(localizer, clean, advance), ReadingTargets())
    typer.echo(choice.table())
    record = {
        "dataset": pictures.name,
        "dataset_sha256": pictures.sha256(),
        "clean_sha256": clean.sha256(),
    }
    return with_threshold(bundle.meta, choice, record)


def _table(points: Sequence[Point], chosen: Point) -> str:
    """The curve as a Markdown table."""
    rows = [
        "| side | px F1 | line F1 | cov50 | least cov50 of a set | flagged | no text | CPU ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for point in points:
        scores, mark = point.scores, " (chosen)" if point is chosen else ""
        rows.append(
            f"| {point.side}{mark} | {scores.px_f1:.3f} | {scores.line_f1:.3f} "
            f"| {scores.cov50:.3f} | {point.worst_cov50:.3f} | {scores.flagged:.4f} "
            f"| {'-' if point.clean_flagged is None else f'{point.clean_flagged:.4f}'} "
            f"| {point.cpu_ms:.2f} |"
        )
    return "\n".join(rows)
