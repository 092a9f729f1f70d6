from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from simrun.bundle.load import METADATA_KEY, load_bundle, verify_embedded
from simrun.errors import ModelError, OutputError, UsageError
from simtool import files as folders_module
from simtool.cli.ablate import AblateArguments, ablate
from simtool.cli.export import ExportArguments, export
from simtool.data import LabelledImages, load_split
from simtool.export import to_onnx as to_onnx_module
from simtool.export.ablated_model import AblatedModel, open_ablated
from simtool.export.parity import TOLERANCE, check_parity, image_shapes
from simtool.export.pipeline import export_bundle
from simtool.export.presets import ExportOptions
from simtool.export.to_onnx import Port, to_onnx
from simtool.runs.checkpoint import read_checkpoint
from simtool.runs.folder import ABLATION_FILE
from simtool.runs.recipes import RECIPES
from simtool.training.labelled import train
from simtool.weighting.weigh import WeightingOptions
from tests.conftest import ROOT
from tests.simtool.tiny import digits

BUNDLE_FILES = {
    *("localizer.onnx", "classifier.onnx", "model.json"),
    *("checkpoint.safetensors", "ablation.json"),
}


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory, digit_folder: Path) -> Path:
    """A trained and ablated run."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    recipe = replace(RECIPES["mnist-lenet"], epochs=2, batch=50)
    splits = [load_split("mnist", name, digit_folder) for name in ("train", "test")]
    train(recipe, splits[0], splits[1], folder, 0)
    ablate(AblateArguments(run=folder, data=digit_folder, weighting="uniform", resamples=20))
    return folder


@pytest.fixture(scope="session")
def ablated(run: Path) -> AblatedModel:
    return open_ablated(run)


@pytest.fixture(scope="session")
def bundle(ablated: AblatedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle exported with the default options."""
    target = tmp_path_factory.mktemp("models") / "tiny"
    export_bundle(ablated, ExportOptions(), target, training_split)
    return target


def training_split(name: str) -> LabelledImages:
    return digits(600, name)


def never(name: str) -> LabelledImages:
    raise AssertionError(f"the data is not needed, and split {name} was asked for")


def test_bundle_is_whole_verifies_and_holds_no_traces(bundle: Path) -> None:
    assert {path.name for path in bundle.iterdir()} == BUNDLE_FILES
    assert [p.name for p in bundle.parent.iterdir()] == ["tiny"]
    loaded = load_bundle(bundle)
    record = onnx.load_from_string(loaded.localizer).metadata_props
    verify_embedded(loaded, {entry.key: entry.value for entry in record})
    for content in (loaded.localizer, loaded.classifier):
        model = onnx.load_from_string(content)
        assert model.ir_version == 8
        assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)]
        assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
        assert not model.graph.metadata_props
        assert len({node.name for node in model.graph.node}) == len(model.graph.node)
        for trace in (b"site-packages", b".py", str(Path.home()).encode()):
            assert trace not in content
    meta = loaded.meta
    assert (meta.name, meta.layer, meta.crop_size) == ("tiny", "trunk.relu2", 28)
    assert (meta.stride, meta.offset, meta.receptive_field) == (2, 6.5, 14)
    assert meta.classes == tuple("0123456789")
    assert len(meta.ablation["error"]["e_i"]) == 16
    assert meta.export["calibration"]["samples"] == 600


def test_the_bundle_keeps_the_checkpoint_of_the_run(bundle: Path, run: Path) -> None:
    again, trained = read_checkpoint(bundle), read_checkpoint(run)
    assert (again.net, again.epoch, again.sha256) == (trained.net, trained.epoch, trained.sha256)
    assert not again.optimizer


def test_what_only_reads_is_stored_in_half_floats(bundle: Path, run: Path) -> None:
    trained = read_checkpoint(run).build().state_dict()
    graph = onnx.load(bundle / "classifier.onnx").graph
    stored = {t.name.removeprefix("net."): onnx.numpy_helper.to_array(t) for t in graph.initializer}
    halves = {name for name, values in stored.items() if values.dtype == np.float16}
    assert halves == {"head.fc1.weight", "head.fc2.weight"}
    for name in trained:
        expected = trained[name].numpy().astype(stored[name].dtype)
        assert np.array_equal(stored[name], expected)
    in_localizer = onnx.load(bundle / "localizer.onnx").graph.initializer
    assert onnx.TensorProto.FLOAT16 not in {tensor.data_type for tensor in in_localizer}


@pytest.mark.parametrize("missing", ["checkpoint.safetensors", "reader.safetensors"])
def test_a_model_without_its_checkpoints_says_what_is_missing(missing: str, tmp_path: Path) -> None:
    copy = damaged(ROOT / "models" / "scene-text", tmp_path, lambda p: (p / missing).unlink())
    with pytest.raises(ModelError, match=f"has no {missing}: it holds what simrun runs") as caught:
        export(ExportArguments(run=copy, out=tmp_path / "model"))
    assert "\n" not in str(caught.value)


def test_only_plain_operators(bundle: Path) -> None:
    loaded = load_bundle(bundle)
    kinds = {node.op_type for node in onnx.load_from_string(loaded.localizer).graph.node}
    taking_apart = {"Shape", "Div", "Mul", "Slice", "Cast", "SpaceToDepth"}
    assert kinds - taking_apart <= {"Conv", "Split", "Max", "Min", "Neg", "Relu"}


def test_axes_are_symbolic_and_named(bundle: Path) -> None:
    session = onnxruntime.InferenceSession(str(bundle / "localizer.onnx"))
    assert session.get_inputs()[0].shape == ["N", 1, "H", "W"]
    assert session.get_inputs()[0].type == "tensor(uint8)"
    assert session.get_outputs()[0].shape == ["N", 1, "h", "w"]
    classifier = onnxruntime.InferenceSession(str(bundle / "classifier.onnx"))
    assert classifier.get_inputs()[0].shape == ["N", 1, 28, 28]
    assert classifier.get_outputs()[0].shape == ["N", 10]


def test_heatmap_is_1_at_the_strong_responses(ablated: AblatedModel, tmp_path: Path) -> None:
    export_bundle(ablated, ExportOptions(polarity="bright"), tmp_path / "bright", training_split)
    session = onnxruntime.InferenceSession(str(tmp_path / "bright" / "localizer.onnx"))
    heatmap = session.run(None, {"image": digits(600).images})[0]
    assert np.quantile(heatmap, 0.999) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    "options",
    [
        ExportOptions(weighting="paper-code", weights=WeightingOptions(), pool="atrous"),
        ExportOptions(weighting="signed", weights=WeightingOptions(per_class=True), pool="drop"),
        ExportOptions(polarity="dark", padding="same", static_size=(33, 47)),
    ],
)
def test_every_form_agrees_with_pytorch(
    ablated: AblatedModel, tmp_path: Path, options: ExportOptions
) -> None:
    report = export_bundle(ablated, options, tmp_path / "form", training_split)
    assert report.localizer_difference <= TOLERANCE
    assert report.recognition_difference <= TOLERANCE
    loaded = load_bundle(tmp_path / "form")
    session = onnxruntime.InferenceSession(loaded.localizer)
    rows = 10 if options.weights.per_class else 1
    assert len(loaded.meta.heatmap_channels) == session.get_outputs()[0].shape[1] == rows
    if options.static_size:
        assert session.get_inputs()[0].shape == [1, 1, 33, 47]


def test_weights_below_0_answer_0_to_nothing_and_1_to_the_strong(
    ablated: AblatedModel, tmp_path: Path
) -> None:
    weights = WeightingOptions(per_class=True)
    report = export_bundle(
        ablated,
        ExportOptions(weighting="paper-code", weights=weights, polarity="bright"),
        tmp_path / "signed",
        training_split,
    )
    assert report.weighting.signed
    session = onnxruntime.InferenceSession(str(tmp_path / "signed" / "localizer.onnx"))
    nothing = session.run(None, {"image": np.zeros((1, 1, 40, 40), np.uint8)})[0]
    assert np.abs(nothing).max() < 1e-5
    heatmap = session.run(None, {"image": digits(600).images})[0]
    assert np.quantile(heatmap, 0.999, axis=(0, 2, 3)) == pytest.approx(np.ones(10), abs=1e-3)


def test_a_bundle_is_exported_again_to_the_same_bytes_without_data(
    bundle: Path, tmp_path: Path
) -> None:
    again = tmp_path / "tiny"
    export(ExportArguments(run=bundle, out=again))
    for name in BUNDLE_FILES:
        assert (again / name).read_bytes() == (bundle / name).read_bytes(), name


def test_settings_of_a_bundle_are_kept_unless_given(bundle: Path, tmp_path: Path) -> None:
    export(
        ExportArguments(
            run=bundle, out=tmp_path / "once", side=320, scales="1,0.5", map_threshold=0.25
        )
    )
    export(ExportArguments(run=tmp_path / "once", out=tmp_path / "twice"))
    meta = load_bundle(tmp_path / "twice").meta
    assert (meta.side, meta.scales, meta.map_threshold) == (320, (1.0, 0.5), 0.25)
    assert meta.name == "twice"


def test_another_form_of_a_bundle_measures_the_affine_anew(
    bundle: Path, tmp_path: Path, digit_folder: Path
) -> None:
    export(
        ExportArguments(
            run=bundle, out=tmp_path / "drop", data=digit_folder, pool="drop", weighting="uniform"
        )
    )
    scale = load_bundle(tmp_path / "drop").meta.export["calibration"]["scale"]
    assert scale != load_bundle(bundle).meta.export["calibration"]["scale"]


def test_overwrite_replaces_a_bundle_alone_and_keeps_its_card(
    ablated: AblatedModel, tmp_path: Path
) -> None:
    target = tmp_path / "model"
    export_bundle(ablated, ExportOptions(), target, training_split)
    (target / "README.md").write_text("card")
    with pytest.raises(
        OutputError, match="a folder that is not empty; name another or add --overwrite"
    ):
        export_bundle(ablated, ExportOptions(), target, never)
    again = ExportOptions(polarity="bright")
    export_bundle(ablated, again, target, training_split, overwrite=True)
    assert load_bundle(target).meta.polarity == "bright"
    assert (target / "README.md").read_text() == "card"
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="is not a former result"):
        export_bundle(ablated, ExportOptions(), foreign, never, overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["foreign", "model"]


@pytest.mark.parametrize("step", ["fsync", "rename"])
def test_a_full_disk_leaves_nothing_behind_and_the_old_bundle_whole(
    ablated: AblatedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    target = tmp_path / "model"
    export_bundle(ablated, ExportOptions(), target, training_split)
    before = {path.name: path.read_bytes() for path in target.iterdir()}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    place = (os, "fsync") if step == "fsync" else (folders_module, "_put_in_place")
    monkeypatch.setattr(*place, full)
    with pytest.raises(OutputError, match="No space left on device"):
        export_bundle(
            ablated, ExportOptions(polarity="bright"), target, training_split, overwrite=True
        )
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    assert {path.name: path.read_bytes() for path in target.iterdir()} == before


def test_a_graph_that_differs_is_refused_and_nothing_written(
    ablated: AblatedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = to_onnx_module.to_onnx

    def wrong(module: nn.Module, *rest: object) -> onnx.ModelProto:
        model = right(module, *rest)
        for tensor in model.graph.initializer:
            if tensor.name.endswith("readout.weight"):
                values = onnx.numpy_helper.to_array(tensor) * np.float32(1.01)
                tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
        return model

    monkeypatch.setattr(to_onnx_module, "to_onnx", wrong)
    with pytest.raises(ModelError, match="differ by"):
        export_bundle(ablated, ExportOptions(), tmp_path / "model", training_split)
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_fixes_a_size_is_refused() -> None:
    class Fixed(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.float().reshape(-1, 1, 61, 83)

    axes = ("N", 1, "H", "W")
    example = torch.zeros(2, 1, 61, 83, dtype=torch.uint8)
    with pytest.raises(ModelError, match=r"fixes|cannot be exported"):
        to_onnx(Fixed().eval(), example, Port("image", axes), Port("heatmap", axes))


def test_parity_is_measured_at_20_sizes_odd_ones_and_batches() -> None:
    shapes = image_shapes(14, 1)
    assert len(set(shapes)) == 20
    assert {n for n, *_ in shapes} == {1, 2, 3}
    assert {h % 2 for _, _, h, _ in shapes} == {w % 2 for *_, w in shapes} == {0, 1}
    assert min(h for _, _, h, _ in shapes) == 14
    with pytest.raises(ModelError, match="refuses the exported graph"):
        check_parity(b"no graph", nn.Identity(), shapes)


def damaged(run: Path, tmp_path: Path, change: Callable[[Path], object]) -> Path:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in run.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    change(copy)
    return copy


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: (p / ABLATION_FILE).unlink(), "run 'simtool ablate"),
        (lambda p: (p / "checkpoint.safetensors").write_bytes(b"x" * 50), "damaged"),
        (lambda p: (p / "checkpoint.safetensors").unlink(), "run 'simtool train' first"),
        (
            lambda p: (p / ABLATION_FILE).write_text(
                (p / ABLATION_FILE)
                .read_text()
                .replace('"checkpoint_sha256": "', '": "0')
                .replace('": "0', '"checkpoint_sha256": "0')
            ),
            "is of another checkpoint",
        ),
        (lambda p: (p / "config.json").write_text("{}"), "schema None"),
        (lambda p: (p / "config.json").unlink(), "is not a run folder"),
    ],
)
def test_unusable_runs_are_refused(
    run: Path, tmp_path: Path, change: Callable[[Path], object], message: str
) -> None:
    copy = damaged(run, tmp_path, change)
    with pytest.raises(ModelError, match=message) as caught:
        export(ExportArguments(run=copy, out=tmp_path / "model"))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"static": "10x640"}, "smaller than the receptive field"),
        ({"static": "wide"}, "--static is 'wide'"),
        ({"scales": "big"}, "--scales is 'big'"),
        ({"weighting": "paper-code", "temperature": 2.0}, "takes no --temperature"),
    ],
)
def test_impossible_options_are_refused(
    run: Path, tmp_path: Path, given: dict[str, Any], message: str, digit_folder: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        export(ExportArguments(run=run, out=tmp_path / "model", data=digit_folder, **given))
    assert not (tmp_path / "model").exists()


def test_embedded_metadata_is_that_of_model_json(bundle: Path) -> None:
    model = onnx.load(str(bundle / "localizer.onnx"))
    embedded = {p.key: json.loads(p.value) for p in model.metadata_props}
    shown = json.loads((bundle / "model.json").read_text())
    assert set(shown.pop("files")) == {"localizer.onnx", "classifier.onnx"}
    assert embedded == {METADATA_KEY: shown}
