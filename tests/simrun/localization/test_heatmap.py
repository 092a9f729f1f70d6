"""A spot in the frame stays at its place through shrinking, the graph and the pyramid."""

from __future__ import annotations

import dataclasses
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simrun.bundle.load import Bundle, load_bundle
from simrun.inference.session import Engine, EngineConfig
from simrun.localization.heatmap import compute_heatmap
from simrun.localization.preprocess import prepare
from simrun.result import Heatmap
from tests.simrun.conftest import STROKES

BUNDLE: Bundle = load_bundle(STROKES)
ENGINE = Engine(BUNDLE.localizer, EngineConfig(), what="localizer.onnx")


def heatmap_of(frame: np.ndarray, *, side: int = 320, **changes: object) -> Heatmap:
    meta = dataclasses.replace(BUNDLE.meta, **changes)
    return compute_heatmap(ENGINE, meta, prepare(frame, side))


def centre_of_mass(heatmap: Heatmap) -> np.ndarray:
    values = heatmap.values[0]
    ys, xs = np.mgrid[: values.shape[0], : values.shape[1]]
    cells = np.array([(values * xs).sum(), (values * ys).sum()]) / values.sum()
    return heatmap.to_frame(cells)


@settings(max_examples=40, deadline=None)
@given(
    width=st.integers(60, 900),
    height=st.integers(60, 900),
    across=st.floats(0.25, 0.75),
    down=st.floats(0.25, 0.75),
)
def test_a_bright_spot_is_found_where_it_is(
    width: int, height: int, across: float, down: float
) -> None:
    frame = np.zeros((height, width), np.uint8)
    size = max(8, max(width, height) // 20)
    x = int(size + across * (width - 2 * size))
    y = int(size + down * (height - 2 * size))
    spot = frame[y - size // 2 : y - size // 2 + size, x - size // 2 : x - size // 2 + size]
    spot[:] = 255
    truth = np.array([x - size // 2 + (size - 1) / 2, y - size // 2 + (size - 1) / 2])
    heatmap = heatmap_of(frame)
    assert np.abs(centre_of_mass(heatmap) - truth).max() <= 0.75 * heatmap.pitch


@pytest.mark.parametrize("factor", [0.5, 0.4, 0.71])
def test_the_scales_of_the_pyramid_lie_on_each_other(factor: float) -> None:
    frame = np.zeros((240, 320), np.uint8)
    frame[100:140, 60:100] = 255
    one = heatmap_of(frame)
    both = heatmap_of(frame, scales=(1.0, factor))
    assert both.values.shape == one.values.shape
    assert np.abs(centre_of_mass(both) - centre_of_mass(one)).max() <= 0.3 * one.pitch
    assert (both.values >= one.values - 1e-6).all()


@pytest.mark.parametrize(
    ("frame", "pitch", "origin"), [((240, 320), 2.0, 1.5), ((960, 1280), 4.0, 3.5)]
)
def test_a_cell_lies_where_its_pixels_were(
    frame: tuple[int, int], pitch: float, origin: float
) -> None:
    """Cell 0 sees pixels 1 and 2; of a frame at half its size these are 2 to 5."""
    heatmap = heatmap_of(np.zeros(frame, np.uint8), side=640)
    assert (heatmap.pitch, heatmap.origin) == (pitch, origin)


class PixelEngine:
    """The mean of the four pixels around the centre of each cell: offset 1.5, stride 2."""

    def run(self, batch: np.ndarray) -> np.ndarray:
        pixels = batch.astype(np.float32)
        rows = (pixels[:, :, 1:-1:2] + pixels[:, :, 2::2]) / 2
        return np.asarray((rows[..., 1:-1:2] + rows[..., 2::2]) / 2, np.float32)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("step", [1, -1])
def test_a_slope_is_the_same_at_every_scale(axis: int, step: int) -> None:
    """The greater value counts: what lay too far to a side would stand out on one slope."""
    slope = np.arange(0, 240, 2, np.uint8)[::step]
    frame = np.ascontiguousarray(np.broadcast_to(slope, (120, 120)))
    working = prepare(frame if axis else frame.T, 640)
    engine = cast(Engine, PixelEngine())
    one, both = (
        compute_heatmap(engine, dataclasses.replace(BUNDLE.meta, scales=scales), working).values
        for scales in ((1.0,), (1.0, 0.5))
    )
    # The first and the last cells lie half beyond the coarse map.
    np.testing.assert_array_equal(both[:, 1:-1, 1:-1], one[:, 1:-1, 1:-1])


def test_small_frames_are_not_enlarged_and_large_ones_shrink_to_the_side() -> None:
    assert prepare(np.zeros((50, 70), np.uint8), 640).image.shape == (1, 1, 56, 72)
    assert prepare(np.zeros((50, 70), np.uint8), 640).scale == 1.0
    working = prepare(np.zeros((960, 1280), np.uint8), 640)
    assert (working.image.shape, working.scale) == ((1, 1, 480, 640), 0.5)


@pytest.mark.parametrize("side", [320, 160, 80, 40])
def test_halving_again_and_again_makes_nothing_brighter(side: int) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (480, 640), dtype=np.uint8)
    shrunk = prepare(frame, side).image
    assert shrunk.shape[3] == side
    # Up and down in turns: at most the eighth that the first rounding adds is left.
    assert abs(shrunk[0, 0, : side * 3 // 4].mean() - frame.mean()) < 0.2


@pytest.mark.parametrize("side", [290, 213, 150, 91])
def test_no_line_is_skipped_however_much_a_frame_shrinks(side: int) -> None:
    for row in range(200, 230):
        frame = np.zeros((480, 640), np.uint8)
        frame[row] = 255
        assert prepare(frame, side).image.max() > 0


@pytest.mark.parametrize("side", [639, 500, 400, 330])
def test_strokes_of_two_pixels_outlast_a_shrink_to_more_than_one_half(side: int) -> None:
    """To halve on the way would make them grey: each pair would be half of one."""
    frame = np.zeros((480, 640), np.uint8)
    frame[:, np.arange(640) % 4 // 2 == 1] = 255
    frame = np.roll(frame, 1, axis=1)
    shrunk = prepare(frame, side).image
    assert (shrunk.min(), shrunk.max()) == (0, 255)


def test_a_last_row_and_column_without_a_pair_are_dropped() -> None:
    frame = np.zeros((481, 641), np.uint8)
    frame[-1] = frame[:, -1] = 255
    working = prepare(frame, 320)
    assert working.content == (240, 320)
    assert working.image.max() == 0


def test_what_is_one_pixel_high_stays_so() -> None:
    working = prepare(np.zeros((1, 700), np.uint8), 350)
    assert working.content == (1, 350)


class RecordingEngine:
    """Keeps what it is given, and finds nothing."""

    def __init__(self) -> None:
        self.batches: list[np.ndarray] = []

    def run(self, batch: np.ndarray) -> np.ndarray:
        self.batches.append(batch)
        return np.zeros((1, 1, batch.shape[2] // 2, batch.shape[3] // 2), np.float32)


@pytest.mark.parametrize(
    ("frame", "batch"), [((8, 64), (28, 64)), ((64, 8), (64, 28)), ((64, 32), (64, 32))]
)
def test_what_the_graph_is_too_large_for_is_padded_and_nothing_else(
    frame: tuple[int, int], batch: tuple[int, int]
) -> None:
    meta = dataclasses.replace(BUNDLE.meta, receptive_field=28, offset=13.5)
    engine = RecordingEngine()
    image = np.full(frame, 7, np.uint8)
    compute_heatmap(cast(Engine, engine), meta, prepare(image, 640))
    (given,) = engine.batches
    assert given.shape == (1, 1, *batch)
    assert (given == 7).all()


def test_the_padding_repeats_the_edge_and_has_no_cells() -> None:
    frame = np.full((50, 70), 200, np.uint8)
    working = prepare(frame, 640)
    assert (working.image == 200).all()
    values = heatmap_of(frame).values
    assert values.shape == (1, 24, 34)
    np.testing.assert_allclose(values, 200 / 255, atol=1e-6)


def test_a_static_graph_gets_its_size() -> None:
    working = prepare(np.zeros((100, 300), np.uint8), 640, static_size=(128, 160))
    assert working.image.shape == (1, 1, 128, 160)
    assert working.content == (53, 160)


def test_colour_is_laid_out_in_planes() -> None:
    frame = np.zeros((32, 64, 3), np.uint8)
    frame[:, :, 2] = 9
    image = prepare(frame, 640).image
    assert image.shape == (1, 3, 32, 64)
    assert (image[0, 2] == 9).all()
    assert (image[0, :2] == 0).all()


@pytest.mark.parametrize(
    ("frame", "cells"), [((50, 70), (24, 34)), ((51, 71), (25, 35)), ((52, 72), (25, 35))]
)
def test_cells_are_those_whose_centre_is_on_the_frame(
    frame: tuple[int, int], cells: tuple[int, int]
) -> None:
    """Centres are at 1.5, 3.5, ...: the 25th at 49.5, which is on rows 0 to 50."""
    assert heatmap_of(np.zeros(frame, np.uint8)).values.shape == (1, *cells)


def test_the_smallest_frames_have_one_cell() -> None:
    for shape in ((1, 1), (3, 3)):
        assert heatmap_of(np.zeros(shape, np.uint8)).values.shape == (1, 1, 1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (7, 9999), (9999, 7), (3, 3)])
def test_extreme_shapes_have_at_least_one_cell(shape: tuple[int, int]) -> None:
    values = heatmap_of(np.full(shape, 255, np.uint8)).values
    assert min(values.shape) >= 1
    np.testing.assert_allclose(values, 1.0, atol=1e-6)
