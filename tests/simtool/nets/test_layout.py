from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from simrun.errors import ModelError
from simtool.nets.layers import last_spatial_layer
from simtool.nets.layout import check_layout
from tests.simtool.example_nets import Branching, Depthwise, ResNet, Vgg, settled

IMAGES = torch.rand(2, 3, 8, 8)


class Turn(nn.Module):
    def __init__(self, *axes: int) -> None:
        super().__init__()
        self.axes = axes

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(*self.axes)


class ChannelsLast(nn.Module):
    """As Swin: works on (N, h, w, K), and turns that back at the end where it is asked to."""

    def __init__(self, back: bool = False, flat: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 5, 2, 2)
        self.turn = Turn(0, 2, 3, 1)
        self.norm = nn.LayerNorm(5)
        self.mix = nn.Sequential(nn.Linear(5, 5), nn.GELU())
        self.back = Turn(0, 3, 1, 2) if back else None
        self.fc = nn.Linear(5 * 16 if flat else 5, 2)
        self.flat = flat

    def forward(self, x: Tensor) -> Tensor:
        f = self.mix(self.norm(self.turn(self.stem(x))))
        if self.back is not None:
            return self.fc(self.back(f).mean((2, 3)))
        return self.fc(f.flatten(1) if self.flat else f.mean((1, 2)))


class Tokens(nn.Module):
    """As a vision transformer, with or without places of a fixed number."""

    def __init__(self, fixed: bool = False) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 6, 2, 2)
        self.places = nn.Parameter(torch.zeros(1, 16, 6)) if fixed else None
        self.encoder = nn.Linear(6, 6)
        self.softmax = nn.Softmax(-1)
        self.grid = nn.Unflatten(2, (4, 4))
        self.fc = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        t = self.patches(x).flatten(2).transpose(1, 2)
        t = self.encoder(t if self.places is None else t + self.places)
        heads = t.view(len(t), -1, 2, 3).transpose(1, 2)
        t = (self.softmax(heads @ heads.transpose(2, 3)) @ heads).transpose(1, 2).flatten(2)
        if self.places is not None:
            t = self.grid(t.transpose(1, 2)).flatten(2).transpose(1, 2)
        return self.fc(t.mean(1))


@pytest.mark.parametrize(
    ("model", "layer"),
    [
        (ResNet(), "layer2"),
        (ResNet(), "layer1.0.conv1"),
        (ResNet(), "avgpool"),
        (Branching(), "right"),
        (Depthwise(), "point"),
        (Depthwise(), "squeeze"),
        (Vgg(), "features"),  # its head takes one size alone
        (ChannelsLast(), "stem"),
        (ChannelsLast(back=True), "back"),
        (Tokens(), "patches"),
    ],
)
def test_maps_with_filters_on_the_second_axis_pass(model: nn.Module, layer: str) -> None:
    check_layout(settled(model), layer, IMAGES, chosen=False)


@pytest.mark.parametrize(
    ("model", "layer", "message"),
    [
        (ChannelsLast(), "turn", r"gives \(1, 4, 4, 5\), and \(1, 4, 8, 5\) for a picture twice"),
        (ChannelsLast(), "norm", "second axis holds no filters"),
        (ChannelsLast(), "mix", "second axis holds no filters"),
        (ChannelsLast(back=True), "mix", "second axis holds no filters"),
        (ChannelsLast(flat=True), "mix.1", "second axis holds no filters"),
        (Tokens(), "encoder", r"gives tokens \(N, T, K\), here \(1, 16, 6\)"),
        (Tokens(), "softmax", "or attention; name a layer with maps"),
        (Tokens(fixed=True), "softmax", "comes behind tokens"),
        (Tokens(fixed=True), "grid", "cannot be told"),
    ],
)
def test_rows_that_are_no_filters_are_refused(model: nn.Module, layer: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check_layout(model.eval(), layer, IMAGES, chosen=False)


class Fixed(nn.Module):
    """Takes one size alone before its maps, whose filters are last."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Linear(8 * 8 * 3, 4 * 4 * 5)
        self.norm = nn.LayerNorm(5)
        self.fc = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.norm(self.patches(x.flatten(1)).view(-1, 4, 4, 5)).mean((1, 2)))


def test_where_no_other_size_goes_the_layers_tell() -> None:
    with pytest.raises(ModelError, match="filters on the last axis"):
        check_layout(Fixed().eval(), "norm", IMAGES, chosen=False)


def without_attention() -> Tokens:
    model = Tokens()
    model.softmax = nn.Identity()
    return model


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (ChannelsLast(), "no filters"),
        (Tokens(), "'softmax' gives .* or attention"),
        (without_attention(), "is 'patches', but the network goes on with tokens"),
    ],
)
def test_a_layer_that_was_chosen_is_looked_at_too(model: nn.Module, message: str) -> None:
    layer = last_spatial_layer(model.eval(), IMAGES[:1])
    with pytest.raises(ModelError, match=message):
        check_layout(model, layer, IMAGES, chosen=True)


def test_looking_leaves_no_hook() -> None:
    model = settled(ResNet())
    check_layout(model, "layer2", IMAGES, chosen=True)
    assert not any(m._forward_hooks for m in model.modules())
