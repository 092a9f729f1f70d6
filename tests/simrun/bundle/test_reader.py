"""A bundle with a reader is what was exported, or it is refused with one line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from simrun.bundle.load import load_bundle
from simrun.bundle.metadata import BundleMeta, Task
from simrun.bundle.reader import ReaderMeta
from simrun.errors import ModelError
from simrun.localizer import Localizer
from tests.conftest import STROKES
from tests.simrun.readers import META, add_reader, reader_graph


def fields_of(meta: ReaderMeta) -> dict[str, object]:
    bundle = replace(load_bundle(STROKES).meta, reader=meta)
    fields = bundle.to_json()["reader"]
    assert isinstance(fields, dict)
    return fields


def test_what_was_written_is_read_back(strokes: Path) -> None:
    add_reader(strokes)
    bundle = load_bundle(strokes)
    assert bundle.meta.reader == META
    assert bundle.reader == reader_graph()
    assert BundleMeta.from_json(bundle.meta.to_json()) == bundle.meta
    assert META.characters == ("", "-", "|")
    assert replace(META, blank=2).characters == ("-", "|", "")


def test_a_bundle_without_one_says_nothing_of_it() -> None:
    bundle = load_bundle(STROKES)
    assert (bundle.reader, bundle.meta.reader) == (None, None)
    assert "reader" not in bundle.meta.to_json()


def test_the_vocabulary_is_told_in_words() -> None:
    meta = load_bundle(STROKES).meta
    told = [m.vocabulary for m in (meta, replace(meta, reader=META), replace(meta, classes=()))]
    assert told == ["2 classes (-..|)", "lines of 2 characters", "no classes"]


def test_a_reader_may_stand_instead_of_a_classifier(strokes: Path) -> None:
    path = add_reader(strokes) / "model.json"
    data = json.loads(path.read_text())
    del data["files"]["classifier.onnx"]
    path.write_text(json.dumps(data))
    (strokes / "classifier.onnx").unlink()
    assert load_bundle(strokes).classifier is None
    assert Localizer.load(strokes).classifies


@pytest.mark.parametrize("lacking", ["reader", "file"])
def test_graph_and_field_come_together(strokes: Path, lacking: str) -> None:
    path = add_reader(strokes) / "model.json"
    data = json.loads(path.read_text())
    if lacking == "reader":
        del data["reader"]
    else:
        del data["files"]["reader.onnx"]
    path.write_text(json.dumps(data))
    with pytest.raises(ModelError, match=r"both a field 'reader' and a hash of reader\.onnx"):
        load_bundle(strokes)


def test_one_flipped_byte_is_noticed(strokes: Path) -> None:
    path = add_reader(strokes) / "reader.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelError, match=r"reader\.onnx does not verify"):
        load_bundle(strokes)


def test_things_are_not_read() -> None:
    meta = replace(load_bundle(STROKES).meta, reader=META)
    with pytest.raises(
        ModelError, match=r"'task' is .*objects.*; it must be text where there is a"
    ):
        replace(meta, task=Task.OBJECTS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "attention"}, "'reader.kind' is 'attention'; this version knows ctc"),
        ({"kind": [1]}, "'reader.kind' is [1]"),
        ({"alphabet": ...}, "'reader' lacks alphabet"),
        ({"colour": 1}, "'reader' has unknown fields: colour"),
        ({"alphabet": ""}, "'reader.alphabet' is ''; it must be 1 to"),
        ({"alphabet": "aba"}, "'reader.alphabet' is 'aba'"),
        ({"alphabet": "a\n"}, "'reader.alphabet' is"),
        ({"alphabet": "\ud800"}, "'reader.alphabet' has the wrong type"),
        ({"alphabet": ["a"]}, "'reader.alphabet' has the wrong type"),
        ({"blank": 3}, "'reader.blank' is 3; it must be one of the outputs"),
        ({"blank": True}, "'reader.blank' has the wrong type: True"),
        ({"height": 4}, "'reader.height' is 4; it must be 8 to 256"),
        ({"height": 40.0}, "'reader.height' has the wrong type: 40.0"),
        ({"stride": 0}, "'reader.stride' is 0"),
        ({"threshold": 1.5}, "'reader.threshold' is 1.5; it must be 0 to 1"),
        ({"threshold": "high"}, "'reader.threshold' has the wrong type"),
        ({"margin": -0.1}, "'reader.margin' is -0.1"),
        ({"stretch": [1, 0]}, "'reader.stretch' has the wrong type"),
        ({"stretch": [1, 0, "x"]}, "'reader.stretch' has the wrong type"),
        ({"stretch": [1, 0, 0.5]}, "'reader.stretch' is (1.0, 0.0, 0.5)"),
        ({"width_step": 0}, "'reader.width_step' is 0"),
        ({"least_width": 10**6}, "'reader.least_width' is 1000000"),
        ({"greatest_width": 8}, "'reader.greatest_width' is 8; it must be from least_width"),
    ],
)
def test_bad_metadata_is_named(changes: dict[str, object], message: str) -> None:
    fields = {k: v for k, v in (fields_of(META) | changes).items() if v is not ...}
    data = load_bundle(STROKES).meta.to_json() | {"reader": fields}
    with pytest.raises(ModelError) as caught:
        BundleMeta.from_json(data)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_reader_that_is_no_object() -> None:
    data = load_bundle(STROKES).meta.to_json() | {"reader": "ctc"}
    with pytest.raises(ModelError, match="'reader' has the wrong type: 'ctc'"):
        BundleMeta.from_json(data)
