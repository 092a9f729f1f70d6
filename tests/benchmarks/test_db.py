"""Boxes from the text map of a network, on made-up maps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from benchmarks.accuracy.peers import db
from benchmarks.accuracy.peers.db import DbOptions, find_boxes, mean_inside

OPTIONS = DbOptions(map_threshold=0.3, box_threshold=0.5, unclip_ratio=1.5)


def text_map(degrees: float = 0.0, value: float = 0.9) -> np.ndarray[Any, np.dtype[np.float32]]:
    """(120, 200) map with a bar 81 x 21 about (100, 60)."""
    values = np.zeros((120, 200), np.float32)
    corners = cv2.boxPoints(((100, 60), (80, 20), degrees))
    cv2.fillPoly(values, [np.round(corners).astype(np.int32)], value)
    return values


def test_a_bar_is_grown_back_on_every_side_by_area_times_ratio_over_perimeter() -> None:
    (box,) = find_boxes(text_map(), OPTIONS)
    reach = 80 * 20 * 1.5 / (2 * (80 + 20))
    wanted = [60 - reach, 50 - reach, 140 + reach, 70 + reach]
    np.testing.assert_allclose([*box.min(axis=0), *box.max(axis=0)], wanted, atol=0.01)


def test_a_tilted_bar_keeps_its_tilt_and_proportions() -> None:
    (box,) = find_boxes(text_map(degrees=30), OPTIONS)
    sides = np.linalg.norm(np.diff(box[[0, 1, 2]], axis=0), axis=1)
    # Drawn on a grid, a tilted bar is up to a pixel longer at either end.
    np.testing.assert_allclose(sorted(sides), [20 + 24, 80 + 24], atol=3.5)


def test_weak_and_tiny_spots_are_no_boxes() -> None:
    assert not len(find_boxes(text_map(value=0.4), OPTIONS))
    speck = np.zeros((50, 50), np.float32)
    speck[20:22, 20:40] = 1
    assert not len(find_boxes(speck, OPTIONS))
    assert find_boxes(np.zeros((50, 50), np.float32), OPTIONS).shape == (0, 4, 2)


def test_the_mean_of_a_quad_that_leaves_the_map_is_taken_over_what_lies_on_it() -> None:
    corners = np.array([[-10, -10], [5, -10], [5, 5], [-10, 5]], np.float32)
    assert mean_inside(np.ones((20, 20), np.float32), corners) == 1.0


def spot(width: int, height: int, value: float = 1.0) -> np.ndarray[Any, np.dtype[np.float32]]:
    """(60, 60) map with an upright spot; its rectangle goes from pixel centre to pixel centre."""
    values = np.zeros((60, 60), np.float32)
    values[20 : 21 + height, 20 : 21 + width] = value
    return values


def test_a_pixel_is_text_above_the_threshold_and_not_at_it() -> None:
    options = replace(OPTIONS, map_threshold=0.5)
    assert not len(find_boxes(spot(10, 10, 0.5), options))
    assert len(find_boxes(spot(10, 10, 0.625), options)) == 1


def test_a_box_counts_from_the_mean_of_its_threshold_on() -> None:
    options = replace(OPTIONS, box_threshold=0.75)
    assert len(find_boxes(spot(10, 10, 0.75), options)) == 1
    assert not len(find_boxes(spot(10, 10, 0.625), options))


@pytest.mark.parametrize(
    ("width", "height", "ratio", "found"),
    [
        (12, 3, 1.5, True),
        (12, 2, 3.0, False),
        # A side grows by 2 x ratio x area / perimeter: here by 2 x ratio, below by 3 x ratio.
        (4, 4, 0.5, True),
        (4, 4, 0.25, False),
        (12, 4, 0.25, False),
    ],
    ids=["3 wide", "2 wide", "grown to 5", "grown to 4.5", "long, grown to 4.75"],
)
def test_noise_is_told_by_the_shorter_side(
    width: int, height: int, ratio: float, found: bool
) -> None:
    boxes = find_boxes(spot(width, height), replace(OPTIONS, unclip_ratio=ratio))
    assert len(boxes) == found


def test_no_more_outlines_are_looked_at_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db, "MAX_CANDIDATES", 2)
    assert len(find_boxes(np.hstack([spot(10, 10)] * 3), OPTIONS)) == 2


def test_each_spot_has_its_box() -> None:
    values = np.hstack([spot(10, 4), spot(20, 4)])
    left = sorted(float(box[:, 0].min()) for box in find_boxes(values, OPTIONS))
    # Growth to the left is 1.5 x area / perimeter: 60 / 28 and 120 / 48.
    assert left == pytest.approx([20 - 60 / 28, 80 - 120 / 48], abs=1e-4)


def quad(x0: float, y0: float, x1: float, y1: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float32)


def test_a_mean_is_taken_from_the_first_pixel_to_the_last() -> None:
    y, x = np.mgrid[:10, :12].astype(np.float32)
    assert mean_inside(x, quad(2, 3, 5, 8)) == 3.5
    assert mean_inside(y, quad(2, 3, 5, 8)) == 5.5


def test_the_outermost_rows_and_columns_of_a_map_count() -> None:
    y, x = np.mgrid[:10, :12].astype(np.float32)
    assert mean_inside(x, quad(-5, -5, 3, 5)) == 1.5
    assert mean_inside(y, quad(-5, -5, 3, 5)) == 2.5
    assert mean_inside(x, quad(10, 7, 30, 30)) == 10.5
    assert mean_inside(y, quad(10, 7, 30, 30)) == 8


def test_a_quad_beside_the_map_has_a_mean_of_0() -> None:
    values = np.ones((10, 12), np.float32)
    assert mean_inside(values, quad(20, 2, 25, 5)) == 0
    assert mean_inside(values, quad(2, 20, 5, 25)) == 0
    assert mean_inside(values, quad(-9, -9, -2, -2)) == 0


def test_a_tilted_quads_mean_leaves_its_corners_out() -> None:
    values = np.zeros((20, 20), np.float32)
    diamond = np.array([[10, 4], [16, 10], [10, 16], [4, 10]], np.float32)
    cv2.fillPoly(values, [diamond.astype(np.int32)], 1.0)
    assert mean_inside(values, diamond) == 1
