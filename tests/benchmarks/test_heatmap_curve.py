"""The curve of a map that is right, wrong or mixed is known beforehand."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.accuracy.heatmap_curve import MapCurve, map_curve
from simrun.result import Heatmap
from simtool.data.annotations import AnnotatedSet, load_annotations

SIZE = 40
TEXT = np.zeros((SIZE, SIZE), bool)
TEXT[10:21, 10:31] = True
"""Cells of the quad below, borders included."""


@pytest.fixture
def dataset(tmp_path: Path) -> AnnotatedSet:
    quad = [[10, 10], [30, 10], [30, 20], [10, 20]]
    ignored = [[0, 30], [39, 30], [39, 39], [0, 39]]
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((SIZE, SIZE), np.uint8))
    image = {
        "file": "a.png",
        "width": SIZE,
        "height": SIZE,
        "regions": [{"quad": quad}, {"quad": ignored, "ignore": True}],
    }
    (tmp_path / "annotations.json").write_text(json.dumps({"images": [image]}))
    return load_annotations(tmp_path)


def curve_of(
    dataset: AnnotatedSet, values: np.ndarray, pitch: float = 1.0, origin: float = 0.0
) -> MapCurve:
    heatmap = Heatmap(values.astype(np.float32)[None], pitch, origin)
    return map_curve(dataset, lambda _: heatmap)


def test_a_perfect_map_has_f1_1_whatever_lies_under_ignored_text(dataset: AnnotatedSet) -> None:
    values = TEXT.astype(float)
    values[31:] = 1
    assert curve_of(dataset, values).best[1] == pytest.approx(1.0)


def test_a_map_that_finds_half_of_the_text(dataset: AnnotatedSet) -> None:
    values = TEXT.astype(float)
    values[:, 20:] = 0
    threshold, f1 = curve_of(dataset, values).best
    recall = 10 / 21
    assert threshold == 0.0
    assert f1 == pytest.approx(2 * recall / (1 + recall))


def test_false_alarms_cost_precision(dataset: AnnotatedSet) -> None:
    values = TEXT.astype(float)
    values[0:11, 0:9] = 1
    curve = curve_of(dataset, values)
    assert curve.precision[0] == pytest.approx(231 / (231 + 99))
    assert curve.recall[0] == pytest.approx(1.0)


def test_a_coarse_map_is_compared_on_its_own_cells(dataset: AnnotatedSet) -> None:
    values = np.zeros((9, 9))
    values[2:5, 2:8] = 1  # centres 2 + 4 i: 10 to 18 by 10 to 30 lie in the quad
    curve = curve_of(dataset, values, pitch=4.0, origin=2.0)
    assert curve.precision[0] == 1
    assert curve.recall[0] == pytest.approx(1)
