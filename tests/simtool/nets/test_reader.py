"""The reader of strips: its output's shape, its own contrast, and batch norms folded away."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from simrun.errors import UsageError
from simtool.data.labels import STRIPS
from simtool.nets import build_any, build_net
from simtool.nets.reader import Normalise, Reader, folded


@pytest.fixture
def net(double: None) -> Reader:
    """Random weights, and norms that have seen something."""
    reader = Reader()
    for module in reader.modules():
        if isinstance(module, nn.BatchNorm2d):
            for vector in (module.running_mean, module.running_var, module.weight, module.bias):
                nn.init.uniform_(vector, 0.5, 1.5)
    nn.init.normal_(reader.head.weight)
    return reader.eval()


@pytest.mark.parametrize("width", [32, 40, 200])
def test_a_step_every_four_pixels(net: Reader, width: int) -> None:
    logits = net(torch.zeros(2, 1, STRIPS.height, width, dtype=torch.uint8))
    assert logits.shape == (2, width // STRIPS.stride, len(STRIPS.characters))


def test_it_is_small() -> None:
    assert sum(p.numel() for p in Reader().parameters()) <= 300_000


@torch.inference_mode()
def test_folding_changes_nothing(net: Reader) -> None:
    strips = torch.randint(0, 256, (3, 1, STRIPS.height, 64), dtype=torch.uint8)
    whole = folded(net)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in whole.modules())
    torch.testing.assert_close(whole(strips), net(strips), rtol=1e-9, atol=1e-9)


@torch.inference_mode()
def test_light_and_contrast_do_not_matter(double: None) -> None:
    strips = 100 + 20 * torch.randn(2, 1, 8, 12)
    bright = Normalise()(strips * 3 + 50)
    torch.testing.assert_close(bright, Normalise()(strips), atol=0.1, rtol=0)
    assert bright.mean().abs() < 1e-9
    assert Normalise()(torch.full((1, 1, 8, 12), 7)).abs().max() == 0


def test_a_strip_is_read_the_same_beside_others(net: Reader) -> None:
    strips = torch.randint(0, 256, (3, 1, STRIPS.height, 48), dtype=torch.uint8)
    torch.testing.assert_close(net(strips)[1:2], net(strips[1:2]))


def test_a_reader_is_trained_and_not_ablated() -> None:
    assert isinstance(build_any("reader"), Reader)
    with pytest.raises(UsageError, match="no maps to ablate; give its run to 'simtool export"):
        build_net("reader")
