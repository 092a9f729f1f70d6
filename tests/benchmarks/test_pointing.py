from __future__ import annotations

import numpy as np
import pytest

from benchmarks.accuracy.pointing import SMOOTHING, best_share, pixel_maps, score_maps
from simrun.result import Heatmap
from simtool.data.canvases import DigitCanvas


def canvas(labels: tuple[int, ...], boxes: list[list[float]], size: int = 40) -> DigitCanvas:
    return DigitCanvas(np.zeros((size, size), np.uint8), labels, np.array(boxes, np.float64))


def heatmap(*planes: np.ndarray, pitch: float = 1.0, origin: float = 0.0) -> Heatmap:
    return Heatmap(np.stack(planes).astype(np.float32), pitch, origin)


def block(y0: int, y1: int, x0: int, x1: int, size: int = 40) -> np.ndarray:
    plane = np.zeros((size, size))
    plane[y0:y1, x0:x1] = 1
    return plane


def test_pixels_are_interpolated_and_averaged() -> None:
    ramp = np.tile(np.arange(6.0) * 4, (6, 1))  # the value of a cell is its own x in pixels
    pixels = pixel_maps(heatmap(ramp, pitch=4.0, origin=16.0), (60, 60))
    assert (pixels.top, pixels.left) == (16, 16)
    assert pixels.values.shape == (1, 21, 21)
    inner = slice(SMOOTHING // 2, -(SMOOTHING // 2))
    np.testing.assert_allclose(pixels.values[0, 5, inner], np.arange(21.0)[inner])
    assert pixels.values[0, 5, 0] == pytest.approx(np.mean([0, 1, 2, 3]))


def test_a_single_bright_cell_is_pointed_at() -> None:
    plane = np.zeros((9, 9))
    plane[2, 5] = 1
    pixels = pixel_maps(heatmap(plane, pitch=4.0, origin=4.0), (50, 50))
    assert pixels.peak(0) == (4 + 5 * 4, 4 + 2 * 4)


def test_cells_beyond_the_picture_are_left_out() -> None:
    pixels = pixel_maps(heatmap(np.ones((9, 9)), pitch=4.0, origin=-2.0), (20, 16))
    assert (pixels.top, pixels.left) == (0, 0)
    assert pixels.values.shape == (1, 20, 16)


def test_each_class_counts_for_itself() -> None:
    drawn = canvas((2, 0), [[4, 4, 14, 14], [24, 20, 36, 34]])
    planes = block(22, 32, 26, 34), block(0, 9, 0, 9), block(20, 30, 4, 14)
    score = score_maps([(drawn, pixel_maps(heatmap(*planes), (40, 40)))], 3, 0.5)
    assert score.accuracy_per_class == (1.0, None, 0.0)  # class 2 peaks below its box
    assert score.accuracy == 0.5


def test_ends_of_the_box_are_not_inside() -> None:
    plane = np.zeros((40, 40))
    plane[10, 20] = 1
    pixels = pixel_maps(heatmap(block(7, 14, 17, 24)), (40, 40))
    assert pixels.peak(0) == (20, 10)
    for box, expected in (([20, 10, 21, 11], 1), ([10, 5, 20, 20], 0), ([21, 5, 30, 20], 0)):
        assert score_maps([(canvas((0,), [box]), pixels)], 1, 0.5).accuracy == expected


def test_overlap_by_hand() -> None:
    wide = pixel_maps(heatmap(block(10, 30, 10, 30)), (40, 40))
    # Smoothing makes the edge a ramp; at one half it is where it was, but for the corners.
    mask = (wide.stretched(0) >= 0.5).sum()
    inside = (wide.stretched(0)[10:30, 10:20] >= 0.5).sum()
    score = score_maps([(canvas((0,), [[10, 10, 20, 30]]), wide)], 1, 0.5)
    assert score.mean_iou == pytest.approx(inside / (200 + mask - inside))
    assert abs(int(mask) - 400) <= 32


def test_overlap_is_that_of_the_picture_where_the_map_has_a_rim() -> None:
    plane = block(10, 20, 8, 18, size=30)
    whole, inner = (
        score_maps([(canvas((0,), [[at + 8, at + 10, at + 18, at + 22]]), pixels)], 1, 0.5)
        for at in (0, 6)
        for pixels in [pixel_maps(heatmap(plane, origin=float(at)), (40, 40))]
    )
    assert 0.5 < whole.mean_iou < 1
    assert inner.mean_iou == whole.mean_iou


def test_what_lies_outside_the_maps_rim_is_not_found() -> None:
    pixels = pixel_maps(heatmap(np.ones((3, 3)) + np.eye(3), pitch=4.0, origin=16.0), (40, 40))
    score = score_maps([(canvas((0,), [[0, 0, 10, 10]]), pixels)], 1, 0.0)
    assert (score.accuracy, score.mean_iou) == (0.0, 0.0)


def test_a_flat_map_is_a_miss() -> None:
    pixels = pixel_maps(heatmap(np.full((40, 40), 3.0)), (40, 40))
    assert pixels.peak(0) is None
    score = score_maps([(canvas((0,), [[0, 0, 40, 40]]), pixels)], 1, 0.5)
    assert (score.accuracy, score.mean_iou) == (0.0, 0.0)


def test_an_affine_of_the_map_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    plane = rng.random((10, 10))
    drawn = canvas((0,), [[8, 8, 28, 28]])
    one, other = (
        score_maps([(drawn, pixel_maps(heatmap(p, pitch=4.0), (40, 40)))], 1, 0.6)
        for p in (plane, 7 * plane - 3)
    )
    assert one.accuracy == other.accuracy
    assert one.mean_iou == pytest.approx(other.mean_iou)


def test_best_share_is_the_one_that_fits() -> None:
    plane = 0.4 * block(5, 35, 5, 35) + 0.6 * block(15, 25, 15, 25)
    pair = (canvas((0,), [[15, 15, 25, 25]]), pixel_maps(heatmap(plane), (40, 40)))
    assert best_share([pair], 1, (0.1, 0.3, 0.7)) == 0.7
