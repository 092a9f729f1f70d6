"""The loop of every training: the same seed gives the same weights, resumed or not.

Bit for bit, that is, on the same machine with the same number of threads and processes: sums of
floats depend on how they are split. Several processes (`simtool.distributed`) share each batch;
their gradients are added up, so that every process takes the same step. What is learned, and the
loss on it, is a `Task`; optimizer, learning rates and the running mean are the recipe's.
"""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from simrun.errors import ModelError, UsageError
from simrun.progress import Advance, progress
from simtool.distributed import ALONE, Peers
from simtool.nets import build_any
from simtool.nets.base import load_weights
from simtool.runs.checkpoint import Checkpoint, load_optimizer, optimizer_tensors
from simtool.runs.folder import RunConfig, RunFolder
from simtool.runs.recipes import AnyRecipe

log = logging.getLogger(__name__)

_RAW: Final = "/raw"
"""Ending of the trained weights beside the optimizer's own: a checkpoint's weights are their mean
where the recipe has one."""


class Task(Protocol):
    """What a network learns."""

    @property
    def sha256(self) -> str:
        """Identity of the data that it learns from."""
        ...

    @property
    def steps(self) -> int:
        """Gradient steps an epoch."""
        ...

    def losses(self, net: nn.Module, epoch: int) -> Iterator[tuple[Tensor, float]]:
        """The loss of each step of an epoch, and how much it counts in their mean.

        A step is taken whenever a loss was given. Which data it is of depends on the task's seed
        and the step alone.
        """
        ...

    def measure(self, net: nn.Module) -> dict[str, Any]:
        """What the history says of a network: `test`, an `Accuracy` as a dictionary, and more."""
        ...

    def describe(self, measured: dict[str, Any]) -> str:
        """The same for the log, in a few words."""
        ...


def fit(
    recipe: AnyRecipe, task: Task, out: Path, seed: int, peers: Peers = ALONE
) -> list[dict[str, Any]]:
    """Train, or go on after the last whole epoch where `out` holds this very run.

    Args:
        recipe: network, optimizer and length.
        task: data and loss.
        out: run folder, see `simtool.runs.folder`.
        seed: of the initial weights.
        peers: the processes that share each batch; the leading one writes.

    Returns:
        The history: a record an epoch.

    Raises:
        UsageError: the seed is negative, or `out` holds another run.
        OutputError: `out` holds something else or cannot be written.
        ModelError: the loss is not finite, or the checkpoint is damaged.
    """
    if seed < 0:
        raise UsageError(f"--seed is {seed}; it must be 0 or more")
    config = RunConfig(recipe, seed, task.sha256)
    run = RunFolder.create(out, config) if peers.leads else RunFolder(out)
    peers.wait()
    state = _State(recipe, seed, peers)
    done = state.resume(run)
    history = run.history(done)
    with progress(f"steps of seed {seed}", recipe.epochs * task.steps) as advance:
        advance(done * task.steps)
        for epoch in range(done, recipe.epochs):
            started = time.monotonic()
            loss = _train_epoch(state, task, seed, epoch, advance)
            measured = task.measure(state.weighed)
            seconds = round(time.monotonic() - started, 1)
            history.append({"epoch": epoch + 1, "loss": loss, **measured, "seconds": seconds})
            if peers.leads:
                run.save(state.checkpoint(epoch + 1), history)
            log.info(
                "seed %d epoch %d/%d: loss %.4f, %s, %.1f s",
                *(seed, epoch + 1, recipe.epochs, loss, task.describe(measured), seconds),
            )
    peers.wait()
    return history


class _State:
    """Network, optimizer and, where the recipe has one, the running mean of the weights."""

    def __init__(self, recipe: AnyRecipe, seed: int, peers: Peers) -> None:
        """Start from weights that depend on the seed alone. Raises UsageError by the network."""
        self.recipe, self.peers = recipe, peers
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.net = build_any(recipe.net, recipe.variant)
        if recipe.channels_last:  # half as fast again, on large images
            self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        _check_sharable(self.net, peers)
        self.average = None if recipe.averaging is None else copy.deepcopy(self.net)
        groups = _groups(self.net, recipe)
        self.optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=recipe.betas)

    @property
    def weighed(self) -> nn.Module:
        """The network whose weights count."""
        return self.net if self.average is None else self.average

    def step(self, step: int, loss: Tensor) -> None:
        """Go down the loss of step `step`, counted from the first of the training."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate(step)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        _share_gradients(self.net, self.peers)
        if self._clip():
            self.optimizer.step()
        else:
            log.warning("step %d has no finite gradient; it is left out", step)
        if self.average is not None and self.recipe.averaging is not None:
            # The first steps' weights are forgotten sooner.
            decay = min(self.recipe.averaging, 1 - 1 / (step + 2))
            _average(self.average, self.net, decay)

    def _clip(self) -> bool:
        """Bound the gradient, where the recipe does; False where it is not finite."""
        if self.recipe.clip_norm is None:
            return True
        norm = nn.utils.clip_grad_norm_(self.net.parameters(), self.recipe.clip_norm)
        return bool(torch.isfinite(norm))

    def checkpoint(self, epochs: int) -> Checkpoint:
        """Where the training stands after that many epochs."""
        tensors = optimizer_tensors(self.net, self.optimizer)
        if self.average is not None:
            tensors |= {f"{name}{_RAW}": value for name, value in self.net.state_dict().items()}
        recipe = self.recipe
        weights = self.weighed.state_dict()
        return Checkpoint(recipe.net, epochs, weights, tensors, variant=recipe.variant)

    def resume(self, run: RunFolder) -> int:
        """Load the last checkpoint, where there is one; returns the whole epochs done."""
        checkpoint = run.checkpoint()
        if checkpoint is None:
            return 0
        saved = checkpoint.optimizer
        load_weights(self.weighed, checkpoint.weights)
        if self.average is not None:
            raw = {k.removesuffix(_RAW): v for k, v in saved.items() if k.endswith(_RAW)}
            load_weights(self.net, raw)
        moments = {k: v for k, v in saved.items() if not k.endswith(_RAW)}
        load_optimizer(self.net, self.optimizer, moments)
        log.info("%s: %d epochs are done already", run.path, checkpoint.epoch)
        return checkpoint.epoch


def _train_epoch(state: _State, task: Task, seed: int, epoch: int, advance: Advance) -> float:
    """The steps of one epoch; the mean loss. Raises ModelError where it is not finite."""
    total, count = 0.0, 0.0
    state.net.train()
    with torch.random.fork_rng():
        torch.manual_seed(int(np.random.default_rng([seed, epoch, 1]).integers(2**63)))
        for step, (loss, share) in enumerate(task.losses(state.net, epoch), epoch * task.steps):
            state.step(step, loss)
            total += loss.item() * share
            count += share
            advance(1)
    total = float(state.peers.reduce_sum(torch.tensor(total, dtype=torch.float64)))
    if not math.isfinite(total):
        raise ModelError(f"the loss is {total} in epoch {epoch + 1}; lower the learning rate")
    return total / count


def _groups(net: nn.Module, recipe: AnyRecipe) -> list[dict[str, Any]]:
    """The parameters by how much their weights decay."""
    if recipe.decays_vectors:
        return [{"params": list(net.parameters()), "weight_decay": recipe.weight_decay}]
    kernels = [p for p in net.parameters() if p.ndim > 1]
    vectors = [p for p in net.parameters() if p.ndim <= 1]
    return [
        {"params": kernels, "weight_decay": recipe.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]


@torch.no_grad()
def _average(average: nn.Module, net: nn.Module, decay: float) -> None:
    """Move the running mean of weights and statistics a step; counts are copied."""
    for mean, new in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
        if mean.dtype.is_floating_point:
            mean.lerp_(new, 1 - decay)
        else:
            mean.copy_(new)


def _share_gradients(net: nn.Module, peers: Peers) -> None:
    """Replace each gradient by the sum over all processes, in one message."""
    if peers.world == 1:
        return
    gradients = [p.grad for p in net.parameters() if p.grad is not None]
    flat = peers.reduce_sum(torch.cat([gradient.flatten() for gradient in gradients]))
    pieces = torch.split(flat, [gradient.numel() for gradient in gradients])
    for gradient, shared in zip(gradients, pieces, strict=True):
        gradient.copy_(shared.view_as(gradient))


def _check_sharable(net: nn.Module, peers: Peers) -> None:
    """Raise UsageError where the statistics of a batch would depend on how it is shared."""
    norms = (nn.BatchNorm1d, nn.BatchNorm2d)
    if peers.world > 1 and any(isinstance(module, norms) for module in net.modules()):
        raise UsageError(
            f"the network has batch norms, whose statistics need the whole batch: train it in one "
            f"process, not {peers.world}"
        )
