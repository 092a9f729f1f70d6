"""Weights of both signs are stored once, and the graph gives the same to the last bit."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from simtool.export.optimize.compact import halved, tie_negatives
from simtool.export.optimize.rounding import round_weights
from simtool.export.to_onnx import Port, to_onnx


class BothSigns(nn.Module):
    """What a convolution gives, with its weights and with their negative."""

    def __init__(self, channels: int = 8) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 16, 3)

    def forward(self, image: Tensor) -> Tensor:
        weights = self.conv.weight
        return torch.maximum(F.conv2d(image, weights), F.conv2d(image, -weights))


def exported(net: nn.Module) -> onnx.ModelProto:
    example = torch.zeros(2, 8, 11, 13)
    return to_onnx(
        net, example, Port("image", ("N", 8, "H", "W")), Port("map", ("N", 16, "h", "w"))
    )


def run(model: onnx.ModelProto) -> np.ndarray:
    image = np.random.default_rng(0).standard_normal((1, 8, 9, 10)).astype(np.float32)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {"image": image})[0])


def large(model: onnx.ModelProto) -> list[str]:
    return [tensor.name for tensor in model.graph.initializer if np.prod(tensor.dims) >= 1024]


def test_one_of_two_signs_is_stored() -> None:
    torch.manual_seed(0)
    whole = exported(BothSigns().eval())
    tied = tie_negatives(whole)
    assert len(large(whole)) == 2
    assert len(large(tied)) == 1
    assert [node.op_type for node in tied.graph.node].count("Neg") == 1
    assert np.array_equal(run(tied), run(whole))
    assert tied.ByteSize() < 0.6 * whole.ByteSize()


def test_what_is_tied_can_be_halved_too() -> None:
    torch.manual_seed(0)
    net = BothSigns().eval()
    round_weights(net)
    whole = exported(net)
    assert np.array_equal(run(halved(tie_negatives(whole))), run(whole))


def test_other_weights_stay() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(8, 16, 3), nn.Conv2d(16, 16, 3)).eval()
    whole = exported(net)
    assert tie_negatives(whole) == whole
