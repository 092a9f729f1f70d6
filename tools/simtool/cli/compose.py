"""The command `simtool compose`.

Heavy imports happen inside the command, so that `--help` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simrun.cli.console import say


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("compose", epilog="Example: simtool compose runs/mine --out out/canvases")(
        compose_command
    )


def compose_command(
    run: Annotated[Path, typer.Argument(help="Run folder of 'simtool train folder'.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")],
    count: Annotated[int, typer.Option(min=1, help="Canvases.")] = 100,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the canvases of an earlier call.")
    ] = False,
) -> None:
    """Compose annotated canvases to score a model on.

    They are made of a run's held-out pictures, on its held-out backgrounds:
    320x240 pixels, up to six things of 24 to 100 pixels each; 'simtool eval' takes the folder.
    """
    from simtool.data.objects.canvases import write_canvases

    write_canvases(run, out, count, overwrite)
    say(f"simtool: wrote {count} canvases to {out}")
