"""Blocks keep channels and size, and do what their formulas say."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from simtool.export.to_onnx import Port, to_onnx
from simtool.nets.blocks import Context, Residual, initialise

pytestmark = pytest.mark.usefixtures("double")


def test_four_cells_become_one_and_get_one_answer_back() -> None:
    context = Context(1, 1, ())
    with torch.no_grad():
        for conv in (context.halve, context.back):
            nn.init.ones_(conv.weight)
            nn.init.zeros_(conv.bias)
    maps = torch.tensor([[[[1.0, 2, 3], [4, 5, 6], [7, 8, 9]]]])
    # Windows of 4x4 around the cells 2x2: all nine; the last two columns; the last two rows; both.
    added = torch.tensor([[45.0, 45, 33], [45, 45, 33], [39, 39, 28]])
    assert torch.equal(context(maps)[0, 0], maps[0, 0] + added)


def test_what_context_adds_is_cut_off_at_zero() -> None:
    context = Context(1, 1, ())
    with torch.no_grad():
        nn.init.ones_(context.halve.weight)
        nn.init.constant_(context.back.weight, -1)
        nn.init.zeros_(context.back.bias)
        nn.init.zeros_(context.halve.bias)
    maps = torch.tensor([[[[1.0, 0], [0, 3]]]])
    assert torch.equal(context(maps), torch.zeros(1, 1, 2, 2))


def test_a_block_at_half_the_resolution_reaches_its_dilation_in_windows() -> None:
    context = Context(1, 1, (3,))
    maps = torch.zeros(1, 1, 20, 20, requires_grad=True)
    with torch.no_grad():
        for parameter in context.parameters():
            nn.init.ones_(parameter)
    (gradient,) = torch.autograd.grad(context(maps)[0, 0, 10, 10], maps)
    rows = gradient[0, 0].sum(1).nonzero().flatten().tolist()
    assert rows == [*range(3, 7), *range(9, 13), *range(15, 19)]


def test_residual_branches_start_at_half_strength() -> None:
    torch.manual_seed(0)
    block = Residual(nn.Conv2d(64, 64, 3, padding=1))
    block.apply(initialise)
    he = (2 / (64 * 9)) ** 0.5
    assert block.conv.weight.std().item() == pytest.approx(he / 2, rel=0.02)
    assert not block.conv.bias.any()


@pytest.mark.parametrize("size", [(16, 24), (17, 23), (1, 1), (2, 5)], ids=str)
def test_the_exported_block_is_the_block_at_odd_and_even_sizes(size: tuple[int, int]) -> None:

    torch.set_default_dtype(torch.float32)
    context = Context(3, 4, (1, 2)).eval()
    ports = Port("maps", ("N", 3, "H", "W")), Port("sums", ("N", 3, "H", "W"))
    model = to_onnx(context, torch.zeros(2, 3, 11, 13), *ports)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    maps = torch.randn(2, 3, *size)
    (found,) = session.run(None, {"maps": maps.numpy()})
    assert np.allclose(found, context(maps).detach().numpy(), rtol=0, atol=1e-6)
