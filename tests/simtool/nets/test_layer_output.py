from __future__ import annotations

from collections.abc import Callable

import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from simrun.errors import ModelError
from simtool.export.to_onnx import Port, to_onnx
from simtool.nets.layer_output import LayerOutput
from simtool.nets.layers import find_layer, replacing
from tests.simtool.example_nets import IN_PLACE, InPlace, Untraceable, Vgg, settled

PORTS = Port("image", ("N", 3, "H", "W")), Port("maps", ("N", 6, "h", "w"))


def own_maps(model: nn.Module, layer: str, images: Tensor) -> Tensor:
    """What the untouched network answers there."""
    kept: list[Tensor] = []
    keep = replacing(find_layer(model, layer), lambda maps: kept.append(maps.clone()))
    with torch.inference_mode(), keep:
        model(images)
    return kept[-1]


def in_turn(*names: str) -> Callable[[Tensor], None]:
    def write(x: Tensor) -> None:
        for name in names:
            IN_PLACE[name](x)

    return write


def test_the_exported_part_holds_what_the_network_writes_in_place() -> None:
    torch.manual_seed(0)
    ways = in_turn("module", "add", "slice", "view", "chunk", "out", "transposed", "clamp")
    model = InPlace(ways).eval()
    part = LayerOutput(model, "conv2", torch.zeros(2, 3, 16, 16), "conv2")
    graph = to_onnx(part, torch.zeros(2, 3, 61, 83), *PORTS)
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    for shape in ((1, 3, 40, 50), (3, 3, 64, 33)):
        images = torch.randn(shape)
        (found,) = session.run(None, {"image": images.numpy()})
        expected = own_maps(model, "conv2", images)
        with torch.inference_mode():
            assert torch.equal(part(images), expected)
        assert torch.allclose(torch.from_numpy(found), expected, atol=1e-5)


def test_a_part_that_decides_by_values_is_not_exported() -> None:
    part = LayerOutput(Decides().eval(), "last", torch.zeros(2, 3, 16, 16), "last")
    with pytest.raises(ModelError, match=r"exported: .*values of tensors"):
        to_onnx(part, torch.zeros(2, 3, 61, 83), *PORTS)


class Decides(Untraceable):
    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Conv2d(5, 6, 1)

    def forward(self, x: Tensor) -> Tensor:
        f = torch.relu(self.conv(x))
        if float(f.sum()) < 0:
            f = -f
        return self.last(f).mean((2, 3))


def test_only_weights_before_the_layer_belong_to_the_part_and_any_size_goes() -> None:
    model = settled(Vgg())
    part = LayerOutput(model, "features.3", torch.zeros(2, 3, 8, 8), "features.3")
    kept = {id(value) for value in part.parameters()}
    assert kept == {id(value) for value in (*model.features[0].parameters(),)} | {
        id(value) for value in model.features[3].parameters()
    }
    assert part(torch.zeros(1, 3, 40, 24)).shape == (1, 6, 20, 12)  # the head takes 8x8 alone


def test_of_several_calls_the_last_counts() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(self.conv(x)).mean((2, 3))

    model = Twice().eval()
    images = torch.randn(2, 3, 8, 8)
    part = LayerOutput(model, "conv", images, "conv")
    assert torch.allclose(part(images), model.conv(model.conv(images)))
