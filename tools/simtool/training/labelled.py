"""Training on labelled images, a class an image or a class a position: one seed or several."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from simtool.data import LabelledImages
from simtool.data.tensors import to_tensors
from simtool.distributed import ALONE, Peers
from simtool.files import write_json
from simtool.runs.folder import SUMMARY_FILE
from simtool.runs.recipes import Recipe
from simtool.training.accuracy import measure_accuracy
from simtool.training.loop import fit


def train(
    recipe: Recipe,
    train_split: LabelledImages,
    test_split: LabelledImages,
    out: Path,
    seed: int,
    peers: Peers = ALONE,
) -> list[dict[str, Any]]:
    """Train on one split and measure on the other, which decides nothing; the history.

    The seed decides the order of the images too. Arguments and errors as
    `simtool.training.loop.fit`.
    """
    return fit(recipe, _Images(recipe, train_split, test_split, seed, peers), out, seed, peers)


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


@dataclass(frozen=True)
class _Images:
    """The task: the class of each image, or of each position of it."""

    recipe: Recipe
    data: LabelledImages
    test: LabelledImages
    seed: int
    peers: Peers

    @property
    def sha256(self) -> str:
        return self.data.sha256

    @property
    def steps(self) -> int:
        return math.ceil(len(self.data) / self.recipe.batch)

    def losses(self, net: nn.Module, epoch: int) -> Iterator[tuple[Tensor, float]]:
        """Cross-entropy of each batch, in an order that depends on seed and epoch alone."""
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.data))
        weights = torch.ones(len(self.data.classes))
        weights[-1] = self.recipe.background_weight
        for start in range(0, len(order), self.recipe.batch):
            batch = order[start : start + self.recipe.batch]
            part = self.peers.part(len(batch))
            images, labels = to_tensors(self.data, batch[part.start : part.stop])
            if self.recipe.channels_last:
                images = images.contiguous(memory_format=torch.channels_last)
            # The mean over the whole batch: what the other processes have is added by the loop.
            positions = len(batch) * labels.shape[1:].numel()
            summed = functional.cross_entropy(net(images), labels, weights, reduction="sum")
            yield summed / positions, len(batch)

    def measure(self, net: nn.Module) -> dict[str, Any]:
        return {"test": asdict(measure_accuracy(net, self.test, peers=self.peers))}

    def describe(self, measured: dict[str, Any]) -> str:
        return f"test accuracy {100 * measured['test']['overall']:.2f} %"
