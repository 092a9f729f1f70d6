"""The command line `simtool`: train -> ablate -> export.

Heavy imports happen inside the commands, so that `--help` answers at once. Results go to stdout,
everything else to stderr.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from simrun.console import run_app

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


@app.callback()
def _options() -> None:
    """Keeps the commands named, even while there is only one."""


@app.command(
    "train",
    epilog="Example: simtool train mnist-lenet --seeds 5 --out runs/mnist-lenet",
)
def train_command(
    recipe: Annotated[str, typer.Argument(help="Name of the recipe, for instance mnist-lenet.")],
    out: Annotated[Path, typer.Option("--out", help="Run folder to write.")],
    data: DataOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the weights and the order.")] = 0,
    seeds: Annotated[
        int | None,
        typer.Option(min=1, help="Train that many seeds, from 0, and summarise them."),
    ] = None,
) -> None:
    """Train a classifier by a recipe.

    Stopped by Ctrl-C, it keeps the last whole epoch; the same command again goes on from there,
    to the same result.
    """
    from simtool.commands import train_run

    _print(train_run(recipe, out, data, seed, seeds))


def _print(result: dict[str, Any]) -> None:
    """A command's result on stdout, as JSON."""
    typer.echo(json.dumps(result, indent=1))


def main() -> None:
    """Entry point of the program `simtool`."""
    run_app(app, "simtool")
