"""The deletion curve of a network that is worked by hand, and the orders that filters go in."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from simtool.ablation.deletion import (
    Order,
    Orders,
    kernel_norms,
    last_convolution,
    measure_deletion,
)
from simtool.ablation.partition.graph import HookCut
from simtool.ablation.record import Deletion
from simtool.distributed import ALONE

Batches = list[tuple[Tensor, Tensor]]


def pictures(*responses: tuple[float, ...]) -> Tensor:
    """Of one pixel each, whose channels are the filters' responses."""
    return torch.tensor(responses, dtype=torch.float32)[:, :, None, None]


FOUR: Batches = [
    (pictures((3, 2, 1), (1, 2, 3), (1, 3, 2)), torch.tensor([0, 2, 1])),
    (pictures((2, 1, 3)), torch.tensor([0])),
]
"""The first three are of the class of the filter that responds most, the last one is not."""


def order(*filters: int) -> Order:
    return np.array(filters, np.int64)


def curves(orders: Orders, batches: Batches = FOUR, baseline: Tensor | None = None) -> Deletion:
    """Of a network whose logits are its filters' responses."""
    maps = nn.Identity()
    cut = HookCut(nn.Sequential(maps, nn.Flatten()), maps, "maps")
    return measure_deletion(cut, batches, orders, "loss", baseline, ALONE)


def test_each_order_has_the_share_that_is_still_right() -> None:
    random = (order(1, 0, 2), order(2, 0, 1))
    found = curves(Orders(order(0, 2, 1), order(2, 1, 0), random))
    assert found.blocked == (0, 1, 2, 3)
    # With every filter blocked the logits are equal, and the first class is taken: two are right.
    assert found.by_harm == (0.75, 0.5, 0.25, 0.5)
    assert found.by_norm == (0.75, 0.75, 0.5, 0.5)
    assert found.random == ((0.75, 0.5, 0.25, 0.5), (0.75, 0.75, 0.25, 0.5))
    assert (found.criterion, found.samples) == ("loss", 4)


def test_without_weights_to_go_by_no_curve_is_lost() -> None:
    found = curves(Orders(order(0, 2, 1), None, (order(2, 1, 0),)))
    assert found.by_norm is None
    assert found.by_harm == (0.75, 0.5, 0.25, 0.5)
    assert found.random == ((0.75, 0.75, 0.5, 0.5),)


def test_a_blocked_filter_answers_the_baseline() -> None:
    # Blocked, filter 1 answers more than any other, so that all are taken for its class.
    found = curves(Orders(order(1, 0, 2), None, ()), baseline=torch.tensor([0.0, 9.0, 0.0]))
    assert found.by_harm == (0.75, 0.25, 0.25, 0.25)


def test_of_many_filters_as_many_go_at_each_of_24_steps() -> None:
    batch = (torch.ones(1, 48, 1, 1), torch.tensor([0]))
    found = curves(Orders(np.arange(48), None, ()), [batch])
    assert found.blocked == tuple(range(0, 49, 2))


def test_what_harms_most_and_weighs_most_goes_first() -> None:
    orders = Orders.of(np.array([0.1, 0.3, -0.2, 0.3]), torch.tensor([1.0, 2, 2, 5]), seed=0)
    assert orders.by_harm.tolist() == [1, 3, 0, 2]
    assert orders.by_norm is not None
    assert orders.by_norm.tolist() == [3, 1, 2, 0]
    assert [one.tolist() for one in orders.all()[:2]] == [[1, 3, 0, 2], [3, 1, 2, 0]]


def test_random_orders_differ_and_come_again_with_their_seed() -> None:
    harm = np.zeros(20)
    first, again, other = (Orders.of(harm, None, seed) for seed in (3, 3, 4))
    assert first.by_norm is None
    rows = [tuple(one) for one in first.random]
    assert len(set(rows)) == len(rows) > 1
    assert all(sorted(row) == list(range(20)) for row in rows)
    assert rows == [tuple(one) for one in again.random]
    assert not set(rows) & {tuple(one) for one in other.random}
    assert [tuple(one) for one in first.all()] == [tuple(range(20)), *rows]


def test_the_norm_of_a_filter_is_euclidean_over_its_weights() -> None:
    convolution = nn.Conv2d(2, 2, 1)
    weights = torch.tensor([[3.0, -4.0], [5.0, 12.0]])
    convolution.weight = nn.Parameter(weights.view(2, 2, 1, 1))
    norms = kernel_norms(convolution)
    assert norms is not None
    assert norms.tolist() == [5, 13]
    assert kernel_norms(None) is None


@pytest.fixture
def network() -> nn.Sequential:
    """Two convolutions, of 2 and 3 filters, with the same activation behind each."""
    shared = nn.ReLU()
    first, second = nn.Conv2d(1, 2, 1), nn.Conv2d(2, 3, 1)
    return nn.Sequential(nn.Identity(), first, shared, second, shared, nn.PixelUnshuffle(2))


@pytest.mark.parametrize(
    ("layer", "convolution"),
    [("1", "1"), ("3", "3"), ("0", None), ("5", None)],
    ids=["itself", "itself, though another came before", "before any", "other number of maps"],
)
def test_the_convolution_of_a_layer(
    network: nn.Sequential, layer: str, convolution: str | None
) -> None:
    wanted = None if convolution is None else network.get_submodule(convolution)
    assert last_convolution(network, layer, torch.zeros(1, 1, 4, 6)) is wanted
    assert not any(module._forward_hooks for module in network.modules())


def test_the_convolution_before_a_layer_called_twice_is_that_of_its_last_call(
    network: nn.Sequential,
) -> None:
    assert network.get_submodule("2") is network.get_submodule("4")
    assert last_convolution(network, "2", torch.zeros(1, 1, 4, 6)) is network.get_submodule("3")
    assert last_convolution(network[:3], "2", torch.zeros(1, 1, 4, 6)) is network.get_submodule("1")
