"""Components given by hand, and the lines and boxes they must give."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simrun.localization.lines import Parts, box_groups, join_parts, principal_axis


def characters(centres: list[complex], half: float = 5.0) -> Parts:
    """Squares without a direction of their own."""
    n = len(centres)
    return Parts(
        area=np.full(n, 4 * half * half),
        score=np.full(n, 0.8),
        centre=np.array(centres, np.complex128),
        direction=np.ones(n, np.complex128),
        half_length=np.full(n, half),
        half_height=np.full(n, half),
        squat=np.ones(n, np.bool_),
    )


def strokes(degrees: list[float]) -> Parts:
    """Strokes 40 x 6, far apart, each with its direction."""
    n = len(degrees)
    return Parts(
        area=np.full(n, 240.0),
        score=np.full(n, 0.8),
        centre=100.0 * np.arange(n) + 50j,
        direction=np.exp(1j * np.radians(degrees)),
        half_length=np.full(n, 20.0),
        half_height=np.full(n, 3.0),
        squat=np.zeros(n, np.bool_),
    )


def join(parts: Parts, ratio: float = 0.5) -> list[int]:
    return join_parts(parts, gap=1.0, offset=0.5, ratio=ratio).tolist()


@settings(max_examples=30, deadline=None)
@given(order=st.permutations(range(24)))
def test_two_chains_of_characters_are_two_lines_whatever_their_order(order: list[int]) -> None:
    centres = [14.0 * (i % 12) + (60j if i >= 12 else 0j) for i in order]
    groups = join(characters(centres))
    assert [group == groups[0] for group in groups] == [
        (i >= 12) == (order[0] >= 12) for i in order
    ]
    assert groups[0] == 0
    assert set(groups) == {0, 1}


def test_groups_are_numbered_in_the_order_of_their_first_members() -> None:
    assert join(characters([0j, 200j, 100j, 12 + 100j, 12 + 200j])) == [0, 1, 2, 2, 1]


def test_a_ratio_that_nothing_reaches_leaves_every_component_by_itself() -> None:
    assert join(characters([0j, 12 + 0j, 24 + 0j]), ratio=2.1) == [0, 1, 2]


def test_a_stroke_with_a_direction_decides_for_a_character_beside_it() -> None:
    slope = np.exp(1j * math.radians(40))
    word, letter = strokes([40]), characters([50j + 28 * slope], half=3.0)
    both = Parts(
        *(
            np.concatenate([a, b])
            for a, b in zip(vars(word).values(), vars(letter).values(), strict=True)
        )
    )
    assert join(both) == [0, 0]


def test_the_box_of_a_line_follows_its_members_and_scores_are_weighted_by_area() -> None:
    slope = np.exp(1j * math.radians(15))
    parts = characters([100 + 100j + 14 * i * slope for i in range(4)])
    parts.score[0], parts.area[0] = 0.2, 300.0
    boxes = box_groups(parts, np.zeros(4, np.int64), grow_across=1.0, grow_along=0.0)
    top = boxes.quad[0, 1] - boxes.quad[0, 0]
    assert math.degrees(math.atan2(top[1], top[0])) == pytest.approx(15, abs=1)
    assert np.hypot(*top) == pytest.approx(3 * 14 + 10, rel=0.01)
    assert boxes.least_side[0] == pytest.approx(10, abs=0.5)
    assert boxes.score[0] == pytest.approx((300 * 0.2 + 300 * 0.8) / 600)


@pytest.mark.parametrize("degrees", [-85, -65, -55, 0, 55, 65, 85])
def test_the_first_corner_of_a_lone_stroke_is_its_top_left_on_the_screen(degrees: float) -> None:
    boxes = box_groups(strokes([degrees]), np.zeros(1, np.int64), grow_across=1.0, grow_along=0.0)
    top, down = boxes.quad[0, 1] - boxes.quad[0, 0], boxes.quad[0, 3] - boxes.quad[0, 0]
    assert top[0] * down[1] - top[1] * down[0] > 0
    # Text that climbs up to 60 degrees is read along the stroke, what is steeper stands upright.
    assert (np.hypot(*top) > np.hypot(*down)) == (abs(degrees) < 60)
    assert top[0] > abs(top[1]) or abs(degrees) == 55


def test_the_principal_axis_halves_the_angle_and_a_circle_points_along_the_text() -> None:
    moments = np.array([3.0, 2j, -2j, -1.0, 0.0], np.complex128)
    degrees = np.degrees(np.angle(principal_axis(moments)))
    np.testing.assert_allclose(degrees, [0, 45, -45, 90, 0], atol=1e-9)
