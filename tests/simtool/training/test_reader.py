"""Training of the reader: its loss by hand, its batches, and the same weights when resumed."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from simrun.errors import ModelError, UsageError
from simtool.data.labels import STRIPS
from simtool.data.text.strip_store import StripStore
from simtool.data.text.strips import Strip
from simtool.nets.reader import Reader
from simtool.runs.checkpoint import build_reader, read_checkpoint
from simtool.runs.folder import RunFolder
from simtool.runs.recipes import RECIPES, ReaderRecipe, recipe_from_json
from simtool.training.reader import (
    UnseenStrips,
    accuracy,
    batches,
    ctc_losses,
    distorted,
    train_reader,
)

RECIPE = ReaderRecipe(
    name="reader",
    net="reader",
    data="strips",
    epochs=3,
    steps=2,
    shards=2,
    replayed=1,
    columns=100,
    learning_rate=1e-3,
    warmup=2,
    weight_decay=0.01,
    averaging=0.9,
    dropped=0.3,
    bfloat16=False,
)


def strip(label: str, width: int = 40, seed: int = 0) -> Strip:
    """Noise, the same for a label."""
    random = np.random.default_rng((seed, *label.encode()))
    return Strip(random.integers(0, 256, (STRIPS.height, width), dtype=np.uint8), label)


class Made(StripStore):
    """Shards of three strips each, made on the spot; after `reads` of them it stops."""

    reads = 99

    def __init__(self) -> None:
        super().__init__(Path(), "made up")

    def read(self, shard: int) -> list[Strip]:
        if not self.reads:
            raise StoppedError
        object.__setattr__(self, "reads", self.reads - 1)
        return [strip(label, 32 + 8 * shard, shard) for label in ("AB", "7", "")]


class StoppedError(Exception):
    """As if the power failed."""


UNSEEN = UnseenStrips([strip("A")], [strip("12")])


def test_losses_are_those_of_the_paths() -> None:
    characters = len(STRIPS.characters)
    logits = torch.zeros(4, 2, characters, dtype=torch.float64)
    # Two steps, every path as likely: AA, A_, _A say A; only AB says AB; none says AAA.
    losses = ctc_losses(logits, ["A", "AB", "", "AAA"])
    ways = torch.tensor([3.0, 1.0, 1.0], dtype=torch.float64)
    expected = -torch.log(ways / characters**2) / 3
    torch.testing.assert_close(losses[:3], expected)
    assert losses[3] == 0  # more than there are steps: nothing to learn
    four = ctc_losses(torch.zeros(1, 4, characters, dtype=torch.float64), ["ABCD"])
    torch.testing.assert_close(four[0].item(), 4 * math.log(characters) / 4)


def test_batches_hold_every_strip_once_and_so_many_columns() -> None:
    widths = [32, 40, 32, 96, 48, 32, 200]
    strips = [strip("A", width, seed) for seed, width in enumerate(widths)]
    made = list(batches(strips, 100, np.random.default_rng(0)))
    assert sorted(s.image.shape[1] for batch in made for s in batch) == sorted(widths)
    assert {id(s) for batch in made for s in batch} == {id(s) for s in strips}
    for batch in made:
        wide = max(s.image.shape[1] for s in batch)
        assert len(batch) == 1 or len(batch) * wide <= 110  # widths are sorted with some noise


def test_distortion_keeps_the_shape_and_follows_its_seed() -> None:
    strips = torch.from_numpy(np.stack([strip("A").image, strip("B").image])[:, None])
    one, same, other = (distorted(strips, np.random.default_rng(s)) for s in (1, 1, 2))
    assert one.shape == strips.shape
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_two_words_are_learned() -> None:
    torch.manual_seed(0)
    net, words = Reader(), [strip("AB"), strip("C3")]
    images = torch.from_numpy(np.stack([s.image for s in words])[:, None])
    optimizer = torch.optim.Adam(net.parameters(), 2e-3)
    losses = []
    for _ in range(60):
        loss = ctc_losses(net(images), [s.label for s in words]).mean()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.1 * losses[0]
    net.train(False)
    assert net(images).isfinite().all()


def test_accuracy_counts_what_is_read_to_the_letter() -> None:
    class Echo(torch.nn.Module):
        """Says A where the first pixel is bright, and else nothing."""

        def forward(self, strips: torch.Tensor) -> torch.Tensor:
            logits = torch.zeros(len(strips), 3, len(STRIPS.characters))
            logits[:, 1, STRIPS.characters.index("A")] = strips[:, 0, 0, 0].float() - 100
            logits[:, :, STRIPS.blank] = 1
            return logits

    bright = np.full((STRIPS.height, 32), 200, np.uint8)
    dark = np.zeros((STRIPS.height, 40), np.uint8)
    strips = [Strip(bright, "A"), Strip(dark, ""), Strip(dark, "A"), Strip(bright, "AA")]
    assert accuracy(Echo(), strips).overall == 0.5


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "whole"
    train_reader(RECIPE, Made(), UNSEEN, folder, 0)
    return folder


def test_the_run_says_what_it_did(run: Path) -> None:
    history = RunFolder.open(run).history(3)
    assert [record["epoch"] for record in history] == [1, 2, 3]
    assert all(math.isfinite(record["loss"]) for record in history)
    assert {"test", "digits"} <= history[-1].keys()
    net = build_reader(read_checkpoint(run))
    assert not net.training
    assert int(net.trunk[0].norm.num_batches_tracked) == 6  # the mean has the statistics too


@pytest.mark.parametrize("reads", [2, 4])
def test_resumed_equals_uninterrupted(run: Path, tmp_path: Path, reads: int) -> None:
    stopping = Made()
    object.__setattr__(stopping, "reads", reads)
    with pytest.raises(StoppedError):
        train_reader(RECIPE, stopping, UNSEEN, tmp_path / "run", 0)
    assert read_checkpoint(tmp_path / "run").epoch == reads // 2
    train_reader(RECIPE, Made(), UNSEEN, tmp_path / "run", 0)
    assert read_checkpoint(tmp_path / "run").sha256 == read_checkpoint(run).sha256


def test_another_seed_gives_other_weights(run: Path, tmp_path: Path) -> None:
    train_reader(RECIPE, Made(), UNSEEN, tmp_path / "run", 1)
    assert read_checkpoint(tmp_path / "run").sha256 != read_checkpoint(run).sha256


def test_the_kernels_alone_decay() -> None:
    assert not RECIPE.decays_vectors
    assert RECIPES["scene-text"].decays_vectors


def test_the_rate_warms_up_and_falls_along_a_cosine() -> None:
    recipe = replace(RECIPE, epochs=10, steps=10, warmup=4)
    assert [recipe.rate(s) / recipe.rate(3) for s in (0, 1)] == pytest.approx([0.25, 0.5], rel=0.01)
    assert recipe.rate(50) == pytest.approx(1e-3 * (0.005 + 0.995 / 2))
    assert recipe.rate(100) == pytest.approx(1e-3 * 0.005)


def test_recipes_are_shortened_by_whole_epochs() -> None:
    recipe = RECIPES["reader"]
    assert isinstance(recipe, ReaderRecipe)
    assert recipe_from_json(vars(recipe)) == recipe
    assert recipe.all_shards == recipe.shards + recipe.epochs - 1
    assert recipe.shortened(2 * recipe.steps).epochs == 2
    short = recipe.shortened(5)
    assert (short.epochs, short.steps) == (1, 5)
    for steps, words in ((0, "at least 1"), (recipe.steps + 1, "must be a multiple")):
        with pytest.raises(UsageError, match=words):
            recipe.shortened(steps)


def test_another_network_is_no_reader(tmp_path: Path) -> None:
    bundle = Path(__file__).parents[3] / "models" / "mnist-lenet"
    with pytest.raises(ModelError, match="'lenet' is no reader of strips"):
        build_reader(read_checkpoint(bundle))
