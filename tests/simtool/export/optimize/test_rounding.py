"""Weights stored as half floats: nothing but their file changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from simtool.export.heatmap_graph import LocalizerGraph, Readout
from simtool.export.optimize.compact import halved
from simtool.export.optimize.fold import optimized
from simtool.export.optimize.rounding import round_trunk, round_weights, shorten_weights
from simtool.export.to_onnx import Port, to_onnx
from simtool.nets.blocks import Context, Residual
from tests.conftest import ROOT


@pytest.fixture
def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 4)).eval()


@pytest.fixture
def trunk() -> nn.Sequential:
    torch.manual_seed(0)
    block = Residual(nn.Conv2d(16, 16, 3, padding=1))
    return nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), Context(16, 16, (2,)), block).eval()


def lean_graph(trunk: nn.Sequential) -> nn.Module:
    readout = Readout(torch.ones(1, 16) / 16, torch.zeros(1), torch.ones(1))
    return optimized(LocalizerGraph(trunk, readout, "bright")).requires_grad_(False)


def graph(net: nn.Module) -> onnx.ModelProto:
    example = torch.zeros(2, 1, 8, 8)
    return to_onnx(net, example, Port("crops", ("N", 1, 8, 8)), Port("logits", ("N", 4)))


def types(model: onnx.ModelProto) -> dict[str, int]:
    return {tensor.name: tensor.data_type for tensor in model.graph.initializer}


def test_large_tensors_are_rounded_and_small_ones_stay(net: nn.Sequential) -> None:
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    round_weights(net)
    after = net.state_dict()
    assert torch.equal(after["1.weight"], before["1.weight"].half().float())
    assert not torch.equal(after["1.weight"], before["1.weight"])
    assert after["1.weight"].dtype == torch.float32
    for name in ("1.bias", "3.weight", "3.bias"):
        assert torch.equal(after[name], before[name])


def test_a_spared_part_stays(net: nn.Sequential) -> None:
    before = net[1].weight.clone()
    round_weights(net, spared=net[:2])
    assert torch.equal(net[1].weight, before)


def test_what_half_floats_cannot_reach_stays(net: nn.Sequential) -> None:
    with torch.no_grad():
        net[1].weight[0, 0] = 1e6
    before = net[1].weight.clone()
    round_weights(net)
    assert torch.equal(net[1].weight, before)
    assert set(types(halved(graph(net))).values()) == set(types(graph(net)).values())


def test_only_what_half_floats_hold_exactly_is_stored_so(net: nn.Sequential) -> None:
    assert types(halved(graph(net))) == types(graph(net))
    round_weights(net)
    whole, half = graph(net), halved(graph(net))
    changed = types(whole).items() ^ types(half).items()
    assert {name for name, _ in changed} == {"1.weight"}
    for one, other in zip(whole.graph.initializer, half.graph.initializer, strict=True):
        assert np.array_equal(numpy_helper.to_array(one), numpy_helper.to_array(other))


def test_the_answers_are_the_same_bit_for_bit(net: nn.Sequential) -> None:
    round_weights(net)
    crops = np.random.default_rng(0).random((3, 1, 8, 8), dtype=np.float32)
    one, other = (
        onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"crops": crops})[0]
        for model in (graph(net), halved(graph(net)))
    )
    assert np.array_equal(one, other)


@pytest.mark.parametrize("graph", ["mnist-lenet/classifier.onnx", "scene-text/reader.onnx"])
def test_a_shipped_graph_is_widened_once_when_it_is_loaded(graph: str, tmp_path: Path) -> None:
    path = ROOT / "models" / graph
    assert onnx.TensorProto.FLOAT16 in types(onnx.load(path)).values()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "loaded.onnx")
    onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    loaded = onnx.load(tmp_path / "loaded.onnx")
    assert onnx.TensorProto.FLOAT16 not in types(loaded).values()
    casts = {node.input[0] for node in loaded.graph.node if node.op_type == "Cast"}
    assert loaded.graph.input[0].name in casts
    assert casts.isdisjoint(tensor.name for tensor in loaded.graph.initializer)


def test_shortened_weights_have_so_many_bits() -> None:
    net = nn.Linear(64, 32)
    before = net.weight.detach().clone()
    shorten_weights(net, 5)
    mantissa, _ = torch.frexp(net.weight)
    assert torch.equal(mantissa * 64, (mantissa * 64).round())
    assert ((net.weight - before).abs() <= before.abs() / 64).all()
    assert torch.equal(net.weight, net.weight.to(torch.float16).to(torch.float32))


def test_half_floats_hold_the_larger_weights_of_a_rounded_trunks_lean_graph(
    trunk: nn.Sequential,
) -> None:
    before = {name: tensor.clone() for name, tensor in trunk.state_dict().items()}
    round_trunk(trunk)
    after = trunk.state_dict()
    # The middle taps of a block's own channels are rounded as what they are with 1 added.
    taps, old = after["2.conv.weight"][:, :, 1, 1], before["2.conv.weight"][:, :, 1, 1]
    one = torch.eye(16)
    assert torch.equal(taps, (old + one).half().float() - one)
    assert torch.equal(after["0.weight"], before["0.weight"])  # small
    large = [w for w in lean_graph(trunk).parameters() if w.numel() >= 1024]
    assert len(large) == 3
    assert all(torch.equal(weight.half().float(), weight) for weight in large)


def test_a_rounded_trunk_answers_nearly_as_before_and_its_file_is_half_as_large(
    trunk: nn.Sequential,
) -> None:
    ports = Port("image", ("N", 1, "H", "W")), Port("heatmap", ("N", 1, "h", "w"))
    image = torch.randint(0, 256, (2, 1, 21, 34), dtype=torch.uint8)
    before, whole = lean_graph(trunk)(image), to_onnx(lean_graph(trunk), image, *ports)
    round_trunk(trunk)
    after, small = lean_graph(trunk)(image), halved(to_onnx(lean_graph(trunk), image, *ports))
    session = onnxruntime.InferenceSession(small.SerializeToString())
    found = session.run(None, {"image": image.numpy()})[0]
    assert np.allclose(found, after.numpy(), rtol=0, atol=1e-5)
    assert 0 < float((after - before).abs().max()) < 0.01
    assert small.ByteSize() < 0.6 * whole.ByteSize()
