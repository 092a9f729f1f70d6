"""`simtool export --format`: what another runtime gets is what ONNX Runtime runs."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from simrun.bundle.load import load_bundle
from simrun.errors import ModelError, UsageError
from simtool.cli.export import ExportArguments, FormatChoice, export
from simtool.export import formats as formats_module
from simtool.export.formats import FORMATS, Graph, Run, convert, require_format
from simtool.export.parity import image_shapes
from simtool.export.writer import write_with_metadata
from tests.conftest import ROOT

SHIPPED = ("mnist-lenet", "mnist-maps", "scene-text")
FILES = {
    "ort": {"localizer.ort", "classifier.ort"},
    "openvino": {"localizer.xml", "localizer.bin", "classifier.xml", "classifier.bin"},
    "ncnn": {
        *("localizer.ncnn.param", "localizer.ncnn.bin"),
        *("classifier.ncnn.param", "classifier.ncnn.bin"),
    },
}


def needs_converter(name: str) -> None:
    try:
        require_format(name)
    except UsageError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("model", SHIPPED)
@pytest.mark.parametrize("name", FORMATS)
def test_every_shipped_model_agrees_in_every_format(name: str, model: str, tmp_path: Path) -> None:
    needs_converter(name)
    target = tmp_path / model
    # pnnx cannot work out the sizes of scene-text's maps.
    one_size = (name, model) == ("ncnn", "scene-text")
    summary = export(
        ExportArguments(
            run=ROOT / "models" / model,
            out=target,
            formats=(name,),
            static="480x640" if one_size else None,
        )
    )
    files = FILES[name]
    if model == "scene-text":  # it has a reader of lines in the classifier's place
        files = {file.replace("classifier", "reader") for file in files}
    assert {path.name for path in target.iterdir()} >= files
    assert summary["difference_of_formats"][name] < 1e-5


def test_the_command_line_offers_the_formats_there_are() -> None:
    assert {choice.value for choice in FormatChoice} == FORMATS.keys() == FILES.keys()


def test_the_files_lie_in_the_bundle_and_stay_with_it(tmp_path: Path) -> None:
    summary = export(
        ExportArguments(
            run=ROOT / "models" / "mnist-lenet",
            out=tmp_path / "a",
            static="64x96",
            formats=("ort",),
        )
    )
    assert 0 <= summary["difference_of_formats"]["ort"] < 1e-4
    bundle = load_bundle(tmp_path / "a")
    picture = np.random.default_rng(1).integers(0, 256, (1, 1, 64, 96), dtype=np.uint8)
    here, there = (
        onnxruntime.InferenceSession(content).run(None, {"image": picture})[0]
        for content in (bundle.localizer, (tmp_path / "a" / "localizer.ort").read_bytes())
    )
    np.testing.assert_allclose(there, here, atol=1e-5)
    write_with_metadata(bundle, bundle.meta, tmp_path / "b", False)
    assert (tmp_path / "b" / "localizer.ort").is_file()


def _off_by(amount: float) -> Callable[[Graph, Path], Run]:
    """A converter whose runtime answers that much more than ONNX Runtime."""

    def to_wrong(graph: Graph, folder: Path) -> Run:
        (folder / f"{graph.stem}.wrong").write_bytes(b"")
        session = onnxruntime.InferenceSession(graph.content)
        name = session.get_inputs()[0].name
        return lambda picture: session.run(None, {name: picture})[0] + np.float32(amount)

    return to_wrong


def test_a_format_that_differs_is_refused_and_nothing_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats_module, "FORMATS", {"ort": _off_by(0.01)})
    with pytest.raises(ModelError, match=r"localizer as ort differs by 1\.0e-02"):
        export(
            ExportArguments(
                run=ROOT / "models" / "mnist-lenet", out=tmp_path / "out", formats=("ort",)
            )
        )
    assert not (tmp_path / "out").exists()


def test_a_small_difference_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats_module, "FORMATS", {"ort": _off_by(0.00005)})
    graph = Graph("localizer", load_bundle("mnist-lenet").localizer, image_shapes(40, 1))
    files, difference = convert("ort", [graph])
    assert list(files) == ["localizer.wrong"]
    assert 4e-5 < difference < 6e-5


def test_a_graph_that_cannot_be_converted_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(graph: Graph, folder: Path) -> Run:
        raise RuntimeError("no such operator\nand more")

    monkeypatch.setattr(formats_module, "FORMATS", {"ort": fail})
    with pytest.raises(ModelError, match=r"^localizer cannot be had as ort: no such operator$"):
        convert("ort", [Graph("localizer", b"", [(1, 1, 8, 8)])])


def test_a_missing_converter_is_named_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(UsageError, match=r"needs the package 'pnnx': pip install 'similarnet\[f"):
        export(
            ExportArguments(
                run=ROOT / "models" / "mnist-lenet", out=tmp_path / "out", formats=("ncnn",)
            )
        )
    with pytest.raises(UsageError, match="--format tflite is unknown; known: ort, openvino, ncnn"):
        require_format("tflite")
