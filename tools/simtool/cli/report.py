"""The command `simtool report`.

Heavy imports happen inside the command, so that `--help` answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simrun.cli.console import say
from simrun.errors import SourceError, UsageError
from simtool.cli.options import FactoryOption

if TYPE_CHECKING:
    from simtool.reporting.run_report import Figure2


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(
        "report",
        epilog="Example: simtool report runs/mnist-lenet/seed-0 --pictures photos/ --bundle mine",
    )(report_command)


def report_command(
    run: Annotated[Path, typer.Argument(help="Run folder, trained and ablated.")],
    pictures: Annotated[
        Path | None,
        typer.Option(
            help="Folder of pictures for Figure 2; masks to compare with are named "
            "PICTURE_thresh*, boxes are in annotations.json there or one folder up."
        ),
    ] = None,
    bundle: Annotated[
        str | None,
        typer.Option(help="Model for the pictures: a shipped one's name or a bundle's folder."),
    ] = None,
    model: FactoryOption = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder to write; out/report-RUN if not given."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the result of an earlier run.")
    ] = False,
) -> None:
    """Show a run on one page.

    Accuracy, filters, weights, and heatmaps of pictures. The page is index.html; its drawings lie
    beside it as PNG files. A summary goes to standard output.
    """
    if bundle is not None and pictures is None:
        raise UsageError("--bundle is for --pictures; name a folder of pictures too")
    from simtool.files import staged_folder, write_bytes
    from simtool.reporting.eval_page import command_line
    from simtool.reporting.run_page import MARK_FILE, render, text_summary
    from simtool.reporting.run_report import picture_maps, read_run

    target = out or Path("out") / f"report-{run.resolve().name}"
    report = read_run(run)
    with staged_folder(target, mark=MARK_FILE, overwrite=overwrite) as folder:
        # A network from --model has no shipped bundle that Figure 2 could fall back to.
        wanted = pictures is not None and (report.config is not None or bundle is not None)
        figure2 = _figure2(pictures, bundle) if pictures is not None and wanted else None
        maps = [] if pictures is None else list(picture_maps(run, report, pictures, model))
        for name, content in render(report, figure2, command_line(sys.argv[1:]), maps).items():
            write_bytes(folder / name, content)
    typer.echo(text_summary(report, figure2))
    say(f"simtool: wrote {target}")
    if figure2 is not None and figure2.bad:
        raise SourceError(
            f"{len(figure2.bad)} pictures in {pictures} could not be used; the page names them"
        )


def _figure2(pictures: Path, bundle: str | None) -> Figure2:
    from simrun.localizer import DEFAULT_MODEL, Localizer
    from simtool.reporting.run_report import compare_pictures

    # The heatmap is all that is shown: nothing is read.
    localizer = Localizer.load(bundle or DEFAULT_MODEL, classify=False)
    return compare_pictures(pictures, localizer)
