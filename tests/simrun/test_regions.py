"""Heatmaps drawn by hand and the regions they must give."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simrun.regions import (
    MAX_HOTSPOTS,
    RegionOptions,
    find_hotspots,
    find_lines,
    quad_along,
)


def blank() -> np.ndarray:
    return np.zeros((60, 80), np.float32)


def find(heatmap: np.ndarray, low: float = 0.5, mean: float = 0.6) -> list:
    return find_lines(heatmap, RegionOptions(low, mean))


def test_nothing_in_an_empty_a_flat_and_a_faint_map() -> None:
    assert find(blank()) == []
    assert find(blank() + 0.4) == []


def test_a_rectangle_is_its_own_quad_in_order() -> None:
    heatmap = blank()
    heatmap[10:16, 20:40] = 0.9
    (line,) = find(heatmap)
    expected = [[19.5, 9.5], [39.5, 9.5], [39.5, 15.5], [19.5, 15.5]]
    np.testing.assert_allclose(line.quad, expected, atol=1e-4)
    assert line.score == pytest.approx(0.9)


def test_the_two_thresholds_do_what_their_names_say() -> None:
    heatmap = blank()
    heatmap[10:16, 20:40] = 0.55
    assert find(heatmap, low=0.5, mean=0.6) == []
    assert len(find(heatmap, low=0.5, mean=0.5)) == 1
    assert find(heatmap, low=0.56, mean=0.5) == []


def test_lines_below_the_least_height_are_not_reported() -> None:
    heatmap = blank()
    heatmap[10:16, 20:40] = 0.9
    heatmap[30:33, 20:40] = 0.9
    assert len(find_lines(heatmap, RegionOptions(0.5, 0.6))) == 2
    (line,) = find_lines(heatmap, RegionOptions(0.5, 0.6, min_height=4))
    assert line.quad[0, 1] == pytest.approx(9.5)


def test_characters_side_by_side_are_one_line() -> None:
    heatmap = blank()
    for x in (50, 10, 30):
        heatmap[20:32, x : x + 8] = 1
    (line,) = find(heatmap)
    assert line.quad[:, 0].min() == pytest.approx(9.5)
    assert line.quad[:, 0].max() == pytest.approx(57.5)


def test_lines_above_each_other_far_apart_or_of_other_size_stay_apart() -> None:
    heatmap = blank()
    heatmap[5:15, 5:15] = 1
    heatmap[20:30, 5:15] = 1
    heatmap[5:15, 40:50] = 1
    heatmap[8:11, 18:22] = 1
    assert len(find(heatmap)) == 4


def test_a_tilted_line_has_a_tilted_quad() -> None:
    heatmap = np.zeros((120, 160), np.float32)
    angle = math.radians(20)
    for step in range(4):
        centre = (35 + 26 * step * math.cos(angle), 35 + 26 * step * math.sin(angle))
        corners = cv2.boxPoints((centre, (14, 20), 20))
        cv2.fillPoly(heatmap, [np.round(corners).astype(np.int32)], 1.0)
    (line,) = find(heatmap)
    top = line.quad[1] - line.quad[0]
    assert math.degrees(math.atan2(top[1], top[0])) == pytest.approx(20, abs=3)
    assert np.linalg.norm(top) == pytest.approx(3 * 26 + 15, abs=5)


def test_a_flood_of_spots_is_bounded_and_the_strongest_are_kept() -> None:
    heatmap = np.zeros((400, 400), np.float32)
    heatmap[::8, ::8] = heatmap[1::8, ::8] = heatmap[::8, 1::8] = heatmap[1::8, 1::8] = 0.9
    heatmap[100:104, 100:130] = 1.0
    spots = find_hotspots(heatmap, RegionOptions(0.5, 0.6))
    assert len(spots) == MAX_HOTSPOTS
    assert spots[0].cells > 100


def test_a_lone_character_is_upright_and_a_lone_long_blob_has_its_own_direction() -> None:
    heatmap = np.zeros((120, 240), np.float32)
    diamond = np.array([[30, 10], [50, 30], [30, 50], [10, 30]])
    cv2.fillPoly(heatmap, [diamond], 1.0)
    leaning_one = np.round(cv2.boxPoints(((30, 90), (6, 40), 15))).astype(np.int32)
    cv2.fillPoly(heatmap, [leaning_one], 1.0)
    word = np.round(cv2.boxPoints(((190, 70), (70, 14), -30))).astype(np.int32)
    cv2.fillPoly(heatmap, [word], 1.0)
    angles = sorted(
        round(math.degrees(math.atan2(*(line.quad[1] - line.quad[0])[::-1])))
        for line in find(heatmap)
    )
    assert angles == [pytest.approx(-30, abs=2), 0, 0]


@settings(max_examples=60, deadline=None)
@given(angle=st.floats(-89, 89), width=st.floats(6, 60), height=st.floats(4, 30))
def test_a_quad_starts_top_left_and_runs_clockwise(
    angle: float, width: float, height: float
) -> None:
    corners = cv2.boxPoints(((50, 50), (width, height), angle))
    quad = quad_along(corners, math.radians(angle))
    top, right = quad[1] - quad[0], quad[2] - quad[1]
    assert math.degrees(math.atan2(top[1], top[0])) == pytest.approx(angle, abs=0.1)
    assert top[0] * right[1] - top[1] * right[0] > 0
    assert np.linalg.norm(top) == pytest.approx(width, rel=1e-3)
    assert np.linalg.norm(right) == pytest.approx(height, rel=1e-3)
