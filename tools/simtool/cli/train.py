"""The command `simtool train`.

Heavy imports happen inside the command, so that `--help` answers at once.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from simtool.cli.options import ChannelsChoice, DataOption


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(
        "train",
        epilog="Example: simtool train mnist-lenet --seeds 5 --out runs/mnist-lenet",
    )(train_command)


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
    from simtool.commands.train_run import composed_of, train_run

    composed = composed_of(background, channels and channels.value)
    result = train_run(recipe, out, data, seed, seeds, steps, composed)
    if result is not None:
        typer.echo(json.dumps(result, indent=1))
