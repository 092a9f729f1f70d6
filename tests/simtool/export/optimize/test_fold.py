"""A folded graph is the graph that it is made from, with fewer operations."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from simtool.export.heatmap_graph import LocalizerGraph, Polarity, Readout
from simtool.export.optimize.fold import optimized
from simtool.export.optimize.space_to_depth import SpaceToDepthGraph
from simtool.export.to_onnx import Port, to_onnx
from simtool.export.trunk import transform_trunk
from simtool.nets.blocks import Context, Residual

SIZES = [(16, 16), (17, 20), (22, 19), (31, 33)]


def trunk(kernel: int = 3, groups: int = 1, padding: int = 2) -> nn.Sequential:
    """Two strides, and two blocks of which the second is of the form asked for."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3, stride=2, padding=1),
        nn.ReLU(),
        Residual(nn.Conv2d(4, 4, 3, padding=3, dilation=3)),
        Residual(nn.Conv2d(4, 4, kernel, padding=padding, dilation=2, groups=groups)),
    ).eval()


def graph_of(layers: nn.Module, polarity: Polarity = "bright") -> LocalizerGraph:
    readout = Readout(torch.randn(2, 4), torch.randn(2), torch.rand(2) + 0.5, squash=True)
    return LocalizerGraph(layers, readout, polarity)


def picture(size: tuple[int, int]) -> torch.Tensor:
    return torch.randint(0, 256, (2, 1, *size), dtype=torch.uint8)


@pytest.mark.parametrize("polarity", ["bright", "dark", "both"])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.usefixtures("double")
def test_it_gives_the_same_at_odd_and_even_sizes(polarity: Polarity, size: tuple[int, int]) -> None:
    graph = graph_of(trunk(), polarity)
    image = picture(size)
    expected = graph(image)
    assert expected.std() > 0.01
    # 1/255 is rounded to float32 in both.
    assert torch.allclose(optimized(graph)(image), expected, rtol=0, atol=1e-12)


@pytest.mark.usefixtures("double")
def test_the_graph_itself_stays_as_it_is() -> None:
    layers = trunk()
    graph = graph_of(layers)
    image = picture((24, 24))
    expected, names = graph(image), [name for name, _ in graph.named_modules()]
    optimized(graph)
    assert torch.equal(graph(image), expected)
    assert [name for name, _ in graph.named_modules()] == names
    assert isinstance(layers[4], Residual)


@pytest.mark.parametrize(
    ("form", "blocks"), [({}, 0), ({"groups": 2}, 1)], ids=["plain", "grouped"]
)
@pytest.mark.usefixtures("double")
def test_blocks_that_have_no_middle_tap_stay(form: dict[str, int], blocks: int) -> None:
    graph = graph_of(trunk(**form))
    image = picture((24, 24))
    folded = optimized(graph)
    assert sum(isinstance(module, Residual) for module in folded.modules()) == blocks
    assert torch.allclose(folded(image), graph(image), rtol=0, atol=1e-12)


@pytest.mark.usefixtures("double")
def test_sums_stay_where_they_are_asked_for() -> None:
    graph, image = graph_of(trunk()), picture((24, 24))
    unfolded = optimized(graph, fold_residuals=False)
    assert sum(isinstance(module, Residual) for module in unfolded.modules()) == 2
    assert torch.allclose(unfolded(image), graph(image), rtol=0, atol=1e-12)


def test_neither_sums_nor_a_scaling_are_left() -> None:
    graph = optimized(graph_of(trunk()))
    example = torch.zeros(2, 1, 61, 83, dtype=torch.uint8)
    ports = Port("image", ("N", 1, "H", "W")), Port("heatmap", ("N", 2, "h", "w"))
    operators = [node.op_type for node in to_onnx(graph, example, *ports).graph.node]
    assert set(operators) == {"Cast", "Conv", "Relu", "Sigmoid"}
    assert operators.count("Conv") == 5


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.usefixtures("double")
def test_blocks_at_half_the_resolution_fold_too(size: tuple[int, int]) -> None:
    layers = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), Context(4, 6, (1, 2)))
    graph, image = graph_of(layers.eval()), picture(size)
    folded = optimized(graph)
    assert not any(isinstance(module, Residual) for module in folded.modules())
    assert graph(image).std() > 0.01
    assert torch.allclose(folded(image), graph(image), rtol=0, atol=1e-12)


@pytest.mark.usefixtures("double")
def test_blocks_after_a_pooling_fold_too() -> None:
    layers = nn.Sequential(
        nn.Conv2d(1, 4, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3),
        Residual(nn.Conv2d(4, 4, 3, padding=1)),
    )
    graph = graph_of(transform_trunk(layers, "keep", "same"), "both")
    folded, image = optimized(graph), picture((30, 27))
    assert isinstance(folded, SpaceToDepthGraph)
    assert not any(isinstance(module, Residual) for module in folded.modules())
    assert torch.allclose(folded(image), graph(image), rtol=0, atol=1e-6)


@pytest.mark.usefixtures("double")
def test_a_network_that_is_no_sequence_stays_as_it_is() -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = Residual(nn.Conv2d(1, 1, 3, padding=1))
            self.wide = nn.Conv2d(1, 4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            maps: torch.Tensor = self.wide(self.block(x))
            return maps

    graph, image = graph_of(Branches().eval()), picture((9, 9))
    assert torch.equal(optimized(graph)(image), graph(image))
