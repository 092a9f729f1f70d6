"""Pairs of regions of two frames."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simrun.result import Region
from simrun.tracking.association import Shapes, match


def region(x: float, y: float, width: float = 40, height: float = 20, **fields: str) -> Region:
    x1, y1 = x + width, y + height
    return Region(((x, y), (x1, y), (x1, y1), (x, y1)), 0.5, **fields)


def pairs(expected: list[Region], seen: list[Region], reach: float = 0.0) -> list[tuple[int, int]]:
    return match(Shapes.of(expected), Shapes.of(seen), np.full(len(expected), reach))


def test_shapes_are_hulls_sizes_and_centres() -> None:
    tilted = Region(((10, 0), (40, 40), (32, 46), (2, 6)), 0.5, channel="c")
    shapes = Shapes.of([tilted, region(1, 2)])
    assert shapes.boxes.tolist() == [[2, 0, 40, 46], [1, 2, 41, 22]]
    assert shapes.sizes.tolist() == [[50, 10], [40, 20]]
    assert shapes.centres.tolist() == [[21, 23], [21, 12]]
    assert shapes.channels.tolist() == ["c", None]
    assert shapes.moved(np.array([[1, 2], [0, 0]])).boxes[0].tolist() == [3, 2, 41, 48]
    assert shapes.pick(np.array([1])).boxes.tolist() == [[1, 2, 41, 22]]


def test_the_greater_overlap_wins_whatever_the_order() -> None:
    first, second = region(0, 0), region(12, 0)
    assert pairs([first, second], [region(10, 0)]) == [(1, 0)]
    assert pairs([second, first], [region(10, 0)]) == [(0, 0)]
    # Best first: the second takes the nearer one, though the first would have liked it too.
    assert pairs([first, second], [region(10, 0), region(20, 0)]) == [(1, 0), (0, 1)]


def test_without_overlap_the_nearest_of_the_same_size_within_reach() -> None:
    here = region(0, 0)
    near, nearer, other_size = region(0, 50), region(0, 40), region(0, 25, width=70)
    assert pairs([here], [near, nearer, other_size], reach=60) == [(0, 1)]
    assert pairs([here], [near, other_size], reach=49) == []
    assert pairs([here], [other_size], reach=1000) == []


def test_boxes_need_a_tenth_of_their_union_in_common() -> None:
    # 40x20 each: 8 pixels in common along make 160 of 1440, 7 make 140 of 1460.
    assert pairs([region(0, 0)], [region(32, 0)]) == [(0, 0)]
    assert pairs([region(0, 0)], [region(33, 0)]) == []
    # Apart on both axes is no overlap, though the product of two gaps is positive.
    assert pairs([region(0, 0)], [region(80, 60)]) == []


def test_overlap_goes_before_nearness() -> None:
    # The second is farther off in heights than the first, but it overlaps.
    assert pairs(
        [region(0, 0, width=200)], [region(0, 21, width=200), region(120, 0, 200)], 90
    ) == [(0, 1)]


def test_channels_never_mix() -> None:
    a, b = region(0, 0, channel="a"), region(0, 0, channel="b")
    assert pairs([a], [b], reach=100) == []
    assert sorted(pairs([a, b], [b, a])) == [(0, 1), (1, 0)]


def test_nothing_matches_nothing() -> None:
    assert pairs([], []) == []
    assert pairs([region(0, 0)], []) == []
    assert pairs([], [region(0, 0)]) == []


places = st.tuples(st.integers(0, 200), st.integers(0, 200), st.integers(0, 60), st.integers(0, 60))
regions = st.lists(places.map(lambda p: region(*p)), max_size=12)


@given(regions, regions, st.floats(0, 300))
def test_each_takes_part_once_and_no_better_pair_was_left(
    expected: list[Region], seen: list[Region], reach: float
) -> None:
    found = pairs(expected, seen, reach)
    rows, columns = [i for i, _ in found], [j for _, j in found]
    assert len(set(rows)) == len(rows)
    assert len(set(columns)) == len(columns)
    # Greedy and complete: whatever is left over on both sides does not match at all.
    left = [r for i, r in enumerate(expected) if i not in rows]
    right = [r for j, r in enumerate(seen) if j not in columns]
    assert pairs(left, right, reach) == []
