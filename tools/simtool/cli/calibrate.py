"""The command `simtool calibrate`.

Heavy imports happen inside the command, so that `--help` answers at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simrun.config.options import expand_options

if TYPE_CHECKING:
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
    out: Annotated[Path | None, typer.Option("--out", help="Bundle to write.")] = None
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the bundle there.")] = (
        False
    )


def calibrate_command(arguments: CalibrateArguments) -> None:
    """Choose thresholds, rules and working side on pictures.

    The pictures are annotated. The curve over the sides goes to standard output; with --out, a
    bundle that carries the choice and the curve is written. The graph stays as it is. Scores on the
    pictures chosen on flatter.
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
        typer.echo(f"simtool: wrote {arguments.out}", err=True)


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
