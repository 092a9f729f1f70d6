from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from simrun.errors import ModelError
from simtool.export.geometry import Geometry, check_geometry, trunk_geometry
from simtool.export.heatmap_graph import LocalizerGraph, Readout
from simtool.export.trunk import transform_trunk
from simtool.nets import build_net
from simtool.nets.blocks import Context
from tests.simtool.tiny import tiny_trunk

pytestmark = pytest.mark.usefixtures("double")


def pooled_trunk() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 5, 3, padding=1),
        nn.ReLU(),
    )


def readout(rows: int = 1, filters: int = 5) -> Readout:
    return Readout(torch.randn(rows, filters), torch.randn(rows), torch.rand(rows) + 0.5)


@pytest.mark.parametrize("rows", [1, 4])
def test_folding_is_weighting_by_hand(rows: int) -> None:
    trunk, values = tiny_trunk(), readout(rows)
    graph = LocalizerGraph(trunk, values, "bright")
    image = torch.randint(0, 256, (2, 1, 13, 17), dtype=torch.uint8)
    maps = trunk(image.double() / 255)
    for row in range(rows):
        by_hand = sum(values.weights[row, i] * maps[:, i] for i in range(5))
        by_hand = (by_hand - values.bias[row]) / values.scale[row]
        assert torch.allclose(graph(image)[:, row], by_hand, atol=1e-7)  # 1/255 is float32


def test_polarity_is_the_answer_to_the_inverted_image_or_the_greater_one() -> None:
    trunk, values = tiny_trunk(), readout()
    image = torch.randint(0, 256, (1, 1, 9, 9), dtype=torch.uint8)
    bright, dark, both = (LocalizerGraph(trunk, values, p) for p in ("bright", "dark", "both"))
    assert torch.allclose(dark(image), bright(255 - image), atol=1e-6)
    assert torch.equal(both(image), torch.maximum(bright(image), dark(image)))


def test_atrous_is_keep_shifted_and_stitched() -> None:
    trunk = pooled_trunk()
    keep = transform_trunk(trunk, "keep", "valid")
    atrous = transform_trunk(trunk, "atrous", "valid")
    image = torch.rand(1, 1, 45, 50)
    full = atrous(image)
    for dy, dx in itertools.product(range(4), repeat=2):
        shifted = keep(image[:, :, dy:, dx:])
        part = full[:, :, dy::4, dx::4][:, :, : shifted.shape[2], : shifted.shape[3]]
        assert part.shape == shifted.shape
        assert torch.allclose(part, shifted)


def test_drop_leaves_pooling_out_and_same_padding_keeps_the_size() -> None:
    trunk = pooled_trunk()
    image = torch.rand(1, 1, 21, 30)
    dropped = nn.Sequential(*[layer for layer in trunk if not isinstance(layer, nn.MaxPool2d)])
    assert torch.equal(transform_trunk(trunk, "drop", "same")(image), dropped(image))
    assert transform_trunk(trunk, "keep", "same")(image).equal(trunk(image))
    assert transform_trunk(trunk, "drop", "valid")(image).allclose(dropped(image)[:, :, 3:-3, 3:-3])


def test_transforming_shares_the_weights_and_leaves_the_trunk_alone() -> None:
    trunk = pooled_trunk()
    before = str(trunk)
    atrous = transform_trunk(trunk, "atrous", "valid")
    assert atrous[3].weight is trunk[3].weight
    assert str(trunk) == before


@pytest.mark.parametrize(
    ("pool", "padding", "expected"),
    [
        ("keep", "valid", Geometry(2, 6.5, 14)),
        ("keep", "same", Geometry(2, 0.5, 14)),
        ("atrous", "valid", Geometry(1, 6.5, 14)),
        ("drop", "valid", Geometry(1, 4.0, 9)),
        ("drop", "same", Geometry(1, 0.0, 9)),
    ],
)
def test_geometry_of_lenet(pool: str, padding: str, expected: Geometry) -> None:
    torch.set_default_dtype(torch.float32)
    trunk = transform_trunk(build_net("lenet").trunk, pool, padding)
    assert trunk_geometry(trunk) == expected
    check_geometry(trunk, 1, expected)


@pytest.mark.parametrize("pool", ["keep", "drop", "atrous"])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_probing_confirms_the_geometry_and_refuses_another(pool: str, padding: str) -> None:
    torch.set_default_dtype(torch.float32)
    trunk = transform_trunk(pooled_trunk(), pool, padding)
    right = trunk_geometry(trunk)
    check_geometry(trunk, 1, right)
    for wrong in (
        Geometry(right.stride, right.offset + 1, right.receptive_field),
        Geometry(right.stride, right.offset, right.receptive_field + 2),
        Geometry(right.stride + 1, right.offset, right.receptive_field),
    ):
        with pytest.raises(ModelError, match="not understood"):
            check_geometry(trunk, 1, wrong)


@pytest.mark.parametrize(("dilations", "reach"), [((), 2), ((1,), 4), ((1, 2), 8)])
@pytest.mark.parametrize("stride", [1, 2])
def test_context_sees_twice_as_far_and_moves_nothing(
    dilations: tuple[int, ...], reach: int, stride: int
) -> None:
    torch.set_default_dtype(torch.float32)
    context = Context(3, 4, dilations)
    trunk = nn.Sequential(nn.Conv2d(1, 3, 3, stride=stride, padding=1), context)
    assert context.reach == reach
    expected = Geometry(stride, 0.0, 3 + 2 * reach * stride)
    assert trunk_geometry(transform_trunk(trunk, "keep", "same")) == expected
    check_geometry(trunk, 1, expected)
    for field in (expected.receptive_field - 2, expected.receptive_field + 2):
        with pytest.raises(ModelError, match="not understood"):
            check_geometry(trunk, 1, Geometry(stride, 0.0, field))


@pytest.mark.parametrize(("pool", "padding"), [("atrous", "same"), ("keep", "valid")])
def test_context_is_exported_as_it_was_trained(pool: str, padding: str) -> None:
    with pytest.raises(ModelError, match="block '0' adds maps of half the resolution"):
        transform_trunk(nn.Sequential(Context(2, 2, ())), pool, padding)


@pytest.mark.parametrize(
    "layer",
    [nn.Linear(3, 3), nn.MaxPool2d(2, ceil_mode=True), nn.Conv2d(1, 1, (3, 5)), nn.Sigmoid()],
)
def test_layers_that_are_not_understood_are_refused(layer: nn.Module) -> None:
    with pytest.raises(ModelError, match="layer '0'"):
        transform_trunk(nn.Sequential(layer), "keep", "valid")
