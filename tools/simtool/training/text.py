"""Training of `scene-text`: a classifier of windows, thousands of them in one pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from simrun.errors import UsageError
from simtool.data.labels import IGNORE
from simtool.data.text.store import SceneBatch, SceneStore
from simtool.runs.recipes import SceneRecipe
from simtool.training.accuracy import Accuracy
from simtool.training.loop import fit

_BINS: Final = 400
_REACH: Final = 10.0
"""Log odds are counted between -10 and 10."""


def train_scenes(
    recipe: SceneRecipe,
    scenes: SceneStore,
    held_out: SceneStore,
    data_sha256: str,
    out: Path,
    seed: int,
) -> list[dict[str, Any]]:
    """Train on scenes and measure on others, which decide nothing; the history.

    The seed decides the order and the light of the scenes too; `data_sha256` is their identity.
    Arguments and errors as `simtool.training.loop.fit`.

    Raises:
        UsageError: there are too few scenes.
    """
    if seed < 0 or len(scenes) < recipe.batch:
        raise UsageError(f"seed {seed} with {len(scenes)} scenes: 0 and {recipe.batch} are needed")
    return fit(recipe, _Scenes(recipe, scenes, held_out, data_sha256, seed), out, seed)


@dataclass(frozen=True)
class _Scenes:
    """The task: text or no text, in every window of a scene."""

    recipe: SceneRecipe
    scenes: SceneStore
    held_out: SceneStore
    sha256: str
    seed: int

    @property
    def steps(self) -> int:
        return self.recipe.steps

    def losses(self, net: nn.Module, epoch: int) -> Iterator[tuple[Tensor, float]]:
        """The loss of each step's scenes."""
        recipe = self.recipe
        for step in range(epoch * recipe.steps, (epoch + 1) * recipe.steps):
            images, labels, heights = self._batch(step)
            with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
                logits = net(images)
            yield window_loss(logits.float(), labels, heights, recipe.hard_negatives), 1

    def measure(self, net: nn.Module) -> dict[str, Any]:
        return asdict(validate(net, self.held_out, self.recipe.batch))

    def describe(self, measured: dict[str, Any]) -> str:
        return f"held-out scenes F1 {measured['f1']:.4f}"

    def _batch(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Which scenes a step sees, and in which light, depends on seed and step alone."""
        epoch, position = divmod(step, len(self.scenes) // self.recipe.batch)
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.scenes))
        start = position * self.recipe.batch
        picked = np.sort(order[start : start + self.recipe.batch])
        images, labels, heights = to_tensors(self.scenes.read(picked))
        return relit(images, np.random.default_rng((self.seed, 1, step))), labels, heights


def window_loss(logits: Tensor, labels: Tensor, heights: Tensor, hard_negatives: float) -> Tensor:
    """Mean negative log likelihood over text windows and the worst "no text" windows.

    Args:
        logits: (N, C, h, w) float32.
        labels: (N, h, w) int64, 0 "no text" ... C - 1, or `IGNORE`.
        heights: (N, h, w) float32, pixels; a window of tall text counts less, as it has many
            neighbours alike.
        hard_negatives: total weight of the "no text" windows over that of the text windows.
    """
    loss = functional.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="none")
    text = labels > 0
    weight = (24.0 / heights[text].clamp(min=1)).sqrt().clamp(0.5, 1.5)
    negatives = loss[labels == 0]
    count = min(int(hard_negatives * float(weight.sum())) + 256 * len(labels), negatives.numel())
    worst = negatives.topk(count, sorted=False).values
    return ((loss[text] * weight).sum() + worst.sum()) / (weight.sum() + count)


def to_tensors(batch: SceneBatch) -> tuple[Tensor, Tensor, Tensor]:
    """Images (N, 1, S, S) float32 in [0, 1], labels (N, h, w) int64, heights (N, h, w) float32.

    The characters' classes become one: text.
    """
    images = torch.from_numpy(batch.images).float().div_(255).unsqueeze_(1)
    labels = torch.from_numpy(batch.text_labels())
    return images, labels, torch.from_numpy(batch.heights.astype(np.float32))


def relit(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Each scene with its polarity turned half the time, and another contrast and brightness."""
    count = len(images)
    gain = rng.uniform(0.55, 1.1, count) * rng.choice([-1.0, 1.0], count)
    shift = rng.uniform(-0.15, 0.15, count)
    gains, shifts = (
        torch.from_numpy(values.astype(np.float32)).view(-1, 1, 1, 1) for values in (gain, shift)
    )
    return ((images - 0.5) * gains + 0.5 + shifts).clamp_(0, 1)


@dataclass(frozen=True)
class Validation:
    """Text against "no text", over all windows that count."""

    test: Accuracy
    """Share of windows classified rightly."""
    f1: float
    """Best F1 of text windows over thresholds of the log odds."""
    threshold: float
    """Log odds where it is reached."""


def validate(net: nn.Module, scenes: SceneStore, batch: int) -> Validation:
    """Measure a network; it is left in evaluation mode."""
    net.eval()
    histograms = np.zeros((2, _BINS))
    for start in range(0, len(scenes), batch):
        images, labels, _ = to_tensors(scenes.read(np.arange(len(scenes))[start : start + batch]))
        with torch.inference_mode():
            logits = net(images)
        odds = (logits[:, 1] - logits[:, 0]).clamp(-_REACH + 1e-3, _REACH - 1e-3)
        for row in (0, 1):
            chosen = odds[labels == row].numpy()
            histograms[row] += np.histogram(chosen, _BINS, (-_REACH, _REACH))[0]
    return _figures(histograms)


def _figures(histograms: np.ndarray) -> Validation:
    above = histograms[:, ::-1].cumsum(1)[:, ::-1]
    totals = np.maximum(histograms.sum(1), 1)
    f1 = 2 * above[1] / np.maximum(above[0] + above[1] + totals[1], 1)
    best = int(f1.argmax())
    found = float(above[1, _BINS // 2])
    false = float(above[0, _BINS // 2])
    return Validation(
        test=Accuracy(
            overall=(float(totals[0]) - false + found) / float(totals.sum()),
            per_class=(1 - false / float(totals[0]), found / float(totals[1])),
        ),
        f1=float(f1[best]),
        threshold=best * 2 * _REACH / _BINS - _REACH,
    )
