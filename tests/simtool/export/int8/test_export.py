"""`simtool export --int8`: the whole of it, on canvases of easily told digits."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest

from simrun import Localizer
from simrun.bundle.load import LOCALIZER_FILE, load_bundle
from simrun.errors import SourceError, UsageError
from simtool.cli.export import ExportArguments, export
from simtool.data.canvases import DigitCanvas, compose
from simtool.export import localizer as localizer_module
from simtool.export.int8 import export as int8_module
from simtool.export.int8.compare import Form, PrecisionComparison, compare, side_by_side
from simtool.export.int8.export import Samples
from tests.conftest import ROOT
from tests.simtool.evalset import region, write_annotations
from tests.simtool.program import call
from tests.simtool.tiny import digits

MODEL = "mnist-maps"
COUNT = 8


def canvases() -> list[DigitCanvas]:
    data, random = digits(100), np.random.default_rng(0)
    return [
        compose(data.images[:, 0], data.labels, random, size=(150, 200 + 8 * i))
        for i in range(COUNT)
    ]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures, and a file that is none."""
    folder = tmp_path_factory.mktemp("camera")
    for i, canvas in enumerate(canvases()):
        cv2.imwrite(str(folder / f"{i}.png"), canvas.image)
    (folder / "notes.txt").write_text("not a picture")
    return folder


@pytest.fixture(scope="module")
def annotated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with annotations."""
    folder = tmp_path_factory.mktemp("annotated")
    records = []
    for i, canvas in enumerate(canvases()):
        cv2.imwrite(str(folder / f"{i}.png"), canvas.image)
        height, width = canvas.image.shape
        regions = [region(*box) for box in canvas.boxes.tolist()]
        records.append({"file": f"{i}.png", "width": width, "height": height, "regions": regions})
    write_annotations(folder, records)
    return folder


@pytest.fixture(scope="module")
def exported(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A bundle in 8 bits, and what its export said."""
    target = tmp_path_factory.mktemp("models") / "small"
    summary = export(ExportArguments(run=Path(MODEL), out=target, int8=pictures))
    return target, summary


def test_the_command_writes_a_bundle_that_runs_and_shows_both_side_by_side(
    capsys: pytest.CaptureFixture[str], annotated: Path, tmp_path: Path
) -> None:
    target = tmp_path / "small"
    code, out, err = call(capsys, "export", MODEL, "--int8", annotated, "--out", target)
    assert code == 0, err
    shown = json.loads(out)["int8"]
    assert shown["pictures"] == 2
    assert shown["int8"]["bytes"] == (target / LOCALIZER_FILE).stat().st_size
    assert shown["int8"]["bytes"] < 0.8 * shown["single"]["bytes"]
    assert 0 < shown["heatmap_difference"]["mean"] < shown["heatmap_difference"]["largest"] < 1
    assert shown["int8"]["px_F1"] == pytest.approx(shown["single"]["px_F1"], abs=0.1)
    assert shown["regions_agree_px_F1"] > 0.8
    assert "| 2 pictures held out | single precision | int8 |" in err
    row = re.search(r"\| px F1 \| (\S+) \| (\S+) \|", err)
    assert row is not None
    expected = [shown[form]["px_F1"] for form in ("single", "int8")]
    assert [float(cell) for cell in row.groups()] == pytest.approx(expected, abs=1e-3)
    saves = shown["time_ratio"][2] < 1
    assert ("warning: int8 saves no time on this machine" in err) == (not saves)
    result = Localizer.load(target, classify=False)(canvases()[0].image)
    assert result.heatmap is not None
    assert result.heatmap.values.shape[0] == 10


def test_the_bundle_says_that_it_is_int8_and_by_which_pictures(
    exported: tuple[Path, Any], pictures: Path
) -> None:
    target, summary = exported
    record = load_bundle(target).meta.export["int8"]
    assert record["pictures"] == 6
    assert record["weight_bits"] == 7
    assert record["pictures_sha256"] == Samples.open(pictures).to_json()["pictures_sha256"]
    graph = onnx.load(str(target / LOCALIZER_FILE)).graph
    made = {output: node.op_type for node in graph.node for output in node.output}
    quantized = [
        node.name
        for node in graph.node
        if node.op_type == "Conv" and made.get(node.input[0]) == "DequantizeLinear"
    ]
    assert record["convolutions"] == quantized
    assert summary["difference_to_pytorch"]["localizer"] <= 1e-5  # of the graph before
    assert "int8" not in load_bundle(MODEL).meta.export


def test_the_same_pictures_give_the_same_bytes(
    exported: tuple[Path, Any], pictures: Path, tmp_path: Path
) -> None:
    target, _ = exported
    # It starts from a bundle in 8 bits: its checkpoint is in single precision all the same.
    export(ExportArguments(run=target, out=tmp_path / "small", int8=pictures))
    for path in target.iterdir():
        assert (tmp_path / "small" / path.name).read_bytes() == path.read_bytes(), path.name


def test_exported_again_without_pictures_it_is_in_single_precision(
    exported: tuple[Path, Any], tmp_path: Path
) -> None:
    target, _ = exported
    summary = export(ExportArguments(run=target, out=tmp_path / "again"))
    assert summary["int8"] is None
    assert "int8" not in load_bundle(tmp_path / "again").meta.export


def test_a_static_graph_and_the_ort_format_go_with_it(pictures: Path, tmp_path: Path) -> None:
    summary = export(
        ExportArguments(
            run=Path(MODEL),
            out=tmp_path / "static",
            int8=pictures,
            static="160x256",
            formats=("ort",),
        )
    )
    assert summary["difference_of_formats"]["ort"] < 1e-4
    assert load_bundle(tmp_path / "static").meta.static_size == (160, 256)


@pytest.mark.parametrize("name", ["openvino", "ncnn"])
def test_other_runtimes_are_refused(name: str, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"--format {name} does not go with --int8"):
        export(
            ExportArguments(run=Path(MODEL), out=tmp_path / "out", int8=pictures, formats=(name,))
        )


def empty(folder: Path) -> None:
    folder.mkdir()


def few(folder: Path) -> None:
    folder.mkdir()
    for i in range(3):
        cv2.imwrite(str(folder / f"{i}.png"), np.zeros((99, 99), np.uint8))


def tiny(folder: Path) -> None:
    folder.mkdir()
    for i in range(4):
        cv2.imwrite(str(folder / f"{i}.png"), np.zeros((20, 99), np.uint8))


def broken(folder: Path) -> None:
    few(folder)
    (folder / "0.png").write_bytes(b"no picture")
    (folder / "3.png").write_bytes((folder / "1.png").read_bytes())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "cannot read folder"),
        (empty, "no pictures in"),
        (few, "--int8 needs 4 pictures or more, better 50, and .* holds 3"),
        (broken, "0.png is not a picture"),
    ],
)
def test_unusable_pictures_are_one_line_and_nothing_is_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, make: Any, message: str
) -> None:
    make(tmp_path / "pictures")
    given = ("--int8", tmp_path / "pictures", "--out", tmp_path / "out")
    code, out, err = call(capsys, "export", MODEL, *given)
    assert (code, out) == (SourceError.exit_code, "")
    assert err.count("\n") == 1
    assert re.search(message, err)
    assert {path.name for path in tmp_path.iterdir()} <= {"pictures"}


def test_a_picture_that_is_too_small_is_named(tmp_path: Path) -> None:
    tiny(tmp_path / "pictures")
    samples = Samples.open(tmp_path / "pictures")
    wanted = "0.png is 99x20 pixels, too small for --int8: at side 640 it must be 33 or more"
    with pytest.raises(SourceError, match=wanted):
        list(samples.inputs(load_bundle(MODEL).meta))


def test_a_network_that_pads_takes_small_pictures_too(tmp_path: Path) -> None:
    tiny(tmp_path / "pictures")
    meta = replace(load_bundle(MODEL).meta, offset=0.0, receptive_field=435, crop_size=224)
    shapes = {image.shape for image in Samples.open(tmp_path / "pictures").inputs(meta)}
    assert shapes == {(1, 1, 24, 104)}


def test_ctrl_c_while_it_compares_leaves_the_old_bundle(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "model"
    shutil.copytree(ROOT / "models" / MODEL, target)
    before = {path.name: path.read_bytes() for path in target.iterdir()}

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(int8_module, "compare", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export(ExportArguments(run=Path(MODEL), out=target, int8=pictures, overwrite=True))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert {path.name: path.read_bytes() for path in target.iterdir()} == before


def test_pictures_are_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(*_: object) -> None:
        raise AssertionError("the graph was built")

    monkeypatch.setattr(localizer_module, "transform_trunk", work)
    with pytest.raises(SourceError, match="cannot read folder"):
        export(ExportArguments(run=Path(MODEL), out=tmp_path / "out", int8=tmp_path / "no"))


def test_three_of_four_pictures_set_the_ranges_and_at_most_64(tmp_path: Path) -> None:
    for i in range(400):
        (tmp_path / f"{i:03}.png").touch()
    samples = Samples.open(tmp_path)
    ranging, held_out = (
        {picture.path.name for picture in some} for some in (samples.ranging, samples.held_out)
    )
    assert (len(ranging), len(held_out)) == (60, 50)
    assert not ranging & held_out
    assert {name[0] for name in ranging} == {name[0] for name in held_out} == set("0123")


def test_a_bundle_compared_with_itself_is_the_same(annotated: Path) -> None:
    bundle = load_bundle(MODEL)
    same = compare(bundle, bundle, Samples.open(annotated).held_out)
    assert (same.largest_difference, same.mean_difference) == (0.0, 0.0)
    assert same.agreement == 1
    assert same.single.regions == same.int8.regions > 0
    assert same.single.px_f1 == same.int8.px_f1
    assert same.single.px_f1 is not None
    assert same.single.size == len(bundle.localizer)


def test_where_nothing_is_found_there_is_nothing_to_agree_on(tmp_path: Path) -> None:
    few(tmp_path / "pictures")
    (tmp_path / "pictures" / "3.png").write_bytes((tmp_path / "pictures" / "0.png").read_bytes())
    bundle = load_bundle(MODEL)
    nothing = compare(bundle, bundle, Samples.open(tmp_path / "pictures").held_out)
    assert nothing.agreement is None
    assert nothing.single.px_f1 is None
    assert "regions: none found" in side_by_side(nothing)
    assert "px F1" not in side_by_side(nothing)


def test_time_is_saved_where_three_of_four_calls_were_faster() -> None:
    form = Form(size=1, cpu_ms=1.0, regions=0, px_f1=None)
    comparison = PrecisionComparison(1, form, form, (0.8, 0.9, 0.99), 0.0, 0.0, None)
    assert comparison.saves_time
    assert not replace(comparison, time_ratio=(0.8, 0.9, 1.0)).saves_time
