"""The comparison with other detectors, on made-up maps and records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from benchmarks.accuracy.peers.detector import Card, Frame, Quads
from benchmarks.accuracy.peers.fronts import front, score_at
from benchmarks.accuracy.peers.measure import describe, run_all
from benchmarks.accuracy.peers.ours import parse_ours
from benchmarks.accuracy.peers.plot import family_styles
from benchmarks.accuracy.peers.report import to_markdown
from benchmarks.harness.console import BenchmarkError
from simtool.data.annotations import AnnotatedImage, AnnotatedSet, TrueRegion


def test_the_front_leaves_out_what_another_equals_or_beats() -> None:
    points = [(4, 0.5), (1, 0.3), (2, 0.2), (4, 0.6), (8, 0.6)]
    assert front(points) == [1, 3]
    assert front([]) == []
    assert front([(1, 0.5), (1, 0.5)]) == [0]


def test_a_score_at_a_cost_lies_between_the_neighbours_and_nowhere_else() -> None:
    points = [(8.0, 0.8), (2.0, 0.4)]
    assert score_at(points, 4.0) == pytest.approx(0.6)
    assert score_at(points, 8.0) == 0.8
    assert score_at(points, 2.0) == 0.4
    assert score_at(points, 1.9) is None
    assert score_at([], 1.0) is None


def test_bundles_are_given_with_sides_or_without() -> None:
    assert parse_ours("mnist-lenet") == [("mnist-lenet", None)]
    assert parse_ours("a/b:640,320") == [("a/b", 640), ("a/b", 320)]
    with pytest.raises(BenchmarkError, match="'mnist-lenet:x' is not NAME or NAME:640,320"):
        parse_ours("mnist-lenet:x")


class Fixed:
    """Answers every frame with the same quads."""

    def __init__(self, family: str, quads: Quads, ours: bool = False) -> None:
        self.card = Card(family, 640, ours=ours)
        self._quads = quads

    def detect(self, frame: Frame) -> Quads:
        assert frame.shape == (100, 100, 3)
        return self._quads


SQUARE = ((20.0, 20.0), (60.0, 20.0), (60.0, 60.0), (20.0, 60.0))


@pytest.fixture
def photos(tmp_path: Path) -> AnnotatedSet:
    """A colour photo with one region, annotated in full, and a grey one, annotated in part."""
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((100, 100, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((100, 100), np.uint8))
    region = (TrueRegion(SQUARE),)
    full = AnnotatedImage("a.png", 100, 100, region, "full")
    part = AnnotatedImage("b.png", 100, 100, region, "part", exhaustive=False)
    return AnnotatedSet(tmp_path, (full, part))


@pytest.fixture
def record(photos: AnnotatedSet) -> dict[str, Any]:
    """The record of a run with a detector that finds everything and one that finds nothing."""
    runs = run_all([Fixed("good", [SQUARE], ours=True), Fixed("blind", [])], photos)
    return {
        "command": "python -m benchmarks.accuracy.peers photos",
        "date": "2026-01-01",
        "machine": {"processor": "some"},
        "versions": {"onnxruntime": "1", "opencv": "5"},
        "photos": 2,
        "missing": ["no peer"],
        "detectors": [describe(run, photos, (run, photos)) for run in runs],
    }


def test_every_detector_sees_every_photo_once_and_is_scored(
    photos: AnnotatedSet, record: dict[str, Any]
) -> None:
    (run,) = run_all([Fixed("good", [SQUARE])], photos)
    assert sorted(run.quads) == ["a.png", "b.png"]
    assert len(run.cpu_ms) == 2
    good, blind = (detector["figures"] for detector in record["detectors"])
    assert good["px_F1"] == good["line_F1"] == good["cov50"] == good["recall_cov50"] == 1
    assert good["flagged_notext"] == 0
    assert blind["px_F1"] == blind["recall_cov50"] == 0


def test_the_table_names_every_detector_and_what_is_missing(record: dict[str, Any]) -> None:
    text = to_markdown(record)
    assert "| good @ 640 | - | - |" in text
    assert "| blind @ 640 | - | - |" in text
    assert "Not in this run: no peer." in text


def test_variants_are_drawn_in_their_familys_colour(record: dict[str, Any]) -> None:
    net = record["detectors"][1] | {"family": "net", "model": {}}
    styles = family_styles([net, net | {"family": "net, tuned"}])
    assert styles["net"]["color"] == styles["net, tuned"]["color"]
    assert styles["net"]["linestyle"] != styles["net, tuned"]["linestyle"]
