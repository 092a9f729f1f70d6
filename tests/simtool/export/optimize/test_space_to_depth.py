"""A graph from space to depth is the graph that it is made from."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from simtool.export.heatmap_graph import LocalizerGraph, Polarity, Readout
from simtool.export.optimize.space_to_depth import SpaceToDepthGraph, with_space_to_depth

pytestmark = pytest.mark.usefixtures("double")


def trunk(channels: int = 1, kernel: int = 5, **options: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, 3, kernel, **options),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(3, 4, 3),
        nn.ReLU(),
    ).eval()


def graph_of(
    layers: nn.Module, polarity: Polarity = "both", squash: bool = False
) -> LocalizerGraph:
    readout = Readout(torch.randn(2, 4), torch.randn(2), torch.rand(2) + 0.5, squash)
    return LocalizerGraph(layers, readout, polarity)


@pytest.mark.parametrize("polarity", ["bright", "dark", "both"])
@pytest.mark.parametrize("size", [(16, 16), (17, 20), (22, 19), (31, 33)], ids=str)
@pytest.mark.parametrize(("channels", "kernel"), [(1, 5), (3, 3)])
def test_it_gives_the_same_at_odd_and_even_sizes(
    polarity: Polarity, size: tuple[int, int], channels: int, kernel: int
) -> None:
    torch.manual_seed(0)
    graph = graph_of(trunk(channels, kernel), polarity)
    rearranged = with_space_to_depth(graph)
    assert isinstance(rearranged, SpaceToDepthGraph)
    image = torch.randint(0, 256, (2, channels, *size), dtype=torch.uint8)
    expected = graph(image)
    assert expected.std() > 0.01
    # 1/255 is rounded to float32 in one of them, as an exported graph has it.
    assert torch.allclose(rearranged(image), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("polarity", ["bright", "dark", "both"])
@pytest.mark.parametrize(
    "options",
    [{"dilation": 2}, {"stride": 2}, {"groups": 2}, {"bias": False}, {"kernel_size": (1, 3)}],
    ids=str,
)
def test_the_next_convolution_may_be_of_any_kind_but_padded(
    polarity: Polarity, options: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    following = nn.Conv2d(4, 4, **{"kernel_size": 3} | options)
    layers = nn.Sequential(nn.Conv2d(1, 4, 5), nn.ReLU(), nn.MaxPool2d(2), following).eval()
    graph = graph_of(layers, polarity)
    rearranged = with_space_to_depth(graph)
    assert isinstance(rearranged, SpaceToDepthGraph)
    image = torch.randint(0, 256, (1, 1, 33, 26), dtype=torch.uint8)
    expected = graph(image)
    assert expected.std() > 0.01
    assert torch.allclose(rearranged(image), expected, rtol=0, atol=1e-6)


def test_the_sigmoid_stays() -> None:
    graph = graph_of(trunk(), squash=True)
    image = torch.randint(0, 256, (1, 1, 20, 20), dtype=torch.uint8)
    assert torch.allclose(with_space_to_depth(graph)(image), graph(image), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "layers",
    [
        trunk(padding=2),
        trunk(stride=2),
        trunk(dilation=2),
        trunk(kernel=4),
        nn.Sequential(nn.Conv2d(1, 3, 5), nn.ReLU(), nn.MaxPool2d(3), nn.Conv2d(3, 4, 3)),
        nn.Sequential(nn.Conv2d(1, 3, 5), nn.ReLU(), nn.MaxPool2d(2, stride=1), nn.Conv2d(3, 4, 3)),
        nn.Sequential(nn.Conv2d(1, 4, 5), nn.ReLU()),
        nn.Sequential(nn.Conv2d(1, 4, 5), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Sequential(nn.Conv2d(1, 3, 5), nn.ReLU(), nn.MaxPool2d(2), nn.ReLU()),
        nn.Sequential(
            nn.Conv2d(1, 3, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 4, 3, padding=1)
        ),
    ],
    ids=[
        "padded",
        "strided",
        "dilated",
        "even",
        "pool of 3",
        "pool at every pixel",
        "no pool",
        "nothing behind",
        "no convolution behind",
        "padded behind",
    ],
)
def test_other_layers_stay_as_they_are(layers: nn.Sequential) -> None:
    graph = graph_of(layers)
    assert with_space_to_depth(graph) is graph
