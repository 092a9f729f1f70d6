"""The inner convolutions in 8 bits, on networks small enough to do the sums."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx.numpy_helper import to_array
from torch import Tensor, nn

from simrun.errors import UsageError
from simtool.export.int8.quantize import inner_convolutions, measure_values, quantize
from simtool.export.to_onnx import Port, to_onnx
from simtool.nets.blocks import Context, Residual

Picture = NDArray[np.uint8]


class Scaled(nn.Module):
    """Image (N, 1, H, W) uint8 -> what the layers make of it in [0, 1]."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, image: Tensor) -> Tensor:
        return self.layers(image.float() / 255)


class Forked(nn.Module):
    """Two convolutions read the picture, one of them for the last layer alone."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.inner = nn.Conv2d(4, 4, 3, padding=1)
        self.around = nn.Conv2d(1, 4, 1)
        self.last = nn.Conv2d(8, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        scaled = image.float() / 255
        deep = torch.relu(self.inner(torch.relu(self.stem(scaled))))
        return self.last(torch.cat([deep, self.around(scaled)], 1))


def graph_of(module: nn.Module) -> onnx.ModelProto:
    example = torch.zeros(2, 1, 21, 33, dtype=torch.uint8)
    source, result = Port("image", ("N", 1, "H", "W")), Port("heatmap", ("N", 1, "h", "w"))
    return to_onnx(module.eval(), example, source, result)


def conv(inputs: int, filters: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, filters, 3, padding=1)


def chain() -> nn.Module:
    torch.manual_seed(0)
    layers = [conv(1, 4), nn.ReLU(), conv(4, 5), nn.ReLU(), nn.Conv2d(5, 1, 1)]
    return Scaled(*layers)


def residual() -> nn.Module:
    torch.manual_seed(0)
    blocks = [Residual(conv(4, 4)), Residual(conv(4, 4))]
    return Scaled(conv(1, 4), nn.ReLU(), *blocks, nn.Conv2d(4, 1, 1))


def coarse() -> nn.Module:
    torch.manual_seed(0)
    return Scaled(conv(1, 4), nn.ReLU(), Context(4, 6, (1,)), nn.Conv2d(4, 1, 1))


def pictures(count: int = 6) -> list[Picture]:
    random = np.random.default_rng(0)
    sizes = [(20 + i, 31 - i) for i in range(count)]
    return [random.integers(0, 256, (1, 1, *size), dtype=np.uint8) for size in sizes]


def heatmaps(model: onnx.ModelProto, images: list[Picture]) -> list[NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return [session.run(None, {"image": image})[0] for image in images]


def weights(model: onnx.ModelProto) -> dict[str, NDArray[np.generic]]:
    return {tensor.name: to_array(tensor) for tensor in model.graph.initializer}


def quantized_convolutions(model: onnx.ModelProto) -> list[str]:
    """Names of those whose picture and weights come out of DequantizeLinear."""
    made = {output: node.op_type for node in model.graph.node for output in node.output}
    return [
        node.name
        for node in model.graph.node
        if node.op_type == "Conv" and {made.get(i) for i in node.input} == {"DequantizeLinear"}
    ]


@pytest.mark.parametrize(
    ("module", "inner"),
    [
        (chain(), ["conv_2"]),
        (residual(), ["conv_2", "conv_3"]),
        (coarse(), ["conv_2", "conv_3", "conv_4"]),
        (Forked(), ["conv_2"]),
    ],
)
def test_what_is_quantized_are_the_inner_convolutions(module: nn.Module, inner: list[str]) -> None:
    graph = graph_of(module)
    assert [node.name for node in inner_convolutions(graph.graph)] == inner
    quantized = quantize(graph, pictures())
    assert quantized_convolutions(quantized) == inner
    assert (quantized.ir_version, quantized.opset_import) == (8, graph.opset_import)
    assert {entry.domain for entry in quantized.opset_import} == {""}


def test_a_network_without_inner_convolutions_is_refused() -> None:
    shallow = graph_of(Scaled(conv(1, 4), nn.ReLU(), nn.Conv2d(4, 1, 1)))
    with pytest.raises(UsageError, match="--int8 has nothing to do"):
        quantize(shallow, pictures())


def test_the_graph_that_is_quantized_stays_as_it_is() -> None:
    graph = graph_of(chain())
    before = graph.SerializeToString(deterministic=True)
    quantize(graph, pictures())
    assert graph.SerializeToString(deterministic=True) == before


def test_h_differs_by_no_more_than_the_steps_allow() -> None:
    graph = graph_of(chain())
    images = pictures(1)  # so that no value lies outside the range
    quantized = quantize(graph, images)
    single, made = weights(graph), weights(quantized)
    (node,) = inner_convolutions(graph.graph)
    step_in, step_out = (float(made[f"{name}_scale"]) for name in (node.input[0], node.output[0]))
    kernel = single[node.input[1]].reshape(5, -1)
    steps = made[f"{node.input[1]}_scale"]
    rounded = made[f"{node.input[1]}_quantized"].reshape(5, -1) * steps[:, None]
    greatest = measure_values(graph, images)[node.input[0]].high
    # Inputs, bias and result are rounded by half a step at most. The bias also makes up for the
    # rounding of the weights, so that this counts twice.
    of_inputs = np.abs(rounded).sum(1) * step_in / 2
    of_weights = 2 * np.abs(rounded - kernel).sum(1) * greatest
    allowed = of_inputs + of_weights + step_in * steps / 2 + step_out / 2
    readout = np.abs(next(w for w in single.values() if w.shape == (1, 5, 1, 1))).reshape(-1)
    bound = float(readout @ allowed)
    pairs = zip(heatmaps(graph, images), heatmaps(quantized, images), strict=True)
    furthest = max(float(np.abs(one - other).max()) for one, other in pairs)
    assert 0 < furthest <= bound
    spread = max(float(np.ptp(h)) for h in heatmaps(graph, images))
    assert bound < spread / 2  # or the test would say nothing


def test_no_two_products_saturate_16_bits() -> None:
    quantized = quantize(graph_of(residual()), pictures())
    kernels = [w for w in weights(quantized).values() if w.dtype == np.int8 and w.ndim == 4]
    assert len(kernels) == 2
    largest = max(int(np.abs(kernel.astype(int)).max()) for kernel in kernels)
    assert 60 <= largest <= 64
    assert 2 * 255 * largest <= 2**15 - 1


def test_steps_are_not_spent_on_what_a_relu_cuts_off() -> None:
    graph = graph_of(residual())
    images = pictures()
    measured, made = measure_values(graph, images), weights(quantize(graph, images))
    for node in inner_convolutions(graph.graph):
        (add,) = [n for n in graph.graph.node if node.output[0] in n.input]
        (other,) = [name for name in add.input if name != node.output[0]]
        scale = float(made[f"{node.output[0]}_scale"])
        lowest = -scale * int(made[f"{node.output[0]}_zero_point"])
        assert lowest == pytest.approx(
            max(measured[node.output[0]].low, -measured[other].high), abs=scale
        )
        # What is left out can only become 0: the greatest that is added does not lift it above.
        assert lowest - scale < 0
    plain = graph_of(chain())
    (node,) = inner_convolutions(plain.graph)
    assert int(weights(quantize(plain, images))[f"{node.output[0]}_zero_point"]) == 0
    assert measure_values(plain, images)[node.output[0]].low < 0


def test_values_are_measured_as_the_average_picture_has_them() -> None:
    graph = graph_of(residual())
    images = pictures()
    together = measure_values(graph, images)
    each = [measure_values(graph, [image]) for image in images]
    assert len(together) == 4  # into and out of two; what is added is what goes in
    for name, found in together.items():
        assert found.low == pytest.approx(np.mean([one[name].low for one in each]))
        assert found.high == pytest.approx(np.mean([one[name].high for one in each]))
        assert found.low <= 0 <= found.high
        expected = np.mean([one[name].means for one in each], axis=0)
        np.testing.assert_allclose(found.means, expected, rtol=1e-5, atol=1e-7)


class Grouped(nn.Module):
    """An inner convolution of two groups that has no bias."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        inner = nn.Conv2d(4, 6, 3, groups=2, bias=False)
        self.layers = Scaled(conv(1, 4), nn.ReLU(), inner, nn.ReLU(), nn.Conv2d(6, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        return self.layers(image)


@pytest.mark.parametrize("module", [chain(), Grouped()])
def test_rounded_weights_give_on_average_what_the_weights_gave(module: nn.Module) -> None:
    graph = graph_of(module)
    image = np.full((1, 1, 24, 36), 200, np.uint8)  # every place sees the same, but for the rim
    values, made = measure_values(graph, [image]), weights(quantize(graph, [image]))
    (node,) = inner_convolutions(graph.graph)
    single = weights(graph)
    kernel, steps = single[node.input[1]], made[f"{node.input[1]}_scale"]
    error = made[f"{node.input[1]}_quantized"] * steps[:, None, None, None] - kernel
    groups = 4 // kernel.shape[1]
    means = values[node.input[0]].means.reshape(groups, -1).repeat(len(kernel) // groups, axis=0)
    bias = single[node.input[2]] if len(node.input) > 2 else np.zeros(len(kernel))
    unit = steps * float(made[f"{node.input[0]}_scale"])
    shifted = made[f"{node.name}_bias_quantized"] * unit
    expected = bias - (error.sum((2, 3)) * means).sum(1)
    np.testing.assert_allclose(shifted, expected, atol=float(unit.max()))
    assert np.abs(shifted - bias).max() > 3 * unit.max()


def test_the_same_bytes_come_out_of_every_process() -> None:
    program = (
        "import hashlib, numpy, onnx; from simrun.bundle.load import load_bundle\n"
        "from simtool.export.int8.quantize import quantize\n"
        "picture = numpy.arange(64 * 64, dtype=numpy.uint8).reshape(1, 1, 64, 64)\n"
        "model = onnx.load_model_from_string(load_bundle('mnist-maps').localizer)\n"
        "made = quantize(model, [picture]).SerializeToString(deterministic=True)\n"
        "print(hashlib.sha256(made).hexdigest())"
    )
    hashes = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(hashes) == 1
