"""Training of `scene-text`: a classifier of windows, thousands of them in one pass.

The same seed gives the same weights, resumed or not, on one machine and number of threads.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from simrun.errors import ModelError, UsageError
from simrun.progress import Advance, progress
from simtool.data.labels import IGNORE
from simtool.data.text.store import SceneBatch, SceneStore
from simtool.nets import SplitNet, build_net
from simtool.nets.base import load_weights
from simtool.runs.checkpoint import Checkpoint, load_optimizer, optimizer_tensors
from simtool.runs.folder import RunConfig, RunFolder
from simtool.runs.recipes import SceneRecipe
from simtool.training.accuracy import Accuracy

log = logging.getLogger(__name__)

_RAW = "raw"
"""Key of the trained weights beside the optimizer's own: a checkpoint's weights are their mean."""
_LATER_PEAK = 0.6

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
    """Train, or go on after the last whole epoch where `out` holds this very run.

    Args:
        recipe: network, optimizer and length.
        scenes: what is learned.
        held_out: what is measured after each epoch; it decides nothing.
        data_sha256: identity of the scenes, for the record.
        out: run folder, see `simtool.runs.folder`.
        seed: of the initial weights, and of the order and the light of the scenes.

    Returns:
        The history: a record an epoch.

    Raises:
        UsageError: the seed is negative, there are too few scenes, or `out` holds another run.
        OutputError: `out` holds something else or cannot be written.
        ModelError: the loss is not finite, or the checkpoint is damaged.
    """
    if seed < 0 or len(scenes) < recipe.batch:
        raise UsageError(f"seed {seed} with {len(scenes)} scenes: 0 and {recipe.batch} are needed")
    run = RunFolder.create(out, RunConfig(recipe, seed, data_sha256))
    training = _Training(recipe, scenes, seed)
    done = training.resume(run)
    history = run.history(done)
    with progress(f"steps of seed {seed}", recipe.epochs * recipe.steps) as advance:
        advance(done * recipe.steps)
        for epoch in range(done, recipe.epochs):
            started = time.monotonic()
            loss = training.epoch(epoch, advance)
            found = validate(training.average, held_out, recipe.batch)
            seconds = round(time.monotonic() - started, 1)
            history.append({"epoch": epoch + 1, "loss": loss, "seconds": seconds, **asdict(found)})
            run.save(training.checkpoint(epoch + 1), history)
            log.info(
                "seed %d epoch %d/%d: loss %.4f, held-out scenes F1 %.4f, %.1f s",
                *(seed, epoch + 1, recipe.epochs, loss, found.f1, seconds),
            )
    return history


class _Training:
    """Network, running mean and optimizer."""

    def __init__(self, recipe: SceneRecipe, scenes: SceneStore, seed: int) -> None:
        self.recipe, self.scenes, self.seed = recipe, scenes, seed
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.net = build_net(recipe.net)
        self.average = build_net(recipe.net)
        self.average.load_state_dict(self.net.state_dict())
        self.optimizer = torch.optim.AdamW(
            self.net.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )

    def epoch(self, epoch: int, advance: Advance) -> float:
        """The steps of one epoch; the mean loss. Raises ModelError where it is not finite."""
        total = 0.0
        for step in range(epoch * self.recipe.steps, (epoch + 1) * self.recipe.steps):
            total += self._step(step)
            advance(1)
        if not math.isfinite(total):
            raise ModelError(f"the loss is {total} in epoch {epoch + 1}; lower the learning rate")
        return total / self.recipe.steps

    def checkpoint(self, epoch: int) -> Checkpoint:
        """Where the training stands after that many epochs."""
        state = optimizer_tensors(self.net, self.optimizer)
        state |= {f"{name}/{_RAW}": value.clone() for name, value in self._parameters()}
        weights = {name: value.clone() for name, value in self.average.state_dict().items()}
        return Checkpoint(self.recipe.net, epoch, weights, state)

    def resume(self, run: RunFolder) -> int:
        """Load the last checkpoint, where there is one; returns the whole epochs done."""
        checkpoint = run.checkpoint()
        if checkpoint is None:
            return 0
        mark = f"/{_RAW}"
        raw = {k.removesuffix(mark): v for k, v in checkpoint.optimizer.items() if mark in k}
        moments = {k: v for k, v in checkpoint.optimizer.items() if mark not in k}
        load_weights(self.average, checkpoint.weights)
        load_weights(self.net, raw)
        load_optimizer(self.net, self.optimizer, moments)
        log.info("%s: %d epochs are done already", run.path, checkpoint.epoch)
        return checkpoint.epoch

    def _parameters(self) -> list[tuple[str, Tensor]]:
        return [(name, value.detach()) for name, value in self.net.named_parameters()]

    def _step(self, step: int) -> float:
        recipe = self.recipe
        images, labels, heights = self._batch(step)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(recipe, step)
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bfloat16):
            logits = self.net(images)
        loss = window_loss(logits.float(), labels, heights, recipe.hard_negatives)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimizer.step()
        # The first steps' weights are forgotten sooner.
        decay = min(recipe.averaging, 1 - 1 / (step + 2))
        _lerp(self.average, self.net, 1 - decay)
        return loss.item()

    def _batch(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Which scenes a step sees, and in which light, depends on seed and step alone."""
        epoch, position = divmod(step, len(self.scenes) // self.recipe.batch)
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.scenes))
        start = position * self.recipe.batch
        picked = np.sort(order[start : start + self.recipe.batch])
        images, labels, heights = to_tensors(self.scenes.read(picked))
        return relit(images, np.random.default_rng((self.seed, 1, step))), labels, heights


def _lerp(average: SplitNet, net: SplitNet, share: float) -> None:
    with torch.no_grad():
        for mean, new in zip(average.parameters(), net.parameters(), strict=True):
            mean.lerp_(new, share)


def learning_rate(recipe: SceneRecipe, step: int) -> float:
    """The learning rate of a step, from 0; 0 past the last."""
    peak = recipe.learning_rate
    for epochs in recipe.cycles:
        length = epochs * recipe.steps
        if step < length:
            warm = min(1.0, (step + 1) / recipe.warmup)
            return peak * warm * 0.5 * (1 + math.cos(math.pi * step / length))
        step, peak = step - length, _LATER_PEAK * peak
    return 0.0


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


def validate(net: SplitNet, scenes: SceneStore, batch: int) -> Validation:
    """Measure a network; it is left in evaluation mode."""
    net.eval()
    histograms = np.zeros((2, _BINS))
    for start in range(0, len(scenes), batch):
        read = scenes.read(np.arange(start, min(start + batch, len(scenes))))
        images = torch.from_numpy(read.images).float().div_(255).unsqueeze_(1)
        with torch.inference_mode():
            logits = net(images)
        odds = (logits[:, 1] - logits[:, 0]).clamp(-_REACH + 1e-3, _REACH - 1e-3).numpy()
        for row, chosen in enumerate((read.labels == 0, read.labels > 0)):
            histograms[row] += np.histogram(odds[chosen], _BINS, (-_REACH, _REACH))[0]
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
