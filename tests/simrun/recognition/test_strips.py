"""Strips are what the reader learned from: upright, of one height, of few widths."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from simrun.bundle.reader import ReaderMeta
from simrun.recognition.strips import batches, cut_strip, padded_width, resized, strip_columns

META = ReaderMeta(alphabet="a", height=40, stride=4, threshold=0.5)


def box(x0: float, y0: float, x1: float, y1: float) -> tuple[tuple[float, float], ...]:
    """Around the pixels from x0, y0 up to x1, y1; the first pixel's middle is at 0, 0."""
    x0, y0, x1, y1 = x0 - 0.5, y0 - 0.5, x1 - 0.5, y1 - 0.5
    return ((x0, y0), (x1, y0), (x1, y1), (x0, y1))


def test_a_region_of_the_right_size_is_cut_out_pixel_by_pixel() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (200, 300), np.uint8)
    strip = cut_strip(frame, box(30, 50, 126, 90), META)
    np.testing.assert_array_equal(strip, frame[50:90, 30:126])


def test_the_margin_is_a_share_of_the_height_on_all_sides() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (200, 300), np.uint8)
    strip = cut_strip(frame, box(40, 60, 140, 92), replace(META, margin=0.125))
    np.testing.assert_array_equal(strip[:, :108], frame[56:96, 36:144])
    np.testing.assert_array_equal(strip[:, 108:], np.repeat(strip[:, 107:108], 4, axis=1))


def test_a_large_region_is_averaged_and_a_small_one_enlarged() -> None:
    frame = np.kron(np.arange(40 * 96).reshape(40, 96) % 251, np.ones((4, 4))).astype(np.uint8)
    strip = cut_strip(frame, box(0, 0, 384, 160), META)
    np.testing.assert_array_equal(strip, frame[::4, ::4])
    small = cut_strip(frame[::8, ::8], box(0, 0, 48, 20), META)
    assert small.shape == (40, 96)


@pytest.mark.parametrize("angle", [0, 30, 90, 180, -75])
def test_a_turned_region_is_upright(angle: float) -> None:
    upright = np.zeros((40, 160), np.uint8)
    cv2.putText(upright, "EXIT", (14, 32), cv2.FONT_HERSHEY_DUPLEX, 1.2, 255, 3)
    turn = cv2.getRotationMatrix2D((80, 20), -angle, 1.0)
    turn[:, 2] += 100
    frame = cv2.warpAffine(upright, turn, (400, 400), flags=cv2.INTER_CUBIC)
    corners = np.array(box(0, 0, 160, 40)) @ turn[:, :2].T + turn[:, 2]
    strip = cut_strip(frame, corners.tolist(), META)
    assert np.corrcoef(strip.ravel(), upright.ravel())[0, 1] > 0.95


def test_short_strips_are_stretched_and_long_ones_squeezed() -> None:
    meta = replace(META, stretch=(1.75, 0.15, 1.5))
    assert strip_columns(1.0, meta) == 60  # the most
    assert strip_columns(3.0, meta) == 156  # 1.75 - 0.45 = 1.3 times
    assert strip_columns(8.0, meta) == 320  # not narrower than it is
    assert strip_columns(99.0, meta) == 800
    assert strip_columns(0.01, meta) == 16


def test_widths_are_multiples_of_steps_that_grow_with_them() -> None:
    assert [padded_width(w, META) for w in (1, 32, 33, 127, 128, 129)] == [
        32,
        32,
        40,
        128,
        128,
        144,
    ]
    widths = {padded_width(w, META) for w in range(1, 801)}
    assert all(width % META.width_step == 0 for width in widths)
    assert len(widths) <= 34
    for columns in range(64, 801):
        assert 0 <= padded_width(columns, META) - columns <= columns / 8


@pytest.mark.parametrize(
    "quad",
    [
        box(0, 0, 3000, 1),
        box(0, 0, 1, 3000),
        box(5, 5, 5, 5),
        box(-50, -50, 20, 10),
        box(-1e12, 0, 1e12, 40),
    ],
)
def test_odd_regions_give_a_strip_of_bounded_size(quad: tuple[tuple[float, float], ...]) -> None:
    strip = cut_strip(np.full((30, 3000), 7, np.uint8), quad, META)
    assert strip.shape[0] == 40
    assert 32 <= strip.shape[1] <= 832
    assert (strip == 7).all()


def test_batches_hold_strips_of_one_width_and_are_bounded() -> None:
    widths = [32] * 40 + [800] * 9 + [96] * 3
    strips = [np.full((40, width), i, np.uint8) for i, width in enumerate(widths)]
    seen = []
    for which, batch in batches(strips):
        assert batch.shape == (len(which), 1, 40, widths[which[0]])
        assert len(which) <= 16
        assert batch.shape[0] * batch.shape[3] <= 3200
        np.testing.assert_array_equal(batch[:, 0, 0, 0], which)
        seen += which
    assert sorted(seen) == list(range(len(widths)))
    assert list(batches([])) == []


def test_a_region_grows_along_its_own_axes() -> None:
    quad = box(10, 20, 50, 40)
    np.testing.assert_allclose(resized(quad, 0.5, 0.0), box(0, 20, 60, 40))
    np.testing.assert_allclose(resized(quad, 0.0, -0.1), box(10, 22, 50, 38))
    turned = tuple((y, -x) for x, y in quad)
    grown = [(y, -x) for x, y in resized(quad, 0.5, 0.25)]
    np.testing.assert_allclose(resized(turned, 0.5, 0.25), grown)
