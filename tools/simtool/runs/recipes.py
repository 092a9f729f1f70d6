"""Training recipes by name: which network, on which data, how."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar, Final

from simrun.errors import UsageError, did_you_mean
from simtool.data.dataset import Variant

BETAS: Final = (0.9, 0.999)
"""Of Adam, unless a recipe has its own."""
_LATER_PEAK: Final = 0.6
_LAST_RATE: Final = 0.005
"""Of the peak: what the cosine of a reader's rate ends at."""


@dataclass(frozen=True)
class Recipe:
    """How a classifier is trained with Adam. Inputs are scaled to [0, 1]."""

    name: str
    net: str
    """Name in `simtool.nets.NETS`."""
    data: str
    """Name in `simtool.data.DATASETS`."""
    epochs: int
    batch: int
    """Images per iteration."""
    learning_rate: float
    lr_decay: float
    """Iteration t, from 0, runs at learning_rate / (1 + lr_decay * t)."""
    scenes: int | None = None
    """Scenes composed to train on, where the data are composed."""
    background_weight: float = 1.0
    """Weight of the last class in the loss, where it is "nothing" and most of every image."""
    variant: Variant | None = None
    """What the network takes from the data; None where it is always the same."""
    weight_decay: ClassVar[float] = 0.0
    decays_vectors: ClassVar[bool] = True
    betas: ClassVar[tuple[float, float]] = BETAS
    clip_norm: ClassVar[float | None] = None
    averaging: ClassVar[float | None] = None

    @property
    def channels_last(self) -> bool:
        """Whether the channels of a pixel stand together in memory."""
        return self.scenes is not None

    def rate(self, step: int) -> float:
        """The learning rate of a step, from 0."""
        return self.learning_rate / (1 + self.lr_decay * step)


@dataclass(frozen=True)
class SceneRecipe:
    """How a fully convolutional classifier of windows is trained on generated scenes, with AdamW.

    What is called an epoch here is a fixed number of steps: after each one the training can be
    resumed. The weights that count are the running mean of the trained ones.
    """

    name: str
    net: str
    """Name in `simtool.nets.NETS`."""
    data: str
    """Name in `simtool.data.DATASETS`: gives the held-out scenes."""
    scenes: int
    """Scenes generated to train on."""
    cycles: tuple[int, ...]
    """Epochs of each cycle: the learning rate starts each one at 0.6 of the last peak, and falls
    to zero along a cosine."""
    steps: int
    """Gradient steps an epoch."""
    batch: int
    """Scenes a step."""
    learning_rate: float
    """Peak of the first cycle, reached after `warmup` steps."""
    warmup: int
    weight_decay: float
    hard_negatives: float
    """Weight of the worst windows without text, over that of the windows with text."""
    averaging: float
    """Decay of the running mean of the weights."""
    bfloat16: bool
    """Convolutions in bfloat16: three times as fast on processors that have it."""
    kind: str = "scenes"
    """Tells the two kinds of recipe apart in a run's configuration."""
    clip_norm: ClassVar[float | None] = 1.0
    """Largest norm of a step's gradient."""
    decays_vectors: ClassVar[bool] = True
    betas: ClassVar[tuple[float, float]] = BETAS
    variant: ClassVar[Variant | None] = None
    channels_last: ClassVar[bool] = False

    @property
    def epochs(self) -> int:
        """In all."""
        return sum(self.cycles)

    def rate(self, step: int) -> float:
        """The learning rate of a step, from 0; 0 past the last."""
        peak = self.learning_rate
        for epochs in self.cycles:
            length = epochs * self.steps
            if step < length:
                warm = min(1.0, (step + 1) / self.warmup)
                return peak * warm * 0.5 * (1 + math.cos(math.pi * step / length))
            step, peak = step - length, _LATER_PEAK * peak
        return 0.0

    def shortened(self, steps: int) -> SceneRecipe:
        """The recipe with that many gradient steps in all, in one cycle, and no scene to spare.

        Raises:
            UsageError: `steps` is not a whole number of epochs.
        """
        epochs, _ = _epochs_of(steps, self.steps)
        scenes = min(self.scenes, steps * self.batch)
        if not epochs:
            warmup = min(self.warmup, steps)
            return replace(self, steps=steps, scenes=scenes, cycles=(1,), warmup=warmup)
        return replace(self, scenes=scenes, cycles=(epochs,))


@dataclass(frozen=True)
class ReaderRecipe:
    """How a reader of strips is trained with CTC and AdamW.

    An epoch is `steps` gradient steps on one shard of strips that is new and `replayed` others that
    are not; after each one the training can be resumed. The weights that count are the running mean
    of the trained ones.
    """

    name: str
    net: str
    """Name in `simtool.nets.READERS`."""
    data: str
    """What it is trained on: strips."""
    epochs: int
    steps: int
    """Gradient steps an epoch."""
    shards: int
    """Shards of strips in the first epoch's choice; each later epoch adds one."""
    replayed: int
    """Shards seen again for each new one, fewer where there are not so many."""
    columns: int
    """Pixels of width in one batch of strips of like width."""
    learning_rate: float
    """Peak, reached after `warmup` steps; it falls along one cosine."""
    warmup: int
    weight_decay: float
    """Of the kernels; biases and norms are left alone."""
    averaging: float
    """Decay of the running mean of the weights."""
    dropped: float
    """Share of a batch, the worst by loss, that does not count: what nobody can read."""
    bfloat16: bool
    """Convolutions in bfloat16."""
    kind: str = "reader"
    """Tells the kinds of recipe apart in a run's configuration."""
    clip_norm: ClassVar[float | None] = 2.0
    """Largest norm of a step's gradient."""
    decays_vectors: ClassVar[bool] = False
    betas: ClassVar[tuple[float, float]] = (0.9, 0.98)
    variant: ClassVar[Variant | None] = None
    channels_last: ClassVar[bool] = False
    """The network itself has some of its layers so."""

    @property
    def all_shards(self) -> int:
        """Shards of strips that the training sees."""
        return self.shards + self.epochs - 1

    def rate(self, step: int) -> float:
        """The learning rate of a step, from 0."""
        warm = min(1.0, (step + 1) / self.warmup)
        fallen = (1 + math.cos(math.pi * min(1.0, step / (self.epochs * self.steps)))) / 2
        return self.learning_rate * warm * (_LAST_RATE + (1 - _LAST_RATE) * fallen)

    def shortened(self, steps: int) -> ReaderRecipe:
        """The recipe with that many gradient steps in all.

        Raises:
            UsageError: `steps` is not a whole number of epochs.
        """
        epochs, rest = _epochs_of(steps, self.steps)
        return replace(self, epochs=epochs) if epochs else replace(self, epochs=1, steps=rest)


AnyRecipe = Recipe | SceneRecipe | ReaderRecipe


def _epochs_of(steps: int, length: int) -> tuple[int, int]:
    """Whole epochs in so many steps; or none, and how many steps that are.

    Raises:
        UsageError: it is not a whole number of epochs.
    """
    if steps < 1:
        raise UsageError(f"--steps is {steps}; it must be at least 1")
    epochs, rest = divmod(steps, length)
    if epochs and rest:
        raise UsageError(f"--steps is {steps}; above {length} it must be a multiple of it")
    return epochs, rest


def recipe_from_json(data: Mapping[str, Any]) -> AnyRecipe:
    """A recipe from a run's configuration. Raises TypeError where a field is missing or unknown."""
    if data.get("kind") == "scenes":
        return SceneRecipe(**{**data, "cycles": tuple(data["cycles"])})
    if data.get("kind") == "reader":
        return ReaderRecipe(**data)
    variant = data.get("variant")
    if variant is not None:
        data = {**data, "variant": Variant(tuple(variant["classes"]), variant["channels"])}
    return Recipe(**data)


_MAPS: Final = Recipe(
    name="mnist-maps",
    net="maps",
    data="mnist-windows",
    epochs=12,
    batch=100,
    learning_rate=2e-3,
    lr_decay=6e-4,
)

RECIPES: Final[Mapping[str, AnyRecipe]] = MappingProxyType(
    {
        # The paper's, to the letter: Adam 1e-3, decay 1e-5, batch 300, 10 epochs.
        "mnist-lenet": Recipe(
            name="mnist-lenet",
            net="lenet",
            data="mnist",
            epochs=10,
            batch=300,
            learning_rate=1e-3,
            lr_decay=1e-5,
        ),
        "characters": Recipe(
            name="characters",
            net="characters",
            data="characters",
            epochs=8,
            batch=256,
            learning_rate=3e-3,
            lr_decay=2e-3,
        ),
        "scene-text": SceneRecipe(
            name="scene-text",
            net="scene-text",
            data="scene-text",
            scenes=36000,
            cycles=(36, 9),
            steps=500,
            batch=8,
            learning_rate=3e-3,
            warmup=300,
            weight_decay=1e-4,
            hard_negatives=3.0,
            averaging=0.999,
            bfloat16=True,
        ),
        "reader": ReaderRecipe(
            name="reader",
            net="reader",
            data="strips",
            epochs=89,
            steps=237,
            shards=8,
            replayed=6,
            columns=9600,
            learning_rate=2e-3,
            warmup=300,
            weight_decay=0.01,
            averaging=0.999,
            dropped=0.08,
            bfloat16=True,
        ),
        # Class-specific maps: windows of composed canvases, one of them to a cell of the map.
        "mnist-maps": _MAPS,
        # The same with a hidden layer in the head, to see what the ablation does without CAM.
        "mnist-maps-deep": replace(_MAPS, name="mnist-maps-deep", net="maps-deep"),
        # Somebody's own classes: a folder of pictures, composed into scenes.
        "folder": Recipe(
            name="folder",
            net="things",
            data="folder",
            epochs=12,
            batch=8,
            learning_rate=3e-3,
            lr_decay=1e-3,
            scenes=4000,
            background_weight=0.3,
        ),
    }
)


def find_recipe(name: str) -> AnyRecipe:
    """The recipe of that name.

    Raises:
        UsageError: there is none; the nearest name is suggested.
    """
    if name not in RECIPES:
        raise UsageError(f"no recipe '{name}'; {did_you_mean(name, RECIPES)}")
    return RECIPES[name]
