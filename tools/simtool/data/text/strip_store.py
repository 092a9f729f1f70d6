"""Training strips on disk: shards in the order of their numbers, made once, by worker processes."""

from __future__ import annotations

import functools
import hashlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from simrun.errors import SourceError
from simrun.files import output_errors
from simrun.localizer import Localizer
from simrun.result import Quad
from simtool.data.text.characters import HELD_OUT
from simtool.data.text.legibility import CLEAR
from simtool.data.text.material import latin_packages, load_materials, material_sha256
from simtool.data.text.shards import make_shards
from simtool.data.text.strips import Strip, StripMaker
from simtool.files import write_atomic

STRIPS_SCHEMA: Final = "similarnet-strips/1"
RECIPE_FILE: Final = "recipe.json"
SHARD: Final = 2000
"""Strips in a file."""
LOCALIZER: Final = "scene-text"
"""The shipped model whose quads cut the strips of scenes."""
UNSEEN: Final = 1000
"""Strips of each kind that test."""
UNSEEN_SEED: Final = 1_000_003
"""Of the strips that test: far from the seeds that anybody trains with."""


@dataclass(frozen=True)
class StripStore:
    """The first shards of a seed's sequence, in a folder that `build_strips` filled."""

    folder: Path
    sha256: str
    """Identity of the strips: what decides them."""

    def read(self, shard: int) -> list[Strip]:
        """The strips of a shard. Raises SourceError where it is missing or damaged."""
        path = _file_of(self.folder, shard)
        try:
            with np.load(path) as stored:
                ends = np.cumsum(stored["widths"])[:-1]
                images = np.split(stored["pixels"], ends, axis=1)
                labels = stored["labels"].tolist()
        except (OSError, ValueError, KeyError) as error:
            raise SourceError(
                f"cannot read {path} ({error}); remove it, it is made anew"
            ) from error
        pairs = zip(images, labels, strict=True)
        return [Strip(np.ascontiguousarray(image), str(label)) for image, label in pairs]


def load_maker(folder: Path, seed: int, *, unseen: bool = False) -> StripMaker:
    """A maker of strips from a material.

    Args:
        folder: the material.
        seed: of its sequence.
        unseen: in the font packages that no training sees, and without scenes; without it, in all
            others.

    Raises:
        SourceError: the material lacks something.
        ModelError: the localizer that cuts the scenes is not there.
    """
    packages = [
        faces
        for number, faces in enumerate(latin_packages(folder))
        if (number % HELD_OUT == 0) is unseen and faces
    ]
    locate = None if unseen else _locator()
    return StripMaker(load_materials(folder), packages, seed, locate)


def _locator() -> Callable[[NDArray[np.uint8]], Sequence[Quad]]:
    localizer = Localizer.load(LOCALIZER, classify=False)
    return lambda picture: [region.quad for region in localizer(picture).regions]


def unseen_strips(folder: Path | None) -> tuple[list[Strip], list[Strip]]:
    """Lines, and strings of digits, in font packages that no training sees, made anew.

    Raises:
        SourceError: no folder is given, or the material lacks something.
    """
    maker = load_maker(_given(folder), UNSEEN_SEED, unseen=True)
    return maker.shard(0, UNSEEN), maker.digit_strings(0, UNSEEN, CLEAR)


def open_strips(folder: Path | None, seed: int, shards: int, workers: int) -> StripStore:
    """The first shards of a seed's sequence, made where they are missing.

    Raises:
        SourceError: no folder is given, it holds no material, or strips of another recipe.
        OutputError: the strips cannot be written.
    """
    folder = _given(folder)
    identity = {
        "schema": STRIPS_SCHEMA,
        "material": material_sha256(folder),
        "seed": seed,
        "localizer": Localizer.load(LOCALIZER, classify=False).bundle.sha256,
        "shard": SHARD,
    }
    target = folder / "strips" / f"seed-{seed}"
    return build_strips(
        target, identity, functools.partial(load_maker, folder, seed), shards, workers
    )


def _given(folder: Path | None) -> Path:
    if folder is None:
        raise SourceError(
            "strips need material: run 'simtool fetch scene-text --out MATERIAL', then give --data "
            "MATERIAL"
        )
    return folder


def build_strips(
    folder: Path,
    identity: dict[str, Any],
    load: Callable[[], StripMaker],
    shards: int,
    workers: int = 1,
) -> StripStore:
    """Make the first shards; those that are there stay.

    Args:
        folder: where they go.
        identity: what decides them, as a JSON object; `shard` is the number of strips in each.
        load: gives what makes them, see `make_shards`.
        shards: how many.
        workers: processes; 1 works in this one.

    Raises:
        SourceError: the folder was begun with another identity, or the material is missing.
        OutputError: the folder cannot be written.
    """
    path = folder / RECIPE_FILE
    if path.is_file() and json.loads(path.read_text(encoding="utf-8")) != identity:
        raise SourceError(f"{folder} holds strips of another recipe or material; remove it")
    missing = [i for i in range(shards) if not _file_of(folder, i).is_file()]
    with output_errors(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(identity, indent=1) + "\n", encoding="utf-8")
        if missing:
            size = int(identity["shard"])
            make = functools.partial(_make_shard, folder, size)
            make_shards(missing, size, load, make, workers, "strips made")
    return StripStore(folder, hashlib.sha256(json.dumps(identity).encode()).hexdigest())


def _make_shard(folder: Path, count: int, shard: int, maker: StripMaker) -> None:
    strips = maker.shard(shard, count)
    content = io.BytesIO()
    np.savez(
        content,
        pixels=np.concatenate([strip.image for strip in strips], axis=1),
        widths=np.array([strip.image.shape[1] for strip in strips]),
        labels=np.array([strip.label for strip in strips]),
    )
    write_atomic(_file_of(folder, shard), content.getvalue())


def _file_of(folder: Path, shard: int) -> Path:
    return folder / f"{shard:05d}.npz"
