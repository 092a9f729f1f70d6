"""A bundle is what was exported, or it is refused with one line."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from simrun.bundle.load import find_bundle, load_bundle
from simrun.bundle.metadata import BundleMeta, Task
from simrun.errors import ModelError
from simrun.localizer import Localizer
from tests.conftest import STROKES


def rehash(folder: Path, name: str) -> None:
    """Make model.json accept whatever the file holds now."""
    path = folder / "model.json"
    data = json.loads(path.read_text())
    data["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    path.write_text(json.dumps(data))


@contextmanager
def changed_localizer(folder: Path) -> Iterator[onnx.ModelProto]:
    """The graph, to be changed; with the right hash afterwards."""
    model = onnx.load(folder / "localizer.onnx")
    yield model
    onnx.save(model, folder / "localizer.onnx")
    rehash(folder, "localizer.onnx")


def test_what_was_written_is_read_back(strokes: Path) -> None:
    bundle = load_bundle(strokes)
    assert BundleMeta.from_json(bundle.meta.to_json()) == bundle.meta
    assert bundle.sha256 == hashlib.sha256((strokes / "localizer.onnx").read_bytes()).hexdigest()
    assert bundle.classifier is not None


def test_a_bundle_of_the_first_schema_is_read_and_run(bars: np.ndarray) -> None:
    old, new = (load_bundle(folder) for folder in (STROKES.with_name("strokes_schema_1"), STROKES))
    assert old.meta == new.meta
    assert old.meta.task is Task.TEXT
    assert Localizer(old)(bars).regions == Localizer(new)(bars).regions


@pytest.mark.parametrize(
    ("fields", "task"),
    [
        ({}, Task.TEXT),
        ({"regions": {"lines": 1.0}}, Task.TEXT),
        ({"regions": {"lines": 0.0}}, Task.OBJECTS),
        ({"channels": 3}, Task.OBJECTS),
        ({"channels": 3, "regions": {"lines": 0}}, Task.OBJECTS),
    ],
)
def test_the_task_of_a_bundle_of_the_first_schema_is_what_it_was_used_for(
    fields: dict[str, object], task: Task
) -> None:
    data = json.loads((STROKES.with_name("strokes_schema_1") / "model.json").read_text())
    meta = BundleMeta.from_json(data | fields)
    assert (meta.task, dict(meta.regions)) == (task, {})
    assert BundleMeta.from_json(meta.to_json()) == meta


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"regions": {"lines": "no"}}, "'regions' has the wrong type"),
        ({"regions": [0]}, "'regions' has the wrong type"),
        ({"channels": 2}, "'channels' is 2; it must be 1 or 3"),
        ({"task": "text"}, "'task' is none of similarnet-bundle/1"),
    ],
)
def test_bad_metadata_of_the_first_schema_is_named(fields: dict[str, object], message: str) -> None:
    data = json.loads((STROKES.with_name("strokes_schema_1") / "model.json").read_text())
    with pytest.raises(ModelError, match=message):
        BundleMeta.from_json(data | fields)


@pytest.mark.parametrize("name", ["model.json", "localizer.onnx"])
def test_a_pipe_or_a_file_without_end_is_no_part_of_a_bundle(strokes: Path, name: str) -> None:
    (strokes / name).unlink()
    os.mkfifo(strokes / name)
    with pytest.raises(ModelError, match=r"no regular file|not a model bundle"):
        load_bundle(strokes)
    (strokes / name).unlink()
    with (strokes / name).open("wb") as file:
        file.truncate(8 << 30)
    with pytest.raises(ModelError, match="it has more than"):
        load_bundle(strokes)


def test_one_flipped_byte_is_noticed(strokes: Path) -> None:
    path = strokes / "classifier.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"classifier\.onnx does not verify"):
        load_bundle(strokes)


def test_a_missing_file_is_named(strokes: Path) -> None:
    (strokes / "localizer.onnx").unlink()
    with pytest.raises(ModelError, match=r"localizer\.onnx: No such file"):
        load_bundle(strokes)


def test_a_graph_cut_short_is_one_line_even_with_a_matching_hash(strokes: Path) -> None:
    path = strokes / "localizer.onnx"
    path.write_bytes(path.read_bytes()[:300])
    rehash(strokes, "localizer.onnx")
    with pytest.raises(ModelError, match=r"cannot load localizer\.onnx") as caught:
        Localizer.load(strokes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("word", [b"similarnet", b"image", b"heatmap"])
def test_a_graph_with_names_that_are_no_text_is_one_line(
    strokes: Path, word: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    path = strokes / "localizer.onnx"
    path.write_bytes(path.read_bytes().replace(word, b"\xff" + word[1:]))
    rehash(strokes, "localizer.onnx")
    with pytest.raises(ModelError, match=r"cannot load localizer\.onnx"):
        Localizer.load(strokes)
    assert capsys.readouterr().out == ""


def test_a_graph_of_somebody_else_is_refused(strokes: Path) -> None:
    with changed_localizer(strokes) as model:
        del model.metadata_props[:]
    with pytest.raises(ModelError, match="was not made by 'simtool export'"):
        Localizer.load(strokes)


def test_metadata_that_differs_from_the_graph_is_refused(
    edit_metadata: Callable[..., Path],
) -> None:
    with pytest.raises(ModelError, match="differs from the metadata inside"):
        Localizer.load(edit_metadata(map_threshold=0.1))


def test_an_unknown_rule_for_regions_is_refused(strokes: Path) -> None:
    bundle = load_bundle(strokes)
    meta = replace(bundle.meta, regions={"min_hight": 3.0})
    with pytest.raises(ModelError, match="unknown rules: min_hight"):
        Localizer(replace(bundle, meta=meta))


@pytest.mark.parametrize("value", [-1.0, 1e5, float("nan")])
def test_a_rule_out_of_range_is_refused(strokes: Path, value: float) -> None:
    bundle = load_bundle(strokes)
    meta = replace(bundle.meta, regions={"valley_reach": value})
    with pytest.raises(ModelError, match="rules outside 0 to 10000: valley_reach"):
        Localizer(replace(bundle, meta=meta))


def test_metadata_in_the_graph_that_is_no_json_is_refused(strokes: Path) -> None:
    with changed_localizer(strokes) as model:
        onnx.helper.set_model_props(model, {"similarnet": "{"})
    with pytest.raises(ModelError, match=r"cannot read the metadata inside localizer\.onnx"):
        Localizer.load(strokes)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("ReduceMax", r"maps of shape \(\)"),
        ("Concat", r"maps of shape \(1, 2, "),
        ("Shape", r"maps of shape \(4,\)"),
    ],
)
def test_a_graph_with_another_output_is_refused(
    strokes: Path, bars: np.ndarray, kind: str, message: str
) -> None:
    options = {"Concat": {"axis": 1}, "ReduceMax": {"keepdims": 0}}.get(kind, {})
    element = onnx.TensorProto.INT64 if kind == "Shape" else onnx.TensorProto.FLOAT
    with changed_localizer(strokes) as model:
        name = model.graph.output[0].name
        given = [name, name] if kind == "Concat" else [name]
        model.graph.node.append(onnx.helper.make_node(kind, given, ["changed"], **options))
        del model.graph.output[:]
        model.graph.output.append(onnx.helper.make_tensor_value_info("changed", element, None))
    with pytest.raises(ModelError, match=message):
        Localizer.load(strokes)(bars)


def test_a_graph_with_two_outputs_is_refused(strokes: Path) -> None:
    output = onnx.helper.make_tensor_value_info("again", onnx.TensorProto.FLOAT, None)
    with changed_localizer(strokes) as model:
        again = onnx.helper.make_node("Identity", [model.graph.output[0].name], ["again"])
        model.graph.node.append(again)
        model.graph.output.append(output)
    with pytest.raises(ModelError, match="1 inputs and 2 outputs"):
        Localizer.load(strokes)


def test_a_classifier_with_other_classes_is_refused(strokes: Path) -> None:
    labels = ["-", "|", "/"]
    path = strokes / "model.json"
    data = json.loads(path.read_text()) | {"classes": labels}
    path.write_text(json.dumps(data))
    embedded = {k: v for k, v in data.items() if k != "files"}
    with changed_localizer(strokes) as model:
        onnx.helper.set_model_props(model, {"similarnet": json.dumps(embedded)})
    with pytest.raises(ModelError, match="gives 2 classes, the bundle names 3"):
        Localizer.load(strokes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": "similarnet-bundle/9"}, "schema is 'similarnet-bundle/9'"),
        ({"stride": 0}, "'stride' is 0; it must be 1 to 1024"),
        ({"stride": "2"}, "'stride' has the wrong type: '2'"),
        ({"stride": True}, "'stride' has the wrong type: True"),
        ({"polarity": "grey"}, "'polarity' is 'grey'"),
        ({"scales": []}, "'scales' is"),
        ({"scales": [2.0]}, "'scales' is"),
        ({"scales": [0.5] * 20_000}, "it must be 1 to 16 factors"),
        ({"classes": ["a", "a"]}, "distinct labels"),
        ({"map_threshold": 0}, "'map_threshold' is 0.0; it must be above 0"),
        ({"region_threshold": 1.5}, "'region_threshold' is 1.5"),
        ({"layer": ...}, "lacks layer"),
        ({"task": ...}, "lacks task"),
        ({"task": "digits"}, "'task' is 'digits'; this version knows text, objects"),
        ({"task": 1}, "'task' has the wrong type: 1"),
        ({"channels": 3}, "'channels' is 3; it must be 1 where the task is text"),
        ({"regions": {"min_height": "tall"}}, "'regions' has the wrong type"),
        ({"colour": "red"}, "unknown fields: colour"),
        ({"files": ...}, "lists no hash"),
        ({"files": {"localizer.onnx": "0", "../x": "0"}}, "unknown file '../x'"),
        ({"files": {"localizer.onnx": "0", "a/localizer.onnx": "0"}}, "unknown file 'a/local"),
        ({"files": {"localizer.onnx": "0", "a\0/localizer.onnx": "0"}}, r"file 'a\x00/local"),
        ({"offset": float("nan")}, "'offset' has the wrong type: nan"),
        ({"offset": 10**400}, "'offset' has the wrong type: 1000"),
        ({"map_threshold": float("inf")}, "'map_threshold' has the wrong type: inf"),
        ({"receptive_field": 10**8}, "'receptive_field' is 100000000; it must be 1 to 4096"),
        ({"static_size": [16384, 16384]}, "two sizes of 8 to 4096"),
        ({"static_size": [True, 64]}, "'static_size' has the wrong type"),
        ({"classes": ["\ud800", "|"]}, r"'classes' has the wrong type: ['\ud800', '|']"),
        ({"name": ["x" * 9999]}, "...x"),
    ],
)
def test_bad_metadata_is_named(
    edit_metadata: Callable[..., Path], changes: dict[str, object], message: str
) -> None:
    folder = edit_metadata(**changes)
    if "files" in changes and changes["files"] is not ...:
        rehash(folder, "localizer.onnx")
    with pytest.raises(ModelError) as caught:
        load_bundle(folder)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", "\xff", "[" * 99_999, "[" * 99 + "]" * 99, '{"a": ' + "1" * 9999 + "}"],
)
def test_metadata_that_is_no_json_object(strokes: Path, content: str) -> None:
    (strokes / "model.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(ModelError, match=r"model\.json"):
        load_bundle(strokes)


def test_a_folder_without_a_bundle_and_an_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"not a model bundle: it has no model\.json"):
        find_bundle(tmp_path)
    with pytest.raises(ModelError, match="no model 'nonesuch'"):
        find_bundle("nonesuch")
