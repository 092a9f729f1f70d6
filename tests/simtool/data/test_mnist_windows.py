from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simtool.ablation.record import AblationRecord
from simtool.data import load_split, mnist_windows
from simtool.data.labels import NOTHING
from simtool.data.mnist_windows import AWAY, JITTER, SIDE, cut_windows
from tests.conftest import ROOT


def dots(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures with a single bright pixel in the middle, so that its place can be read off."""
    pictures = np.zeros((count, 28, 28), np.uint8)
    pictures[:, 14, 14] = 255
    return pictures, np.arange(count) % 10


def test_digits_are_in_the_middle_and_nothing_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mnist_windows, "strew", lambda *_: None)  # a piece may hold a dot
    pictures, labels = dots(40)
    images, classes = cut_windows(pictures, labels, np.random.default_rng(0))
    assert images.shape == (80, SIDE, SIDE)
    assert images.dtype == np.uint8
    for image, label in zip(images, classes, strict=True):
        reach = JITTER if label < 10 else AWAY - 1
        around = slice(SIDE // 2 - reach, SIDE // 2 + reach + 1)
        assert image[around, around].any() == (label < 10)


def test_every_picture_is_used_once() -> None:
    pictures, labels = dots(42)
    _, classes = cut_windows(pictures, labels, np.random.default_rng(1))
    assert (classes == 10).sum() == 40  # two are left over
    counts = np.bincount(classes[classes < 10], minlength=10)
    assert set(counts) <= {3, 4, 5}


def test_windows_are_the_same_every_time(digit_folder: Path) -> None:
    one, two = (load_split("mnist-windows", "test", digit_folder) for _ in "ab")
    assert one.sha256 == two.sha256
    assert one.classes[-1] == NOTHING
    assert one.images.shape == (400, 1, SIDE, SIDE)
    other = load_split("mnist-windows", "train", digit_folder)
    assert one.sha256 != other.sha256


@pytest.mark.data
def test_the_shipped_model_was_ablated_on_the_windows_that_are_made_today(data: Path) -> None:
    ablation = AblationRecord.load(ROOT / "models" / "mnist-maps" / "ablation.json")
    assert load_split("mnist-windows", ablation.split, data).sha256 == ablation.data_sha256
