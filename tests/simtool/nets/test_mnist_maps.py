"""The networks for class-specific maps, and their way into a bundle and through the runtime."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from simrun import Localizer
from simrun.bundle.load import load_bundle
from simrun.errors import ModelError
from simrun.images.read import read_image
from simtool.ablation.measure import AblationOptions, Provenance
from simtool.cli.ablate import AblateArguments, ablate
from simtool.cli.export import ExportArguments, export
from simtool.data import load_split
from simtool.export.geometry import trunk_geometry
from simtool.nets import build_net
from simtool.nets.base import NetSpec
from simtool.runs.recipes import RECIPES
from simtool.training.labelled import train
from simtool.weighting.weigh import WeightingOptions, weigh
from tests.conftest import ROOT
from tests.simtool.tiny import ablate_halves

PER_CLASS = WeightingOptions(per_class=True)


@pytest.mark.parametrize("name", ["maps", "maps-deep"])
def test_one_window_is_one_cell(name: str) -> None:
    net = build_net(name)
    geometry = trunk_geometry(net.trunk)
    assert (geometry.stride, geometry.receptive_field) == (4, 33)
    assert geometry.offset == 16
    assert net.spec.crop_size == geometry.receptive_field
    assert net.trunk(torch.zeros(2, 1, 33, 33)).shape == (2, 24, 1, 1)
    assert net.trunk(torch.zeros(2, 1, 112, 80)).shape == (2, 24, 20, 12)
    assert net(torch.zeros(2, 1, 112, 80)).shape == (2, 11)
    assert net.spec.shown == tuple("0123456789")
    assert sum(p.numel() for p in net.parameters()) < 12000


def test_background_is_the_last_class() -> None:
    with pytest.raises(ModelError, match="must be the last class"):
        NetSpec(
            "net", ("nothing", "a"), "layer", 28, background="nothing", subtract_background=False
        )
    with pytest.raises(ModelError, match="is not one of the classes"):
        NetSpec("net", ("a", "b"), "layer", 28, background="nothing")


def test_signed_weights_per_class_are_the_linear_heads() -> None:
    torch.manual_seed(1)
    net = build_net("maps").double().eval()
    images = torch.rand(60, 1, 37, 41, dtype=torch.float64)
    labels = torch.arange(60) % 11
    provenance = Provenance(net.spec.layer, "train", "data", "weights", net.spec.classes)
    options = AblationOptions(resamples=2)
    with torch.no_grad():
        record = ablate_halves(net.trunk, net.head, [(images, labels)], provenance, options)
    weights = weigh(record, "signed", PER_CLASS).array
    activation = np.array(record.mean_activation_per_class)
    heads = net.head.read.weight.detach().numpy()[:, :, 0, 0]
    active = activation > 1e-9  # a filter silent on all images of a class says nothing of it
    assert active.mean() > 0.3
    np.testing.assert_allclose(weights[active], heads[active], rtol=1e-6, atol=1e-9)
    assert (weights[activation == 0] == 0).all()


@pytest.fixture(scope="module")
def bundle(digit_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("maps")
    recipe = replace(RECIPES["mnist-maps"], epochs=1, batch=20)
    splits = [load_split(recipe.data, split, digit_folder) for split in ("train", "test")]
    train(recipe, splits[0], splits[1], folder / "run", seed=0)
    ablate(AblateArguments(run=folder / "run", data=digit_folder, per_class=True, resamples=2))
    export(
        ExportArguments(
            run=folder / "run",
            out=folder / "bundle",
            data=digit_folder,
            weighting="softmax",
            per_class=True,
            polarity="bright",
        )
    )
    return folder / "bundle"


def test_a_bundle_has_a_channel_for_each_digit_and_none_for_nothing(bundle: Path) -> None:
    localizer = Localizer.load(bundle)
    assert localizer.meta.heatmap_channels == localizer.meta.classes == tuple("0123456789")
    frame = np.zeros((96, 128), np.uint8)
    assert localizer(frame).heatmap.values.shape[0] == 10


def test_regions_of_the_shipped_model_carry_their_digit() -> None:
    digits = {"0": (52, 188), "1": (114, 78), "2": (175, 138), "3": (88, 166)}
    digits |= {"6": (154, 105), "7": (151, 42), "8": (15, 209)}
    sample = read_image(ROOT / "runtime" / "simrun" / "samples" / "digits-on-dark.png")
    regions = Localizer.load("mnist-maps")(sample).regions
    for digit, middle in digits.items():
        near = [r for r in regions if np.hypot(*(np.mean(r.quad, axis=0) - middle)) < 12]
        assert max(near, key=lambda region: region.score).channel == digit


def test_exported_again_it_needs_no_data(bundle: Path, tmp_path: Path) -> None:
    export(ExportArguments(run=bundle, out=tmp_path / "again", data=tmp_path / "no data"))
    again, first = load_bundle(tmp_path / "again").meta, load_bundle(bundle).meta
    assert again.export["calibration"] == first.export["calibration"]
