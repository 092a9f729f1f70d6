from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from captum.attr import LayerFeatureAblation
from torch import Tensor, nn

from simrun.errors import ModelError, UsageError
from simtool.ablation.criteria import Units
from simtool.ablation.measure import AblationOptions, Provenance, ablate_cut
from simtool.ablation.partition.choose import cut_network
from simtool.ablation.partition.graph import GraphCut, HookCut
from simtool.ablation.record import AblationRecord
from simtool.nets.layers import evaluating, find_layer, last_spatial_layer, replacing
from tests.simtool.example_nets import (
    IN_PLACE,
    Branching,
    Depthwise,
    InPlace,
    ResNet,
    Untraceable,
    Vgg,
    settled,
)

pytestmark = pytest.mark.usefixtures("double")

CASES = [
    *((ResNet, layer) for layer in ("layer2", "layer2.1.conv2", "layer2.0.conv1", "layer1.0")),
    *((ResNet, layer) for layer in ("layer2.1.relu", "layer1.1.bn2", "stem", "layer2.0.shortcut")),
    *((Branching, layer) for layer in ("stem", "left", "right", "around")),
    *((Depthwise, layer) for layer in ("stem", "depth", "point", "squeeze", "stem.1")),
    *((Vgg, layer) for layer in ("features", "features.3", "features.4", "features.1")),
]


def pictures(count: int = 7) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(count, 3, 8, 8, generator=generator)
    return images, torch.randint(4, (count,), generator=generator)


def hook_count(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


@pytest.mark.parametrize(("kind", "layer"), CASES)
@pytest.mark.parametrize("baseline", ["zero", "given"])
def test_the_graph_gives_what_the_hook_gives(
    kind: type[nn.Module], layer: str, baseline: str
) -> None:
    model = settled(kind())
    images, _ = pictures()
    cut = cut_network(model, layer, images[:2])
    assert isinstance(cut, GraphCut)
    oracle = HookCut(model, find_layer(model, layer), layer)
    with torch.inference_mode():
        filters = oracle.run(images).maps.shape[1]
        values = None if baseline == "zero" else torch.randn(filters)
        ours, theirs = cut.run(images, values), oracle.run(images, values)
        assert torch.allclose(ours.maps, theirs.maps, atol=1e-12)
        assert torch.allclose(ours.logits, theirs.logits, atol=1e-12)
        for chunk in (1, 3):
            for start in range(0, filters, chunk):
                part = range(start, min(start + chunk, filters))
                assert torch.allclose(ours.without(part), theirs.without(part), atol=1e-11)
        blocked = torch.arange(filters) % 2 == 0
        assert torch.allclose(ours.without_all(blocked), theirs.without_all(blocked), atol=1e-11)
    assert hook_count(model) == 0


@pytest.mark.parametrize("how", IN_PLACE)
@pytest.mark.parametrize("layer", ["conv1", "conv2"])
@pytest.mark.parametrize("used", [False, True])
def test_what_is_written_in_place_is_neither_dropped_nor_seen_too_early(
    how: str, layer: str, used: bool
) -> None:
    if how in ("flat view", "chunk", "transposed"):
        used = False  # what they return is of another shape
    model = InPlace(IN_PLACE[how], used).eval()
    images, _ = pictures()
    cut = cut_network(model, layer, images)
    kept: list[Tensor] = []
    with torch.inference_mode():
        with replacing(find_layer(model, layer), lambda maps: kept.append(maps.clone())):
            logits = model(images)
        ours = cut.run(images)
        assert torch.allclose(ours.logits, logits, atol=1e-12)
        for blocked in (0, 2, 4):
            silent = kept[0].clone()
            silent[:, blocked] = 0
            with replacing(find_layer(model, layer), lambda _, silent=silent: silent):
                without = model(images)
            own = ours.without(range(blocked, blocked + 1))[0]
            assert torch.allclose(own, without, atol=1e-11)
        assert torch.allclose(ours.maps, kept[0], atol=1e-12)


def test_a_statement_in_place_is_followed_by_the_graph() -> None:
    for how in ("module", "method", "function", "functional", "add", "clamp", "out", "other name"):
        cut = cut_network(InPlace(IN_PLACE[how]).eval(), "conv1", pictures()[0])
        assert isinstance(cut, GraphCut), how


@pytest.mark.parametrize(
    ("kind", "layer"),
    [(ResNet, "layer2"), (Branching, "stem"), (Depthwise, "depth"), (Vgg, "features.3")],
)
def test_captum_agrees(kind: type[nn.Module], layer: str) -> None:
    model = settled(kind())
    images, labels = pictures()
    record = measure(model, layer)
    module = find_layer(model, layer)
    mask = torch.arange(len(record.mean_activation)).view(1, -1, 1, 1)
    with torch.no_grad():
        drops = LayerFeatureAblation(model, module).attribute(
            images, target=labels, layer_mask=mask
        )
    harm = record.criterion("logit").harm
    assert harm == pytest.approx(drops[:, :, 0, 0].mean(0).numpy(), abs=1e-12)


def measure(model: nn.Module, layer: str, **options: Any) -> AblationRecord:
    images, labels = pictures()
    provenance = Provenance(layer, "all", "data", "weights", tuple("0123"))
    cut = cut_network(model, layer, images[:2])
    chosen = AblationOptions(**{"resamples": 20, **options})
    return ablate_cut(cut, [(images, labels)], provenance, chosen)


def test_an_untraceable_network_is_done_by_hook_and_it_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = settled(Untraceable())
    with caplog.at_level(logging.WARNING):
        record = measure(model, "conv")
    assert "cannot be cut at 'conv'" in caplog.text
    assert "slow" in caplog.text
    images, labels = pictures()
    with torch.no_grad():
        maps = torch.relu(model.conv(images)).clone()
        maps[:, 2] = 0
        logits = model.fc(maps.mean((2, 3)))
    true = logits.gather(1, labels[:, None]).mean()
    assert record.criterion("logit").ablated[2] == pytest.approx(float(true))
    assert hook_count(model) == 0


def test_margin_is_below_0_exactly_where_the_class_is_wrong() -> None:
    model = settled(ResNet())
    images, labels = pictures(40)
    with torch.inference_mode():
        logits = cut_network(model, "layer2", images[:2]).run(images).logits
    values = Units.of(labels, 4).measure(logits[None])
    assert ((values["margin"] < 0) == (values["error"] == 1)).all()


def test_near_names_are_listed_for_an_unknown_layer() -> None:
    with pytest.raises(UsageError, match=r"no layer 'layer2\.1\.con'; near names: .*conv"):
        cut_network(ResNet().eval(), "layer2.1.con", pictures()[0])


@pytest.mark.parametrize("layer", ["fc", "avgpool"])
def test_layers_without_maps_are_refused_or_done(layer: str) -> None:
    model = settled(ResNet())
    images, _ = pictures()
    if layer == "avgpool":  # (N, K, 1, 1) are maps of one cell
        assert cut_network(model, layer, images[:2]).run(images).maps.shape == (7, 8, 1, 1)
        return
    with pytest.raises(ModelError, match=r"gives shape \(1, 4\); only maps"):
        cut_network(model, layer, images[:2])


def test_a_layer_that_is_never_called_is_named() -> None:
    model = settled(ResNet())
    model.spare = nn.Conv2d(3, 3, 1)
    with pytest.raises(ModelError, match="'spare' is not called"):
        cut_network(model, "spare", pictures()[0][:2])


@pytest.mark.parametrize(
    ("kind", "layer"), [(ResNet, "layer2"), (Vgg, "features"), (Depthwise, "point")]
)
def test_the_last_spatial_layer_is_found_and_said(
    kind: type[nn.Module], layer: str, caplog: pytest.LogCaptureFixture
) -> None:
    model = settled(kind())
    with caplog.at_level(logging.INFO, "simtool"):
        assert last_spatial_layer(model, pictures()[0][:1]) == layer
    assert f"'{layer}'" in caplog.text
    assert hook_count(model) == 0


def test_training_mode_comes_back_module_by_module_also_after_an_error() -> None:
    model = ResNet()
    model.layer1.eval()
    model.layer2[0].bn1.eval()
    before = [module.training for module in model.modules()]
    with evaluating(model):
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model.modules()] == before
    with pytest.raises(RuntimeError), evaluating(model):
        model(torch.zeros(1, 1, 8, 8))
    assert [module.training for module in model.modules()] == before


def test_hooks_go_when_something_throws() -> None:
    model = settled(ResNet())

    def fail(output: Tensor) -> None:
        raise ArithmeticError

    with pytest.raises(ArithmeticError), replacing(model.layer2, fail):
        model(pictures()[0])
    with pytest.raises(RuntimeError):
        last_spatial_layer(model, torch.zeros(1, 1, 8, 8))
    assert hook_count(model) == 0


def test_weights_and_modules_of_the_network_are_left_as_they_were() -> None:
    model = settled(ResNet())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    text = str(model)
    measure(model, "layer2.0.conv1", baseline="zero")
    assert str(model) == text
    assert model.layer1[0].relu.inplace
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
