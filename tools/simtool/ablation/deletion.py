"""The deletion curve: accuracy as filters are blocked one after the other.

It shows whether the order by importance means anything: blocking the most important first must
hurt sooner than random orders do, and than the order by the size of the filters' weights.
(Bau et al., PNAS 2020, arXiv 2009.05041, remove units in the same way.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from simtool.ablation.partition.graph import Baseline, Cut
from simtool.ablation.record import Deletion
from simtool.distributed import Peers
from simtool.nets.layers import check_spatial, watch_forward

MOST_SAMPLES: Final = 2000
"""Images that the curve is measured on, spread evenly over the data."""
_RANDOM_ORDERS: Final = 5
_STEPS: Final = 24
"""Blockings measured in each order, where there are more filters."""

Order = NDArray[np.int64]


@dataclass(frozen=True)
class Orders:
    """The orders in which filters (K,) go, the first first."""

    by_harm: Order
    by_norm: Order | None
    random: tuple[Order, ...]

    @classmethod
    def of(cls, harm: NDArray[np.float64], norms: Tensor | None, seed: int) -> Orders:
        """Largest harm first, largest weights first, and at random."""
        random = np.random.default_rng(seed)
        return cls(
            by_harm=np.argsort(-harm, kind="stable"),
            by_norm=None if norms is None else np.argsort(-norms.numpy(), kind="stable"),
            random=tuple(random.permutation(len(harm)) for _ in range(_RANDOM_ORDERS)),
        )

    def all(self) -> list[Order]:
        """Every order in a row."""
        by_norm = [] if self.by_norm is None else [self.by_norm]
        return [self.by_harm, *by_norm, *self.random]


def measure_deletion(
    cut: Cut,
    batches: Iterable[tuple[Tensor, Tensor]],
    orders: Orders,
    criterion: str,
    baseline: Baseline,
    peers: Peers,
) -> Deletion:
    """Block filters in each order and count what is still classified rightly.

    Args:
        cut: the network.
        batches: images and labels (N,), this process' part of them.
        orders: in which filters go.
        criterion: by which `orders.by_harm` goes, for the record.
        baseline: of blocked filters.
        peers: the processes that share the data.
    """
    rows, filters = orders.all(), len(orders.by_harm)
    steps = np.unique(np.linspace(0, filters, min(filters, _STEPS) + 1).round().astype(int))
    masks = [[_blocked(order, count) for count in steps] for order in rows]
    right = torch.zeros((len(rows), len(steps)), dtype=torch.float64)
    seen = torch.zeros(1, dtype=torch.float64)
    with torch.inference_mode():
        for images, labels in batches:
            response = cut.run(images, baseline)
            truth = labels.to(response.logits.device)
            for row, of_order in enumerate(masks):
                for column, mask in enumerate(of_order):
                    hits = response.without_all(mask).argmax(1) == truth
                    right[row, column] += float(hits.sum())
            seen += len(labels)
    accuracy = peers.reduce_sum(right) / peers.reduce_sum(seen)
    curves = [tuple(float(v) for v in row) for row in accuracy]
    with_norm = orders.by_norm is not None
    return Deletion(
        blocked=tuple(int(step) for step in steps),
        by_harm=curves[0],
        by_norm=curves[1] if with_norm else None,
        random=tuple(curves[2 if with_norm else 1 :]),
        criterion=criterion,
        samples=int(peers.reduce_sum(seen)),
    )


def kernel_norms(convolution: nn.Conv2d | None) -> Tensor | None:
    """(K,) Euclidean norm of each filter's weights."""
    if convolution is None:
        return None
    norms: Tensor = torch.linalg.vector_norm(convolution.weight.detach().flatten(1), dim=1).cpu()
    return norms


def last_convolution(model: nn.Module, layer: str, images: Tensor) -> nn.Conv2d | None:
    """The convolution that makes a layer's maps: the last one called before the layer answers.

    None where that one has another number of filters than the layer has maps.

    Args:
        model: in evaluation mode.
        layer: name of a module in it.
        images: (N, C, H, W), one is enough.
    """
    called: list[nn.Conv2d] = []
    last: list[tuple[nn.Conv2d, int]] = []

    def note(module: nn.Module, inputs: object, output: object) -> None:
        if isinstance(module, nn.Conv2d):
            called.append(module)

    def answer(module: nn.Module, inputs: object, output: object) -> None:
        if called:
            last.append((called[-1], check_spatial(layer, output).shape[1]))

    hooks = [(module, note) for module in model.modules()]
    watch_forward(model, images, [*hooks, (model.get_submodule(layer), answer)])
    if not last:
        return None
    convolution, maps = last[-1]
    return convolution if convolution.weight.shape[0] == maps else None


def _blocked(order: Sequence[int] | Order, count: int) -> Tensor:
    """(K,) bool: the first `count` filters of the order."""
    mask = torch.zeros(len(order), dtype=torch.bool)
    mask[torch.as_tensor(np.asarray(order[:count]))] = True
    return mask
