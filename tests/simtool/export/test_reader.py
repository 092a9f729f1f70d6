"""A bundle with a reader: its graph, what it says of itself, and exported again the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from simrun.bundle.load import READER_FILE, load_bundle
from simrun.errors import ModelError, UsageError
from simrun.localizer import Localizer
from simtool.cli.export import ExportArguments, export
from simtool.data.labels import STRIPS
from simtool.evaluation.calibrate_reading import READING_POINT
from simtool.export.ablated_model import open_ablated, with_reader
from simtool.export.optimize.rounding import round_weights
from simtool.export.parity import TOLERANCE
from simtool.export.recognition import UNCALIBRATED, export_recognition
from simtool.export.writer import write_with_metadata
from simtool.nets.reader import Reader, folded
from simtool.runs.checkpoint import Checkpoint, read_checkpoint
from simtool.runs.folder import RunConfig, RunFolder
from simtool.runs.recipes import RECIPES
from tests.simtool.program import assert_fails, invoke

MODELS = Path(__file__).parents[3] / "models"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of a reader with random weights."""
    folder = tmp_path_factory.mktemp("runs") / "reader"
    torch.manual_seed(0)
    net = Reader()
    torch.nn.init.normal_(net.head.weight, std=0.1)
    recipe = RECIPES["reader"]
    record = {"epoch": 1, "loss": 1.0, "test": {"overall": 0.5, "per_class": []}, "digits": 0.5}
    checkpoint = Checkpoint("reader", 1, net.state_dict(), {})
    RunFolder.create(folder, RunConfig(recipe, 0, "strips")).save(checkpoint, [record])
    return folder


@pytest.fixture(scope="module")
def bundle(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped localizer of text with this reader."""
    target = tmp_path_factory.mktemp("models") / "reads"
    export(ExportArguments(target, MODELS / "scene-text", reader=run))
    return target


def test_the_graph_says_what_the_network_says() -> None:
    torch.manual_seed(1)
    net = folded(Reader().eval())
    round_weights(net)
    exported = export_recognition(net)
    assert exported.difference <= TOLERANCE
    assert len({shape[3] for shape in exported.shapes}) >= 4
    model = exported.model
    assert (model.opset_import[0].version, model.ir_version) == (17, 8)
    assert not any(node.op_type == "BatchNormalization" for node in model.graph.node)
    (strips,), (logits,) = model.graph.input, model.graph.output
    assert strips.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    shapes = [
        [axis.dim_param or axis.dim_value for axis in port.type.tensor_type.shape.dim]
        for port in (strips, logits)
    ]
    assert shapes == [["N", 1, STRIPS.height, "W"], ["N", "T", len(STRIPS.characters)]]
    assert len(model.SerializeToString()) < 600_000  # in single precision it would be twice that


def test_the_reader_takes_the_classifiers_place(bundle: Path) -> None:
    loaded = load_bundle(bundle)
    assert loaded.classifier is None
    assert loaded.meta.classes == ()
    assert loaded.meta.reader == replace(STRIPS, threshold=UNCALIBRATED)
    assert "classifier" not in loaded.meta.training
    assert loaded.meta.training["reader"]["recipe"]["kind"] == "reader"
    assert loaded.meta.accuracy["reader"]["test"] == 0.5
    assert not (bundle / "classifier.safetensors").exists()
    assert read_checkpoint(bundle, "reader.safetensors").net == "reader"
    former = load_bundle(MODELS / "scene-text").meta
    assert loaded.meta.export["operating_point"] == former.export["operating_point"]


def test_it_reads(bundle: Path) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (120, 200), dtype=np.uint8)
    quad = ((10.0, 10.0), (150.0, 10.0), (150.0, 40.0), (10.0, 40.0))
    (reading,) = Localizer.load(bundle).read(frame, [quad])
    assert set(reading.text) <= set(STRIPS.alphabet)
    assert 0 <= reading.probability <= 1


def test_exported_again_it_is_the_same(bundle: Path, tmp_path: Path) -> None:
    meta = load_bundle(bundle).meta
    assert meta.reader is not None
    chosen = replace(
        meta,
        reader=replace(meta.reader, threshold=0.7),
        export={**meta.export, READING_POINT: {"chosen": 0.7}},
    )
    write_with_metadata(load_bundle(bundle), chosen, tmp_path / "chosen", False)
    export(ExportArguments(tmp_path / "again", tmp_path / "chosen"))
    again = load_bundle(tmp_path / "again")
    assert again.meta.reader == chosen.reader
    assert again.meta.export[READING_POINT] == {"chosen": 0.7}
    assert again.reader == (bundle / READER_FILE).read_bytes()
    files = json.loads((tmp_path / "again" / "model.json").read_text())["files"]
    assert set(files) == {"localizer.onnx", READER_FILE}


def test_another_reader_needs_another_threshold(run: Path, bundle: Path, tmp_path: Path) -> None:
    meta = load_bundle(bundle).meta
    assert meta.reader is not None
    record = {**meta.export, READING_POINT: {"chosen": 0.7}}
    chosen = replace(meta, reader=replace(meta.reader, threshold=0.7), export=record)
    write_with_metadata(load_bundle(bundle), chosen, tmp_path / "chosen", False)
    previous = with_reader(open_ablated(tmp_path / "chosen"), run).previous
    assert previous is not None
    assert previous.reader is None
    assert READING_POINT not in previous.export


def test_what_does_not_go_together_is_one_line(run: Path, tmp_path: Path) -> None:
    shipped = MODELS / "scene-text"
    both = ("--reader", run, "--classifier", run)
    failed = invoke("export", shipped, "--out", tmp_path / "a", *both)
    assert_fails(failed, UsageError, "--classifier or read by --reader; leave one out")
    failed = invoke("export", shipped, "--out", tmp_path / "a", "--classifier", run)
    assert_fails(failed, UsageError, "'reader' reads strips")
    assert not (tmp_path / "a").exists()


def test_a_run_of_something_else_is_no_reader(tmp_path: Path) -> None:
    checkpoint = read_checkpoint(MODELS / "mnist-lenet")
    record = {"epoch": 1, "test": {"overall": 0.5, "per_class": []}}
    folder = RunFolder.create(tmp_path / "run", RunConfig(RECIPES["mnist-lenet"], 0, "digits"))
    folder.save(replace(checkpoint, epoch=1), [record])
    with pytest.raises(ModelError, match="'lenet' is no reader of strips"):
        export(ExportArguments(tmp_path / "a", MODELS / "scene-text", reader=tmp_path / "run"))
