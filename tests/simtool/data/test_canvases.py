"""Canvases are what their boxes say."""

from __future__ import annotations

import numpy as np
import pytest

from simtool.data.canvases import compose


def squares() -> tuple[np.ndarray, np.ndarray]:
    """Three classes of 12x12 pictures: a square of side 4, 6 or 8 in the middle."""
    pictures = np.zeros((3, 12, 12), np.uint8)
    for i, side in enumerate((4, 6, 8)):
        low = 6 - side // 2
        pictures[i, low : low + side, low : low + side] = 100 + i
    return pictures, np.arange(3)


def test_each_box_holds_its_item_and_nothing_lies_outside() -> None:
    pictures, labels = squares()
    canvas = compose(pictures, labels, np.random.default_rng(1), size=(60, 80), items=3)
    assert sorted(canvas.labels) == [0, 1, 2]
    rest = canvas.image.copy()
    for label, box in zip(canvas.labels, canvas.boxes, strict=True):
        x0, y0, x1, y1 = box.astype(int)
        assert (canvas.image[y0:y1, x0:x1] == 100 + label).all()
        assert (x1 - x0, y1 - y0) == ((4, 6, 8)[label],) * 2
        rest[y0:y1, x0:x1] = 0
    assert not rest.any()


def test_clutter_keeps_off_the_items() -> None:
    pictures, labels = squares()
    clean = compose(pictures, labels, np.random.default_rng(2), items=2)
    full = compose(pictures, labels, np.random.default_rng(2), items=2, clutter=400)
    np.testing.assert_array_equal(full.boxes, clean.boxes)
    assert (full.image > 0).sum() > 1.5 * (clean.image > 0).sum()
    for x0, y0, x1, y1 in clean.boxes.astype(int):
        np.testing.assert_array_equal(full.image[y0:y1, x0:x1], clean.image[y0:y1, x0:x1])


def test_the_same_seed_gives_the_same_canvas() -> None:
    pictures, labels = squares()
    one, two = (compose(pictures, labels, np.random.default_rng(3), items=2) for _ in "ab")
    np.testing.assert_array_equal(one.image, two.image)


def test_too_many_items_are_refused() -> None:
    pictures, labels = squares()
    with pytest.raises(ValueError, match="have 3 classes"):
        compose(pictures, labels, np.random.default_rng(4), items=4)
    with pytest.raises(ValueError, match="no free place"):
        compose(pictures, labels, np.random.default_rng(4), items=3, size=(13, 13))
