"""Regions are read line by line, in any order and company."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simrun import Localizer
from simrun.errors import ModelError, UsageError
from simrun.images.read import to_bgr
from simrun.inference.session import Engine, EngineConfig
from simrun.recognition.reader import LineReader
from simrun.result import Quad, Reading
from tests.conftest import STROKES
from tests.simrun.readers import META, add_reader, box, line, reader_graph


def engine_of(graph: bytes) -> Engine:
    return Engine(graph, EngineConfig(), what="reader.onnx")


@pytest.fixture
def page() -> np.ndarray:
    """(120, 400) with lines of text, the first one at (8, 10)."""
    frame = np.zeros((120, 400), np.uint8)
    for row, code in enumerate(("_|_-_", "_-_-_-_|_", "_____", "_|_|_|_|_|_|_|_|_|_")):
        strip = line(code)
        frame[10 + 24 * row : 26 + 24 * row, 8 : 8 + strip.shape[1]] = strip
    return frame


QUADS = [box(8, 10, 40), box(8, 34, 72), box(8, 58, 40), box(8, 82, 152)]
TEXTS = ["|-", "---|", "", "|||||||||"]


def test_each_region_gets_its_reading(page: np.ndarray) -> None:
    reader = LineReader(engine_of(reader_graph()), META)
    readings = reader.read(page, QUADS)
    assert [reading.text for reading in readings] == TEXTS
    assert readings[2] == Reading("", 0.0)
    assert readings[0].probability > 0.9


def test_a_reading_does_not_depend_on_what_is_read_beside_it(page: np.ndarray) -> None:
    reader = LineReader(engine_of(reader_graph()), META)
    together = reader.read(page, QUADS * 30)
    assert together == [reader.read(page, [quad])[0] for quad in QUADS] * 30


@pytest.mark.parametrize("outputs", [3, 4])
def test_an_alphabet_of_another_size_is_refused(outputs: int) -> None:
    meta = META if outputs == 4 else replace(META, alphabet="-|/")
    with pytest.raises(ModelError, match=rf"gives {outputs} outputs a step, .* {7 - outputs};"):
        LineReader(engine_of(reader_graph(outputs)), meta)


def test_a_graph_of_another_stride_is_refused() -> None:
    with pytest.raises(ModelError, match=r"shape \(2, 4, 3\) for strips 16 wide, not \(2, 2, 3\)"):
        LineReader(engine_of(reader_graph()), replace(META, stride=8))


def test_a_graph_of_another_height_is_one_line() -> None:
    with pytest.raises(ModelError, match=r"reader\.onnx failed on an input of shape") as caught:
        LineReader(engine_of(reader_graph()), replace(META, height=32, stride=4))
    assert "\n" not in str(caught.value)


def test_known_regions_are_read_by_the_localizer(strokes: Path, page: np.ndarray) -> None:
    localizer = Localizer.load(add_reader(strokes))
    for frame in (page, to_bgr(page)):
        assert [reading.text for reading in localizer.read(frame, QUADS)] == TEXTS
    assert localizer.read(page, []) == []


def test_a_part_of_the_frame_is_read_as_the_whole(strokes: Path) -> None:
    localizer = Localizer.load(add_reader(strokes, replace(META, margin=1.0)))
    noise = np.random.default_rng(0).integers(0, 256, (9, 30, 3)).astype(np.uint8)
    frame = np.kron(noise, np.ones((10, 10, 1), np.uint8))
    everything = box(0, 0, 300, 90)
    texts = set()
    for quad in (box(0, 0, 40), box(140, 30, 30, 8), box(280, 80, 40, 30), box(-30, 20, 40)):
        (part,) = localizer.read(frame, [quad])
        assert part == localizer.read(frame, [quad, everything])[0]
        texts.add(part.text)
    assert len(texts) > 1


def test_regions_of_a_frame_are_labelled_where_the_reader_is_sure(
    strokes: Path, bars: np.ndarray
) -> None:
    sure = Localizer.load(add_reader(strokes))
    unsure = Localizer.load(add_reader(strokes, replace(META, threshold=1.0)))
    scores = [r.label_score for r in sure(bars).regions if r.label]
    assert len(scores) == 2
    assert all(score is not None and score >= META.threshold for score in scores)
    assert [(r.label, r.label_score) for r in unsure(bars).regions] == [(None, None)] * 2
    unsure.reading_threshold = 0.0
    assert unsure(bars).regions == sure(bars).regions


def test_without_classification_nothing_is_read(strokes: Path, bars: np.ndarray) -> None:
    localizer = Localizer.load(add_reader(strokes), classify=False)
    assert not localizer.classifies
    assert [region.label for region in localizer(bars).regions] == [None, None]
    with pytest.raises(UsageError, match="strokes was loaded without what reads regions"):
        localizer.read(bars, [box(0, 0, 9)])


def test_a_classifier_reads_known_regions_too(bars: np.ndarray) -> None:
    lying: Quad = ((40.0, 100.0), (80.0, 100.0), (80.0, 108.0), (40.0, 108.0))
    (reading,) = Localizer.load(STROKES).read(bars, [lying])
    assert reading.text == "-"
    assert reading.probability > 0.9


class Looks:
    """An engine that gives what it is told to, look by look: an output and its probability."""

    what = "reader.onnx"

    def __init__(self, *looks: tuple[int, float]) -> None:
        self._looks = iter([(0, 1.0), *looks])  # a new reader tries its graph

    def run(self, batch: np.ndarray) -> np.ndarray:
        output, sure = next(self._looks)
        row = np.full(3, (1 - sure) / 2 + 1e-9)
        row[output] = sure
        return np.broadcast_to(np.log(row), (len(batch), batch.shape[3] // 4, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("looks", "text", "sure"),
    [
        ([(1, 0.96)], "-", 0.96),
        ([(1, 0.8), (2, 0.96)], "|", 0.96),
        ([(1, 0.8), (2, 0.7), (2, 0.9)], "|", 0.9),
        ([(1, 0.8), (2, 0.7), (2, 0.75)], "-", 0.8),
        ([(0, 0.8), (2, 0.5), (0, 0.9)], "|", 0.5),
        ([(0, 0.8), (0, 0.8), (0, 0.8)], "", 0.0),
    ],
)
def test_as_long_as_no_look_is_sure_there_are_three_and_the_best_counts(
    looks: list[tuple[int, float]], text: str, sure: float
) -> None:
    reader = LineReader(Looks(*looks), META)  # type: ignore[arg-type]
    (reading,) = reader.read(np.zeros((40, 40), np.uint8), [box(4, 4, 20)])
    assert (reading.text, reading.probability) == (text, pytest.approx(sure, rel=1e-3))


def test_regions_of_a_heatmap_are_read_beyond_their_ends(page: np.ndarray) -> None:
    reader = LineReader(engine_of(reader_graph()), META)
    short = box(16, 10, 15)  # of `_|_-_` the second and third
    assert [reader.read(page, [short])[0].text, reader.read_found(page, [short])[0].text] == [
        "|",
        "|-",
    ]


def test_only_what_may_be_read_is(strokes: Path, page: np.ndarray) -> None:
    localizer = Localizer.load(add_reader(strokes), pattern="[-]{2,3}")
    assert [r.text for r in localizer.read(page, QUADS[1:2])] == ["---"]
    localizer = Localizer.load(strokes, words=["||", "|-"])
    assert [r.text for r in localizer.read(page, QUADS[:1])] == ["|-"]
    assert localizer.read(page, QUADS[1:2])[0].probability < META.threshold


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pattern": "[-"}, "--pattern '[-' is no regular expression"),
        ({"pattern": "[0-9]"}, "has a class of which the model reads no character"),
        ({"words": []}, "--words has no words"),
        ({"words": ["12"]}, "--words has '12', of which the model reads no character"),
        ({"words": ["-"], "pattern": "-"}, "--pattern and --words both say what may be read"),
        ({"pattern": "-", "classify": False}, "--pattern is for models with a reader of lines"),
    ],
)
def test_what_may_be_read_is_checked(strokes: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Localizer.load(add_reader(strokes), **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_may_be_read_is_nothing_for_a_classifier() -> None:
    with pytest.raises(UsageError, match="--words is for models with a reader of lines that is in"):
        Localizer.load(STROKES, words=["-"])


def test_a_bundle_without_a_reader_loads_nothing_of_it() -> None:
    code = (
        f"import sys; from simrun import Localizer; Localizer.load({str(STROKES)!r})\n"
        "names = ('ctc', 'language', 'memory', 'pattern', 'reader', 'strips')\n"
        "loaded = {f'simrun.recognition.{name}' for name in names} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("quad", "message"),
    [
        (box(900, 0, 40), "outside of the frame of 400x120: x 900 to 940, y 0 to 16"),
        (box(0, -60, 40), "outside of the frame of 400x120: x 0 to 40, y -60 to -44"),
        (((0, 0), (1, 1)), "must be four corners"),
        (((0, 0), (float("nan"), 0), (9, 9), (0, 9)), "must be four corners"),
        ("everywhere", "a region is 'everywhere'; it must be four corners"),
    ],
)
def test_a_region_that_is_none_is_one_line(
    strokes: Path, page: np.ndarray, quad: Quad, message: str
) -> None:
    localizer = Localizer.load(add_reader(strokes))
    with pytest.raises(UsageError) as caught:
        localizer.read(page, [quad])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [(3000, 1), (1, 3000)])
def test_a_strip_of_one_pixel_by_3000_is_read(strokes: Path, size: tuple[int, int]) -> None:
    frame = np.zeros(size[::-1], np.uint8)
    assert Localizer.load(add_reader(strokes)).read(frame, [box(0, 0, *size)]) == [Reading("", 0.0)]
