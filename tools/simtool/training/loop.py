"""Training of a classifier by a recipe: the same seed gives the same weights, resumed or not.

Bit for bit, that is, on the same machine with the same number of threads and processes: sums of
floats depend on how they are split. Several processes (`simtool.distributed`) share each batch;
their gradients are added up, so that every process takes the same step.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from simrun.errors import ModelError, UsageError
from simrun.progress import Advance, progress
from simtool.data import LabelledImages
from simtool.data.tensors import to_tensors
from simtool.distributed import ALONE, Peers
from simtool.files import write_json
from simtool.nets import SplitNet, build_net
from simtool.nets.base import load_weights
from simtool.runs.checkpoint import Checkpoint, load_optimizer, optimizer_tensors
from simtool.runs.folder import SUMMARY_FILE, RunConfig, RunFolder
from simtool.runs.recipes import Recipe
from simtool.training.accuracy import Accuracy, measure_accuracy

log = logging.getLogger(__name__)


def train(
    recipe: Recipe,
    train_split: LabelledImages,
    test_split: LabelledImages,
    out: Path,
    seed: int,
    peers: Peers = ALONE,
) -> list[dict[str, Any]]:
    """Train, or go on after the last whole epoch where `out` holds this very run.

    Args:
        recipe: network, optimizer and length.
        train_split: what is learned.
        test_split: what is measured after each epoch; it decides nothing.
        out: run folder, see `simtool.runs.folder`.
        seed: of the initial weights and the order of the images.
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
    config = RunConfig(recipe, seed, train_split.sha256)
    run = RunFolder.create(out, config) if peers.leads else RunFolder(out)
    peers.wait()
    net = _initial_net(recipe, seed)
    _check_sharable(net, peers)
    optimizer = torch.optim.Adam(net.parameters(), lr=recipe.learning_rate)
    done = _resume(run, net, optimizer)
    history = run.history(done)
    iterations = math.ceil(len(train_split) / recipe.batch)
    with progress(f"steps of seed {seed}", recipe.epochs * iterations) as advance:
        advance(done * iterations)
        for epoch in range(done, recipe.epochs):
            started = time.monotonic()
            loss = _train_epoch(net, optimizer, train_split, recipe, seed, epoch, advance, peers)
            accuracy = measure_accuracy(net, test_split, peers=peers)
            history.append(_record(epoch + 1, loss, accuracy, time.monotonic() - started))
            if peers.leads:
                run.save(_checkpoint(recipe, net, optimizer, epoch + 1), history)
            _log_epoch(recipe, seed, history[-1])
    peers.wait()
    return history


def train_seeds(
    recipe: Recipe,
    train_split: LabelledImages,
    test_split: LabelledImages,
    out: Path,
    seeds: int,
    peers: Peers = ALONE,
) -> dict[str, Any]:
    """Train seeds 0, 1, ... into `out`/seed-0, ... and summarise them in `out`/summary.json.

    Returns:
        The summary: mean and standard deviation (ddof 1) of the test accuracy, overall and per
        class, as fractions.

    Raises:
        The errors of `train`.
    """
    finals = [
        train(recipe, train_split, test_split, out / f"seed-{seed}", seed, peers)[-1]
        for seed in range(seeds)
    ]
    summary = summarise([record["test"] for record in finals])
    if peers.leads:
        write_json(out / SUMMARY_FILE, summary)
    return summary


def summarise(accuracies: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation (ddof 1; 0 for one seed) over seeds of recorded accuracies."""
    overall = np.array([a["overall"] for a in accuracies])
    per_class = np.array([a["per_class"] for a in accuracies], dtype=float)
    ddof = 1 if len(accuracies) > 1 else 0
    return {
        "seeds": len(accuracies),
        "mean": float(overall.mean()),
        "std": float(overall.std(ddof=ddof)),
        "overall": overall.tolist(),
        "per_class_mean": per_class.mean(0).tolist(),
        "per_class_std": per_class.std(0, ddof=ddof).tolist(),
    }


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


def _initial_net(recipe: Recipe, seed: int) -> SplitNet:
    """A network whose initial weights depend on the seed alone."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = build_net(recipe.net, recipe.variant)
    if recipe.scenes is not None:  # half as fast again, on large images
        net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net


def _record(epoch: int, loss: float, accuracy: Accuracy, seconds: float) -> dict[str, Any]:
    """An epoch's entry in the history."""
    return {
        "epoch": epoch,
        "loss": loss,
        "test": asdict(accuracy),
        "seconds": round(seconds, 1),
    }


def _checkpoint(
    recipe: Recipe, net: SplitNet, optimizer: torch.optim.Optimizer, epochs: int
) -> Checkpoint:
    state = optimizer_tensors(net, optimizer)
    return Checkpoint(recipe.net, epochs, net.state_dict(), state, variant=recipe.variant)


def _log_epoch(recipe: Recipe, seed: int, record: Mapping[str, Any]) -> None:
    log.info(
        "seed %d epoch %d/%d: loss %.4f, test accuracy %.2f %%, %.1f s",
        *(seed, record["epoch"], recipe.epochs, record["loss"]),
        *(100 * record["test"]["overall"], record["seconds"]),
    )


def _resume(run: RunFolder, net: SplitNet, optimizer: torch.optim.Optimizer) -> int:
    """Load the last checkpoint, where there is one; returns the whole epochs done."""
    checkpoint = run.checkpoint()
    if checkpoint is None:
        return 0
    load_weights(net, checkpoint.weights)
    load_optimizer(net, optimizer, checkpoint.optimizer)
    log.info("%s: %d epochs are done already", run.path, checkpoint.epoch)
    return checkpoint.epoch


def _train_epoch(
    net: SplitNet,
    optimizer: torch.optim.Optimizer,
    data: LabelledImages,
    recipe: Recipe,
    seed: int,
    epoch: int,
    advance: Advance,
    peers: Peers,
) -> float:
    """One pass over the data in an order that depends on seed and epoch alone; the mean loss."""
    order = np.random.default_rng([seed, epoch]).permutation(len(data))
    starts = range(0, len(data), recipe.batch)
    total = 0.0
    weights = torch.ones(len(data.classes))
    weights[-1] = recipe.background_weight
    net.train()
    with torch.random.fork_rng():
        torch.manual_seed(int(np.random.default_rng([seed, epoch, 1]).integers(2**63)))
        for index, start in enumerate(starts):
            iteration = epoch * len(starts) + index
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate / (1 + recipe.lr_decay * iteration)
            batch = order[start : start + recipe.batch]
            part = peers.part(len(batch))
            images, labels = to_tensors(data, batch[part.start : part.stop])
            # The mean over the whole batch: what the other processes have is added below.
            if recipe.scenes is not None:
                images = images.contiguous(memory_format=torch.channels_last)
            positions = len(batch) * labels.shape[1:].numel()
            loss = F.cross_entropy(net(images), labels, weights, reduction="sum") / positions
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            _share_gradients(net, peers)
            optimizer.step()
            total += loss.item() * len(batch)
            advance(1)
    total = float(peers.reduce_sum(torch.tensor(total, dtype=torch.float64)))
    if not math.isfinite(total):
        raise ModelError(f"the loss is {total} in epoch {epoch + 1}; lower the learning rate")
    return total / len(data)
