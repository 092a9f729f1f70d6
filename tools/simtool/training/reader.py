"""Training of the recipe `reader`: strips of text by CTC."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from simrun.recognition.ctc import decode_greedy
from simtool.data.labels import STRIPS, encode
from simtool.data.text.strip_store import StripStore
from simtool.data.text.strips import Strip, stack_strips
from simtool.nets.layers import evaluating
from simtool.runs.recipes import ReaderRecipe
from simtool.training.accuracy import Accuracy
from simtool.training.loop import fit

_LEAST_LETTERS: Final = 3
"""The loss of a strip is divided by its letters, but by no fewer than these."""


@dataclass(frozen=True)
class UnseenStrips:
    """Strips in fonts that no training sees; they decide nothing."""

    lines: Sequence[Strip]
    """As those of the training."""
    digits: Sequence[Strip]
    """Strings of four to eight digits on plates and counters."""


def train_reader(
    recipe: ReaderRecipe, strips: StripStore, unseen: UnseenStrips, out: Path, seed: int
) -> list[dict[str, Any]]:
    """Train on strips and measure on others, which decide nothing; the history.

    The seed decides the order and the distortion of the strips too. Arguments and errors as
    `simtool.training.loop.fit`.

    Raises:
        SourceError: a shard of strips is missing or damaged.
    """
    return fit(recipe, _Strips(recipe, strips, unseen, seed), out, seed)


@dataclass(frozen=True)
class _Strips:
    """The task: what each strip says."""

    recipe: ReaderRecipe
    strips: StripStore
    unseen: UnseenStrips
    seed: int

    @property
    def sha256(self) -> str:
        return self.strips.sha256

    @property
    def steps(self) -> int:
        return self.recipe.steps

    def losses(self, net: nn.Module, epoch: int) -> Iterator[tuple[Tensor, float]]:
        """The loss of each step's strips."""
        recipe = self.recipe
        rng = np.random.default_rng((self.seed, epoch))
        for batch in islice(self._batches(epoch, rng), recipe.steps):
            images = distorted(torch.from_numpy(stack_strips([s.image for s in batch])), rng)
            with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
                logits = net(images.to(memory_format=torch.channels_last))
            losses = ctc_losses(logits.float(), [s.label for s in batch])
            kept = len(losses) - int(len(losses) * recipe.dropped)
            yield losses.topk(kept, largest=False).values.mean(), 1

    def measure(self, net: nn.Module) -> dict[str, Any]:
        read = accuracy(net, self.unseen.lines)
        return {"test": asdict(read), "digits": accuracy(net, self.unseen.digits).overall}

    def describe(self, measured: dict[str, Any]) -> str:
        lines, digits = measured["test"]["overall"], measured["digits"]
        return f"unseen fonts: lines {lines:.4f}, digits {digits:.4f} right"

    def _batches(self, epoch: int, rng: np.random.Generator) -> Iterator[list[Strip]]:
        """Batches of the new shard and some known ones, over and over."""
        new = self.recipe.shards - 1 + epoch
        known = rng.permutation(new)[: self.recipe.replayed]
        pool = [strip for shard in (new, *known) for strip in self.strips.read(int(shard))]
        while True:
            yield from batches(pool, self.recipe.columns, rng)


def batches(
    strips: Sequence[Strip], columns: int, rng: np.random.Generator
) -> Iterator[list[Strip]]:
    """All strips once, in random order, in batches of like width and of `columns` pixels.

    A strip wider than that is a batch of its own.
    """
    widths = np.array([s.image.shape[1] for s in strips]) * rng.uniform(0.95, 1.05, len(strips))
    groups: list[list[Strip]] = [[]]
    for i in widths.argsort():
        full = (len(groups[-1]) + 1) * strips[i].image.shape[1] > columns
        if full and groups[-1]:
            groups.append([])
        groups[-1].append(strips[i])
    for k in rng.permutation(len(groups)):
        yield groups[k]


def distorted(strips: Tensor, rng: np.random.Generator) -> Tensor:
    """Polarity, place, size, softness and noise of a batch (N, 1, H, W), anew each time; float."""
    count, _, height, width = strips.shape
    sign = torch.from_numpy(rng.choice([-1.0, 1.0], count).astype(np.float32))
    images = strips.float() * sign[:, None, None, None]
    theta = np.zeros((count, 2, 3), np.float32)
    squeeze = np.where(rng.random(count) < 0.6, rng.uniform(1.0, 1.25, count), 1.0)
    theta[:, 0, 0] = squeeze
    theta[:, 0, 2] = squeeze - 1  # its left end stays where it is
    theta[:, 1, 1] = rng.uniform(0.88, 1.12, count)
    theta[:, 0, 1] = rng.normal(0, 0.1, count) * height / width
    theta[:, 1, 2] = rng.normal(0, 0.05, count)
    grid = functional.affine_grid(torch.from_numpy(theta), list(images.shape), align_corners=False)
    images = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    if rng.random() < 0.15:
        images = functional.avg_pool2d(images, 3, 1, 1, count_include_pad=False)
    spread = torch.from_numpy(rng.gamma(1.0, 3.0, count).astype(np.float32))
    noise = torch.from_numpy(rng.standard_normal(images.shape, np.float32))
    return images + noise * spread[:, None, None, None]


def ctc_losses(logits: Tensor, labels: Sequence[str]) -> Tensor:
    """The loss of each strip, over the letters of its label.

    Args:
        logits: (N, T, C).
        labels: folded, see `simtool.data.labels`.

    Returns:
        (N,); 0 where a label needs more than T steps.
    """
    codes = [encode(label) for label in labels]
    lengths = torch.tensor([len(code) for code in codes])
    losses = functional.ctc_loss(
        logits.log_softmax(2).transpose(0, 1),
        torch.tensor([c for code in codes for c in code], dtype=torch.long),
        torch.full((len(codes),), logits.shape[1], dtype=torch.long),
        lengths,
        blank=STRIPS.blank,
        reduction="none",
        zero_infinity=True,
    )
    return losses / lengths.clamp(min=_LEAST_LETTERS)


def accuracy(net: nn.Module, strips: Sequence[Strip], batch: int = 32) -> Accuracy:
    """Share of strips that are read to the letter, spaces too; there are no classes."""
    order = sorted(range(len(strips)), key=lambda i: strips[i].image.shape[1])
    right = 0
    with evaluating(net), torch.inference_mode():
        for at in range(0, len(order), batch):
            some = [strips[i] for i in order[at : at + batch]]
            logits = net(torch.from_numpy(stack_strips([strip.image for strip in some])))
            for strip, rows in zip(some, logits.numpy(), strict=True):
                right += decode_greedy(rows, STRIPS.characters).text == strip.label
    return Accuracy(overall=right / max(1, len(strips)), per_class=())
