"""The comparison of readers: words and regions counted as they are, other networks decoded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from benchmarks.accuracy.reading import PpOcr, Tally, gather, read_photo, to_markdown
from benchmarks.harness.console import BenchmarkError
from simrun import Localizer
from simrun.result import Quad, Reading
from simtool.data.annotations import AnnotatedImage, TrueRegion
from tests.conftest import STROKES

WORD: Quad = ((0.0, 0.0), (40.0, 0.0), (40.0, 20.0), (0.0, 20.0))
FRAME = np.zeros((100, 200, 3), np.uint8)


class Says:
    """A reader that says one thing."""

    name, weights = "says", 1000

    def __init__(self, text: str, probability: float, threshold: float = 0.5) -> None:
        self.reading, self.threshold = Reading(text, probability), threshold

    def read(self, frame: np.ndarray, quad: Quad) -> Reading:
        return self.reading

    def read_found(self, frame: np.ndarray, quads: Sequence[Quad]) -> list[Reading]:
        return [self.reading for _ in quads]


def found(frame: np.ndarray) -> Any:
    return SimpleNamespace(regions=[SimpleNamespace(quad=WORD)])


def recogniser(path: Path, characters: str | None) -> Path:
    """A network that says its first character at each of three steps, with a blank between."""
    steps = np.array([[0.1, 0.8, 0.1], [0.9, 0.05, 0.05], [0.2, 0.7, 0.1]], np.float32)[None]
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
            helper.make_node("Mul", ["most", "none"], ["nothing"]),
            helper.make_node("Add", ["steps", "nothing"], ["y"]),
        ],
        "rec",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 48, "W"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 3])],
        [
            numpy_helper.from_array(steps, "steps"),
            numpy_helper.from_array(np.float32(0), "none"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if characters is not None:
        model.metadata_props.add(key="character", value=characters)
    onnx.save(model, path)
    return path


def test_words_and_regions_are_counted() -> None:
    image = AnnotatedImage("a.png", 200, 100, (TrueRegion(WORD, "East"),), "words")
    sure, unsure = (Says("EAST", 0.9), Tally()), (Says("EAST", 0.4), Tally())
    read_photo(image, FRAME, found, [sure, unsure])
    for _, tally in (sure, unsure):
        assert [one.right for one in tally.words] == [True]
        assert len(tally.spent_ms) == 1
    assert sure[1].photos.token == 1
    assert unsure[1].photos.token == 0  # not probable enough to be a label
    record = sure[1].to_record(sure[0])
    assert (record["accuracy"], record["CER"], record["photos"]["token"]) == (1.0, 0.0, 1.0)


def test_another_network_is_read_by_its_own_characters(tmp_path: Path) -> None:
    reader = PpOcr(recogniser(tmp_path / "small_rec.onnx", "x\n"))
    reading = reader.read(FRAME, WORD)
    assert reading.text == "xx"
    assert reading.probability == pytest.approx(np.sqrt(0.8 * 0.7), rel=1e-5)
    with pytest.raises(BenchmarkError, match="has no metadata 'character'"):
        PpOcr(recogniser(tmp_path / "bare_rec.onnx", None))


def test_an_empty_folder_or_a_model_that_reads_no_lines_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="strokes has no reader of lines"):
        gather(Localizer.load(STROKES), None)


def test_the_table_has_a_row_a_reader() -> None:
    photos = {
        "token": 0.5,
        "substr": None,
        "precision": 1.0,
        "regions_without_text": 4,
        "labelled_without_text": 1,
    }
    spent = {"median": 0.5, "lower": 0.4, "upper": 0.6, "n": 3}
    row = {"name": "a", "weights": 274390, "accuracy": 0.7, "CER": 0.1, "cpu_ms": spent}
    record = {
        "command": "python -m benchmarks.accuracy.reading dev",
        "date": "2026-11-30",
        "dataset": "dev",
        "photos": 2,
        "readers": [{**row, "photos": photos}],
    }
    last = to_markdown(record).splitlines()[-1]
    assert last == "| a | 274k | 0.700 | 0.100 | 0.50 (0.40 to 0.60) | 0.500 | - | 1.000 | 1 of 4 |"
