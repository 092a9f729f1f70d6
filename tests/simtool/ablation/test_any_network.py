"""The worked example of docs/any-network.md: a small ResNet becomes a localizer."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from examples import colour_shapes
from simrun.bundle.load import load_bundle
from simrun.errors import ModelError, UsageError
from simrun.localizer import Localizer
from simtool.cli.ablate import AblateArguments, ablate
from simtool.cli.export import ExportArguments, export
from simtool.export.geometry import check_geometry, probe_geometry, trunk_geometry
from simtool.export.trunk import transform_trunk
from simtool.nets import build_net
from simtool.nets.imported import ForeignNet, ForeignSpec
from simtool.runs.checkpoint import CHECKPOINT_FILE, read_checkpoint
from tests.simtool.example_nets import Depthwise, ResNet, Untraceable
from tests.simtool.program import call

FACTORY = "examples.colour_shapes:build"
WEIGHTS = Path(colour_shapes.__file__).with_suffix(".safetensors")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shapes") / "pictures"
    rng = np.random.default_rng(1)
    for kind in colour_shapes.CLASSES:
        (root / kind).mkdir(parents=True)
        for number in range(16):
            picture = colour_shapes.training_picture(kind, rng)
            cv2.imwrite(str(root / kind / f"{number}.png"), picture)
    return root


@pytest.fixture(scope="module")
def run(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped weights ablated; normalisation, size and classes are read from their file."""
    out = tmp_path_factory.mktemp("runs") / "shapes"
    summary = ablate(
        AblateArguments(
            model=FACTORY,
            weights=[WEIGHTS],
            data=pictures,
            out=out,
            layer=["layer3"],
            resamples=20,
            weighting="uniform",
        )
    )
    assert summary["error"]["E"] < 0.1
    return out


@pytest.fixture(scope="module")
def bundle(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("models") / "shapes"
    summary = export(ExportArguments(run=run, out=target, weighting="uniform", model=FACTORY))
    assert summary["stride"] == 4
    assert summary["difference_to_pytorch"]["localizer"] < 1e-5
    return target


def test_the_bundle_takes_colour_pictures_of_any_size(bundle: Path) -> None:
    loaded = load_bundle(bundle)
    assert (loaded.meta.channels, loaded.meta.crop_size, loaded.meta.polarity) == (3, 48, "bright")
    assert loaded.meta.heatmap_channels == ("object",)
    assert loaded.meta.training["model"] == "examples.colour_shapes:build"
    assert "/" not in loaded.meta.training["recipe"]["data"]
    session = onnxruntime.InferenceSession(loaded.localizer)
    assert session.get_inputs()[0].shape == ["N", 3, "H", "W"]
    for height, width in ((48, 48), (61, 83), (200, 37)):
        image = np.zeros((1, 3, height, width), np.uint8)
        assert session.run(None, {"image": image})[0].shape[2:] == (-(-height // 4), -(-width // 4))


def test_shapes_are_localized_and_named_on_canvases(bundle: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    localizer = Localizer.load(bundle)
    boxes, lines = {}, []
    for number in range(10):
        image, shapes = colour_shapes.canvas(rng)
        boxes[f"{number}.png"] = shapes
        regions = [{"quad": r.quad, "label": r.label} for r in localizer(image).regions]
        lines.append(json.dumps({"file": f"{number}.png", "regions": regions}))
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    (tmp_path / "results.jsonl").write_text("\n".join(lines))
    score = colour_shapes.score(tmp_path, tmp_path / "results.jsonl")
    assert score["f1"] > 0.85
    assert score["labels_right"] > 0.85


def test_a_bundle_is_exported_again_from_itself(bundle: Path, tmp_path: Path) -> None:
    export(ExportArguments(run=bundle, out=tmp_path / "again", model=FACTORY))
    again, former = load_bundle(tmp_path / "again").meta, load_bundle(bundle).meta
    assert again == replace(former, name="again")


def test_other_forms_are_for_plain_sequences(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--pool atrous --padding same is for networks that are a"):
        export(
            ExportArguments(
                run=run, out=tmp_path / "x", weighting="uniform", pool="atrous", model=FACTORY
            )
        )


def test_code_named_by_a_file_alone_is_not_run(
    run: Path,
    pictures: Path,
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "strange.py").write_text("open('ran', 'w')\n")
    for name, made in (("run", run), ("bundle", bundle)):
        shutil.copytree(made, tmp_path / name)
        checkpoint = read_checkpoint(made)
        strange = replace(checkpoint, net="strange:build")
        (tmp_path / name / CHECKPOINT_FILE).write_bytes(strange.to_bytes())
    needed = "made by code that did not come with it, 'strange:build'.*--model package.module:fact"
    for arguments in (
        ("export", "run", "--out", "x"),
        ("export", "bundle", "--out", "x"),
        ("export", "run", "--out", "x", "--model", FACTORY),
        ("report", "run", "--pictures", pictures / "circle", "--out", "y"),
    ):
        code, _, err = call(capsys, *arguments)
        assert code == 2, err
        assert re.search(needed, err)
        assert err.count("\n") == 1
    assert not (tmp_path / "ran").exists()
    code, _, err = call(capsys, "report", "run", "--out", "y")  # no code is needed for it
    assert code == 0, err
    code, _, err = call(capsys, "export", "mnist-lenet", "--model", FACTORY, "--out", "x")
    assert (code, "this is our 'lenet'" in err) == (2, True)


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_probing_finds_the_geometry_that_the_layers_have(padding: str) -> None:
    trunk = transform_trunk(build_net("lenet").trunk, "keep", padding)
    assert probe_geometry(trunk, 1) == trunk_geometry(trunk)
    check_geometry(trunk, 1, probe_geometry(trunk, 1))


def test_geometry_of_a_residual_trunk() -> None:
    spec = ForeignSpec("x", tuple("0123"), "layer2", 16, 3)
    found = probe_geometry(ForeignNet(spec, ResNet().eval()).export_trunk(), 3)
    # Three convolutions a stage and one before: 1 + 2 * (1 + 4) at stride 1, then at stride 2.
    assert (found.stride, found.offset, found.receptive_field) == (2, 0.0, 1 + 2 * 6 + 4 * 3)


class FixedSize(nn.Module):
    """Reshapes to the size it was trained at before the layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.mix = nn.Linear(16 * 16, 16 * 16)
        self.last = nn.Conv2d(4, 4, 1)
        self.fc = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        f = self.mix(self.conv(x).flatten(2)).view(-1, 4, 16, 16)
        return self.fc(self.last(f).mean((2, 3)))


@pytest.mark.parametrize(
    ("model", "layer", "reason"),
    [
        (FixedSize(), "last", "it fixes its size"),
        (Depthwise(), "point", "the whole image"),
        (Untraceable(), "fc", r"'fc' gives shape \(2, 4\)"),
    ],
)
def test_what_cannot_be_exported_says_why(model: nn.Module, layer: str, reason: str) -> None:
    net = ForeignNet(ForeignSpec("x", ("a", "b"), layer, 16, 3), model.eval())
    with pytest.raises(ModelError, match=reason):
        probe_geometry(net.export_trunk(), 3)


def test_probing_leaves_the_trunk_as_it_is() -> None:
    trunk = build_net("lenet").trunk
    before = [value.clone() for value in trunk.parameters()]
    probe_geometry(trunk, 1)
    assert all(map(torch.equal, before, trunk.parameters()))
