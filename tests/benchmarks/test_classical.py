"""Detectors that learn nothing, on drawn blocks, whose regions are known to the pixel."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.accuracy.peers.classical import (
    Gradient,
    GradientOptions,
    Mser,
    join_boxes,
    shrink_grey,
    to_quads,
)
from benchmarks.accuracy.peers.detector import Frame, Quads

Block = tuple[int, int, int, int]
"""Left, top, width and height."""


def frame(*blocks: Block) -> Frame:
    """White blocks on black, 100 wide and 200 high."""
    drawn = np.zeros((200, 100, 3), np.uint8)
    for x, y, w, h in blocks:
        drawn[y : y + h, x : x + w] = 255
    return drawn


def quad(x0: float, y0: float, x1: float, y1: float) -> Quads:
    """The only quad of a result."""
    return [((x0, y0), (x1, y0), (x1, y1), (x0, y1))]


def line(width: int, height: int, count: int = 3) -> Frame:
    """Blocks side by side from (2, 20) on, a pixel apart."""
    return frame(*((2 + i * (width + 1), 20, width, height) for i in range(count)))


def test_a_frame_is_shrunk_to_its_longer_side_and_never_enlarged() -> None:
    wide = np.zeros((40, 100, 3), np.uint8)
    for side, shape, scale in ((50, (20, 50), 0.5), (80, (32, 80), 0.8), (200, (40, 100), 1.0)):
        grey, used = shrink_grey(wide, side)
        assert (grey.shape, used) == (shape, scale)
    tall, used = shrink_grey(wide.transpose(1, 0, 2), 50)
    assert (tall.shape, used) == ((50, 20), 0.5)


def test_shrunk_by_a_whole_factor_every_pixel_counts() -> None:
    stripes = np.zeros((8, 8, 3), np.uint8)
    stripes[:, ::4] = 200
    grey, _ = shrink_grey(stripes, 2)
    np.testing.assert_array_equal(grey, np.full((2, 2), 50))


def test_shrunk_by_another_factor_the_two_nearest_pixels_count() -> None:
    ramp = np.zeros((3, 3, 3), np.uint8)
    ramp[:] = np.array([0, 100, 200])[None, :, None]
    grey, _ = shrink_grey(ramp, 2)
    # Two pixels of 1.5 have their centres at 0.25 and 1.75 of the former ones.
    np.testing.assert_array_equal(grey, [[25, 175], [25, 175]])


def test_three_regions_of_a_characters_shape_are_a_line_and_two_are_none() -> None:
    assert Mser(200).detect(line(10, 10)) == quad(2, 20, 34, 30)
    assert Mser(200).detect(line(10, 10, count=2)) == []


@pytest.mark.parametrize("detector", [Mser(100), Gradient(100, GradientOptions(0.1, 0.5, 1))])
def test_a_line_lies_in_the_pixels_of_the_frame_that_was_given(
    detector: Mser | Gradient,
) -> None:
    ((left_top, _, right_bottom, _),) = detector.detect(line(20, 20))
    # At half the size a pixel is two, and the gradient reaches a pixel beyond an edge.
    assert left_top == pytest.approx((2, 20), abs=2)
    assert right_bottom == pytest.approx((64, 40), abs=2)


@pytest.mark.parametrize(
    ("width", "height", "like"),
    [
        *((6, 6, True), (6, 5, False)),
        *((12, 6, True), (13, 6, False)),
        *((3, 30, True), (3, 31, False)),
        # A twentieth of the frame has 1000 pixels; a character has 20 at least.
        *((31, 32, True), (32, 32, False)),
        *((2, 10, True), (2, 9, False)),
    ],
)
def test_what_is_too_low_wide_high_large_or_small_is_no_character(
    width: int, height: int, like: bool
) -> None:
    assert bool(Mser(200).detect(line(width, height))) == like


SQUARE = frame((20, 30, 6, 6))
"""Its gradient is a ring of 20 pixels inside and 24 outside: 44 of a box 8 x 8, or 0.6875."""


@pytest.mark.parametrize(
    ("options", "good"),
    [
        (GradientOptions(0.6875, 1.0, 1, 8), True),
        (GradientOptions(0.5, 0.5, 1, 4), True),
        (GradientOptions(0.69, 1.0, 1, 8), False),
        (GradientOptions(0.6875, 1.01, 1, 8), False),
        (GradientOptions(0.6875, 1.0, 2, 8), False),
        (GradientOptions(0.6875, 1.0, 1, 9), False),
    ],
    ids=["at its limits", "within", "hollow", "narrow", "alone", "low"],
)
def test_a_component_of_the_gradient_counts_up_to_each_limit(
    options: GradientOptions, good: bool
) -> None:
    assert Gradient(200, options).detect(SQUARE) == (quad(19, 29, 27, 37) if good else [])


def test_components_up_to_two_pixels_apart_are_closed_along_the_line_alone() -> None:
    # Only what is closed is twice as wide as high. The rings reach a pixel beyond the squares.
    detector = Gradient(200, GradientOptions(0.5, 2.0, 1))
    assert detector.detect(frame((20, 30, 6, 6), (30, 30, 6, 6))) == quad(19, 29, 37, 37)
    assert detector.detect(frame((20, 30, 6, 6), (31, 30, 6, 6))) == []
    upright = Gradient(200, GradientOptions(0.5, 0.5, 1, 9))
    assert upright.detect(frame((20, 30, 6, 6), (20, 40, 6, 6))) == []


def test_what_is_closed_counts_as_joined_but_not_as_filled() -> None:
    # Two rings of 44 pixels and 12 between them, in a box 18 x 8: 0.61 or, closed, 0.69.
    both = frame((20, 30, 6, 6), (30, 30, 6, 6))
    assert Gradient(200, GradientOptions(0.6, 2.0, 1)).detect(both) == quad(19, 29, 37, 37)
    assert Gradient(200, GradientOptions(0.65, 2.0, 1)).detect(both) == []


def test_the_black_around_everything_is_no_component() -> None:
    assert Gradient(200, GradientOptions(0.0, 0.0, 1)).detect(SQUARE) == quad(19, 29, 27, 37)


def test_only_boxes_side_by_side_are_joined() -> None:
    row = np.array([[x, 0, x + 8, 10] for x in (0, 10, 20)], np.float32)
    lonely = np.array([[0, 50, 8, 60]], np.float32)
    np.testing.assert_array_equal(join_boxes(np.vstack([row, lonely]), 3), [[0, 0, 28, 10]])
    assert join_boxes(np.zeros((0, 4), np.float32), 1).shape == (0, 4)


def test_nested_boxes_are_not_counted_as_several_characters() -> None:
    nested = np.array([[0, 0, 10, 10], [1, 1, 9, 9], [2, 2, 8, 8]], np.float32)
    assert not len(join_boxes(nested, 2))


@pytest.mark.parametrize(
    ("box", "joined"),
    [
        *(((10, 4, 20, 14), True), ((10, 4.5, 20, 14.5), False)),
        *(((10, 0, 20, 20), True), ((10, 0, 20, 21), False)),
        *(((10, 2, 20, 7), True), ((10, 2, 20, 6), False)),
        *(((18, 0, 28, 10), True), ((19, 0, 29, 10), False)),
        *(((5, 0, 15, 10), True), ((4, 0, 14, 10), False)),
    ],
    ids=[
        *("6 of 10 beside", "5.5 beside", "twice as high", "higher", "half as high", "lower"),
        *("a gap of 8", "a gap of 9", "from the centre on", "from before the centre"),
    ],
)
def test_a_box_is_joined_to_another_up_to_each_limit(box: tuple[float, ...], joined: bool) -> None:
    """The other goes from (0, 0) to (10, 10)."""
    boxes = np.array([[0, 0, 10, 10], box], np.float32)
    hull = [[0, min(0, box[1]), box[2], max(10, box[3])]]
    np.testing.assert_array_equal(join_boxes(boxes, 2), hull if joined else np.zeros((0, 4)))


def test_boxes_join_through_others_and_lines_stay_apart() -> None:
    # The third is too low for the first, and lies beside the second.
    stairs = [[0, 0, 10, 10], [12, 3, 22, 13], [24, 6, 34, 16]]
    beside = [[80, 0, 90, 10], [92, 0, 102, 10], [104, 0, 114, 10]]
    boxes = np.array([stairs[2], *beside, *stairs[:2]], np.float32)
    np.testing.assert_array_equal(join_boxes(boxes, 3), [[0, 0, 34, 16], [80, 0, 114, 10]])


def test_quads_go_clockwise_from_the_top_left() -> None:
    assert to_quads(np.array([[1, 2, 5, 4]], np.float32)) == [((1, 2), (5, 2), (5, 4), (1, 4))]
