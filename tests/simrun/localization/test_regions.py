"""Heatmaps drawn by hand and the regions they must give."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simrun.bundle.load import load_bundle
from simrun.bundle.metadata import Task
from simrun.errors import ModelError
from simrun.localization.regions import MAX_COMPONENTS, RegionOptions, find_regions
from tests.conftest import STROKES


def blank() -> np.ndarray:
    return np.zeros((60, 80), np.float32)


def find(heatmap: np.ndarray, low: float = 0.5, mean: float = 0.6) -> list:
    return find_regions(heatmap, RegionOptions(low, mean))


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


def test_a_score_is_at_most_one() -> None:
    heatmap = blank()
    heatmap[10:16, 20:40] = 1.25
    assert [line.score for line in find(heatmap)] == [1.0]


def test_rules_that_let_everything_pass_make_no_region_of_what_has_no_seed() -> None:
    heatmap = blank()
    heatmap[10:16, 20:40] = 0.9
    heatmap[40:46, 20:40] = 0.6
    everything = RegionOptions(0.5, 0.0, seed_threshold=0.7, min_area=0.0)
    assert len(find_regions(heatmap, everything)) == 1


def test_lines_below_the_least_height_are_not_reported() -> None:
    heatmap = blank()
    heatmap[10:16, 20:40] = 0.9
    heatmap[30:33, 20:40] = 0.9
    assert len(find_regions(heatmap, RegionOptions(0.5, 0.6))) == 2
    (line,) = find_regions(heatmap, RegionOptions(0.5, 0.6, min_height=4))
    assert line.quad[0, 1] == pytest.approx(9.5)


def test_characters_side_by_side_are_one_line() -> None:
    heatmap = blank()
    for x in (42, 10, 26):
        heatmap[20:32, x : x + 8] = 1
    (line,) = find(heatmap)
    assert line.quad[:, 0].min() == pytest.approx(9.5)
    assert line.quad[:, 0].max() == pytest.approx(49.5)


@pytest.mark.parametrize(
    ("rules", "found"),
    [({}, 1), ({"task": Task.OBJECTS}, 2), ({"join_gap": 0.5}, 2), ({"join_gap": 0.9}, 1)],
)
def test_neighbours_are_joined_up_to_the_gap_and_where_there_are_lines(
    rules: dict[str, Any], found: int
) -> None:
    heatmap = blank()
    heatmap[20:30, 10:20] = heatmap[20:30, 28:38] = 1
    assert len(find_regions(heatmap, RegionOptions(0.5, 0.6, **rules))) == found


def test_without_rules_neighbours_are_joined_up_to_their_height() -> None:
    for gap, found in ((9, 1), (12, 2)):
        heatmap = blank()
        heatmap[20:30, 10:20] = heatmap[20:30, 20 + gap : 30 + gap] = 1
        assert len(find(heatmap)) == found


def test_a_region_of_the_very_threshold_is_reported() -> None:
    heatmap = blank()
    heatmap[10:16, 20:40] = 0.75
    assert len(find(heatmap, mean=0.75)) == 1
    assert find(heatmap, mean=0.751) == []


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


def test_a_flood_of_spots_is_bounded_and_the_largest_are_kept() -> None:
    heatmap = np.zeros((400, 400), np.float32)
    heatmap[::8, ::8] = heatmap[1::8, ::8] = heatmap[::8, 1::8] = heatmap[1::8, 1::8] = 0.9
    heatmap[100:104, 100:130] = 1.0
    lines = find_regions(heatmap, RegionOptions(0.5, 0.6, join_gap=0.0))
    assert len(lines) == MAX_COMPONENTS
    assert np.hypot(*(lines[0].quad[1] - lines[0].quad[0])) > 25


def test_a_valley_parts_lines_that_touch() -> None:
    heatmap = blank()
    heatmap[10:16, 10:60] = 0.9
    heatmap[16:18, 10:60] = 0.6
    heatmap[18:24, 10:60] = 0.9
    assert len(find(heatmap)) == 1
    upper, lower = find_regions(heatmap, RegionOptions(0.5, 0.6, valley=0.8, join_offset=0.3))
    assert {round(float(line.quad[:, 1].mean())) for line in (upper, lower)} == {13, 20}


@pytest.mark.parametrize(
    ("thick", "rules", "found"),
    [
        (1, {"valley_reach": 1.0}, 2),
        (3, {"valley_reach": 1.0}, 1),
        (3, {}, 2),
        (4, {}, 1),
        (4, {"valley_reach": 3.0}, 2),
    ],
)
def test_a_valley_parts_where_both_heights_are_within_reach(
    thick: int, rules: dict[str, float], found: int
) -> None:
    heatmap = blank()
    heatmap[10:30, 10:60] = 1.0
    heatmap[20 : 20 + thick, 10:60] = 0.6
    options = RegionOptions(0.5, 0.6, valley=0.8, join_offset=0.3, **rules)
    assert len(find_regions(heatmap, options)) == found


def test_a_cell_at_the_very_share_of_its_neighbours_is_no_valley() -> None:
    heatmap = blank()
    heatmap[10:24, 10:60] = 1.0
    heatmap[16:18, 10:60] = 0.75
    apart = {"join_offset": 0.3}
    assert len(find_regions(heatmap, RegionOptions(0.5, 0.6, valley=0.75, **apart))) == 1
    assert len(find_regions(heatmap, RegionOptions(0.5, 0.6, valley=0.76, **apart))) == 2


def test_seeds_divide_what_touches_below_them_and_faint_components_have_none() -> None:
    heatmap = blank()
    heatmap[10:20, 5:20] = heatmap[10:20, 50:65] = 0.9
    heatmap[10:20, 20:50] = 0.55
    heatmap[40:50, 5:30] = 0.6
    whole = find_regions(heatmap, RegionOptions(0.5, 0.5, join_gap=0.0))
    assert len(whole) == 2
    seeded = find_regions(heatmap, RegionOptions(0.5, 0.5, seed_threshold=0.7, join_ratio=2.1))
    assert len(seeded) == 2
    assert all(line.quad[:, 1].max() < 25 for line in seeded)


def test_one_faint_cell_belongs_to_the_seed_around_it() -> None:
    heatmap = blank()
    heatmap[10:16, 20:40] = 0.9
    (whole,) = find(heatmap)
    heatmap[12, 25] = 0.55
    (line,) = find_regions(heatmap, RegionOptions(0.5, 0.6, seed_threshold=0.7))
    np.testing.assert_allclose(line.quad, whole.quad, atol=1e-4)


def test_growing_widens_a_box_by_its_height() -> None:
    heatmap = blank()
    heatmap[20:30, 20:60] = 1
    (line,) = find_regions(heatmap, RegionOptions(0.5, 0.6, grow_across=1.4, grow_along=0.2))
    x0, y0 = line.quad[0]
    x1, y1 = line.quad[2]
    assert (x1 - x0, y1 - y0) == (pytest.approx(44, abs=1e-3), pytest.approx(14, abs=1e-3))


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
    assert angles == [pytest.approx(-30, abs=2), 0, pytest.approx(15, abs=2)]


@settings(max_examples=60, deadline=None)
@given(angle=st.floats(-55, 55), width=st.floats(60, 100), height=st.floats(16, 28))
def test_a_filled_rectangle_is_its_own_box_clockwise_from_the_top_left(
    angle: float, width: float, height: float
) -> None:
    heatmap = np.zeros((140, 140), np.float32)
    corners = cv2.boxPoints(((70, 70), (width, height), angle))
    cv2.fillPoly(heatmap, [np.round(corners).astype(np.int32)], 1.0)
    (line,) = find(heatmap)
    top, right = line.quad[1] - line.quad[0], line.quad[2] - line.quad[1]
    assert math.degrees(math.atan2(top[1], top[0])) == pytest.approx(angle, abs=2)
    assert top[0] * right[1] - top[1] * right[0] > 0
    assert np.linalg.norm(top) == pytest.approx(width, abs=2.5)
    assert np.linalg.norm(right) == pytest.approx(height, abs=2.5)


def test_rules_of_a_bundle_are_checked() -> None:
    meta = load_bundle(STROKES).meta

    def read(**rules: float) -> RegionOptions:
        return RegionOptions.of(replace(meta, task=Task.OBJECTS, regions=rules))

    assert read(valley=0.9) == RegionOptions(0.5, 0.6, valley=0.9, task=Task.OBJECTS)
    extremes = read(valley=0.0, min_area=10_000.0)
    assert (extremes.valley, extremes.min_area) == (0.0, 10_000.0)
    with pytest.raises(ModelError, match="unknown rules: vally"):
        read(vally=0.9)
    with pytest.raises(ModelError, match="rules outside 0 to 10000: join_gap"):
        read(join_gap=-1.0)
