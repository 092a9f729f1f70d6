"""The command `simtool train`: a training by the recipe of a name.

Heavy imports happen inside the functions, so that `--help` answers at once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from simrun.config.options import expand_options
from simrun.errors import UsageError
from simtool.cli.options import ChannelsChoice, DataOption

if TYPE_CHECKING:
    from simtool.runs.recipes import ReaderRecipe, SceneRecipe


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(
        "train",
        epilog="Example: simtool train mnist-lenet --seeds 5 --out runs/mnist-lenet",
    )(expand_options(train_command))


@dataclass(frozen=True)
class TrainArguments:
    """What `simtool train` was called with; None where an option was not given."""

    recipe: Annotated[
        str,
        typer.Argument(
            help="Name of the recipe: mnist-lenet, scene-text, reader, characters; folder for "
            "classes of your own."
        ),
    ]
    out: Annotated[Path, typer.Option("--out", help="Run folder to write.")]
    data: DataOption = None
    seed: Annotated[int, typer.Option(min=0, help="Seed of the weights and the order.")] = 0
    seeds: Annotated[
        int | None,
        typer.Option(min=1, help="Train that many seeds, from 0, and summarise them."),
    ] = None
    steps: Annotated[
        int | None,
        typer.Option(help="Of scene-text, reader: gradient steps in place of the recipe's."),
    ] = None
    background: Annotated[
        Path | None,
        typer.Option(help="Of folder: photos without your things; textures are made without it."),
    ] = None
    channels: Annotated[
        ChannelsChoice | None,
        typer.Option(help="Of folder: grey or rgb; by the pictures if not given."),
    ] = None


def train_command(arguments: TrainArguments) -> None:
    """Train a classifier, or a reader of lines, by a recipe.

    Stopped by Ctrl-C, it keeps the last whole epoch; the same command again goes on from there,
    to the same result.
    """
    result = train(arguments)
    if result is not None:
        typer.echo(json.dumps(result, indent=1))


def train(arguments: TrainArguments) -> dict[str, Any] | None:
    """Train one seed, or several; the final test accuracy or the summary over the seeds.

    None in a process that does not lead.

    Raises:
        UsageError: the options do not go together; and the errors of the training.
    """
    from simtool.data import CARRIED, load_split
    from simtool.data.image_folder import channels_of
    from simtool.distributed import joined
    from simtool.runs.recipes import ReaderRecipe, Recipe, SceneRecipe, find_recipe
    from simtool.training.labelled import train as train_one
    from simtool.training.labelled import train_seeds
    from simtool.training.objects import Composed, train_folder

    recipe, data = find_recipe(arguments.recipe), arguments.data
    composed = Composed(
        arguments.background, channels_of(arguments.channels and str(arguments.channels))
    )
    if isinstance(recipe, Recipe) and recipe.data in CARRIED:
        if data is None or arguments.seeds is not None or arguments.steps is not None:
            raise UsageError("recipe 'folder' needs --data DIR, and takes no --seeds or --steps")
        return train_folder(recipe, data, composed, arguments.out, arguments.seed)
    if composed != Composed():
        raise UsageError("--background and --channels are for the recipe 'folder'")
    if isinstance(recipe, SceneRecipe):
        return _train_on_scenes(recipe, arguments)
    if isinstance(recipe, ReaderRecipe):
        return _train_reader(recipe, arguments)
    if arguments.steps is not None:
        raise UsageError(
            f"recipe '{arguments.recipe}' has epochs of fixed length; leave --steps out"
        )
    fitted, tested = (load_split(recipe.data, name, data) for name in ("train", "test"))
    with joined() as peers:
        if arguments.seeds is not None:
            result = train_seeds(recipe, fitted, tested, arguments.out, arguments.seeds, peers)
        else:
            final = train_one(recipe, fitted, tested, arguments.out, arguments.seed, peers)[-1]
            result = {"run": str(arguments.out), **final}
    return result if peers.leads else None


Generated = TypeVar("Generated", "SceneRecipe", "ReaderRecipe")


def _train_on_scenes(recipe: SceneRecipe, arguments: TrainArguments) -> dict[str, Any]:
    from simtool.data.text.splits import HELD_OUT, HELD_OUT_SEED, open_store, scenes_sha256
    from simtool.training.text import train_scenes

    recipe = _of_one_seed(recipe, arguments)
    data, seed = arguments.data, arguments.seed
    held_out = open_store(data, HELD_OUT_SEED, HELD_OUT)
    scenes = open_store(data, seed, recipe.scenes)
    identity = scenes_sha256(data, seed, recipe.scenes)
    final = train_scenes(recipe, scenes, held_out, identity, arguments.out, seed)[-1]
    return {"run": str(arguments.out), **final}


def _train_reader(recipe: ReaderRecipe, arguments: TrainArguments) -> dict[str, Any]:
    from simrun.inference.threads import usable_cores
    from simtool.data.text.strip_store import open_strips, unseen_strips
    from simtool.training.reader import UnseenStrips, train_reader

    recipe = _of_one_seed(recipe, arguments)
    data, seed = arguments.data, arguments.seed
    strips = open_strips(data, seed, recipe.all_shards, usable_cores())
    unseen = UnseenStrips(*unseen_strips(data))
    final = train_reader(recipe, strips, unseen, arguments.out, seed)[-1]
    return {"run": str(arguments.out), **final}


def _of_one_seed(recipe: Generated, arguments: TrainArguments) -> Generated:
    """The recipe, shortened where that is asked for. Raises UsageError for several seeds."""
    if arguments.seeds is not None:
        raise UsageError(f"recipe '{recipe.name}' trains one seed at a time; leave --seeds out")
    return recipe if arguments.steps is None else recipe.shortened(arguments.steps)
