"""Crops from photos become what the classifier was trained on."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from simrun.bundle.load import load_bundle
from simrun.inference.session import Engine, EngineConfig
from simrun.recognition.classify import read_regions
from simrun.recognition.crops import _ink, character_crops, rectify
from tests.simrun.conftest import STROKES


def picture_of(text: str, ink: int, ground: int, scale: float = 1.5) -> np.ndarray:
    canvas = np.full((64, 30 + 34 * len(text)), ground, np.uint8)
    cv2.putText(canvas, text, (14, 48), cv2.FONT_HERSHEY_DUPLEX, scale, ink, 4, cv2.LINE_AA)
    return canvas


@pytest.mark.parametrize(("ink", "ground"), [(255, 0), (0, 255), (140, 90), (90, 140)])
def test_polarity_and_contrast_do_not_matter(ink: int, ground: int) -> None:
    (reference,) = character_crops(picture_of("7", 255, 0), 28)
    (crop,) = character_crops(picture_of("7", ink, ground), 28)
    assert crop.shape == (28, 28)
    assert np.abs(crop.astype(int) - reference).mean() < 4


def test_characters_are_split_from_left_to_right() -> None:
    crops = character_crops(picture_of("203", 255, 0), 28)
    singles = [character_crops(picture_of(c, 255, 0), 28)[0] for c in "203"]
    assert len(crops) == 3
    for crop, single in zip(crops, singles, strict=True):
        assert np.abs(crop.astype(int) - single).mean() < 6


def test_the_aspect_is_kept_and_the_mass_centred() -> None:
    canvas = np.zeros((60, 40), np.uint8)
    canvas[10:50, 18:24] = 255
    (crop,) = character_crops(canvas, 28)
    ys, xs = np.nonzero(crop > 127)
    assert np.ptp(ys) + 1 == pytest.approx(20, abs=1)
    assert np.ptp(xs) + 1 == pytest.approx(3, abs=1)
    assert (xs.mean(), ys.mean()) == (pytest.approx(13.5, abs=0.6), pytest.approx(13.5, abs=0.6))


def test_a_flat_or_faint_crop_holds_nothing() -> None:
    assert character_crops(np.full((20, 20), 90, np.uint8), 28) == []
    faint = np.full((20, 20), 90, np.uint8)
    faint[5:15, 5:15] = 97
    assert character_crops(faint, 28) == []


def test_ink_runs_from_the_median_of_the_ground_to_that_of_the_ink() -> None:
    random = np.random.default_rng(0)
    for blur in np.linspace(0.6, 5, 40):
        noise = random.integers(0, 256, random.integers(8, 90, 2)).astype(np.uint8)
        crop = np.asarray(cv2.GaussianBlur(noise, (0, 0), blur), np.uint8)
        cv2.normalize(crop, crop, 20, 230, cv2.NORM_MINMAX)
        smooth = cv2.GaussianBlur(crop, (3, 3), 0)
        _, mask = cv2.threshold(smooth, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
        ground, ink = (np.median(smooth[mask == value]) for value in (0, 1))
        level = ((crop - ground) / (ink - ground)).clip(0, 1)
        edge = np.concatenate([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]])
        expected = (1 - level if edge.mean() > 0.5 else level) * 255
        found = _ink(crop)
        assert found is not None
        assert np.abs(found - expected).max() <= 1


@pytest.mark.parametrize("angle", [0, 25, -40])
def test_a_tilted_quad_is_turned_upright(angle: float) -> None:
    upright = picture_of("4", 255, 0)
    matrix = cv2.getRotationMatrix2D((32, 32), -angle, 1.0)
    matrix[:, 2] += 118
    frame = cv2.warpAffine(upright, matrix, (300, 300))
    corners = np.array([[8, 8], [52, 8], [52, 54], [8, 54]], float)
    turned = corners @ matrix[:, :2].T + matrix[:, 2]
    (crop,) = character_crops(rectify(frame, tuple(map(tuple, turned))), 28)
    (reference,) = character_crops(upright, 28)
    assert np.corrcoef(crop.ravel(), reference.ravel())[0, 1] > 0.85


def test_regions_are_read_in_one_batch_and_keep_their_order(bars: np.ndarray) -> None:
    bundle = load_bundle(STROKES)
    engine = Engine(bundle.classifier or b"", EngineConfig(), what="classifier.onnx")
    flat = ((10.0, 10.0), (30.0, 10.0), (30.0, 20.0), (10.0, 20.0))
    lying = ((40.0, 100.0), (80.0, 100.0), (80.0, 108.0), (40.0, 108.0))
    standing = ((240.0, 60.0), (248.0, 60.0), (248.0, 100.0), (240.0, 100.0))
    readings = read_regions(
        engine, bundle.meta.classes, bundle.meta.crop_size, bars, [standing, flat, lying]
    )
    assert [reading.text for reading in readings] == ["|", "", "-"]
    assert readings[0].probability > 0.9
    assert readings[1].probability == 0.0


def test_a_page_of_text_is_classified_in_batches_of_bounded_size() -> None:
    class Halves:
        """Takes the left half of a crop for the first class, the right half for the second."""

        def __init__(self) -> None:
            self.batches: list[int] = []

        def run(self, batch: np.ndarray) -> np.ndarray:
            self.batches.append(len(batch))
            left, right = np.array_split(batch[:, 0].astype(np.float32), 2, axis=2)
            return np.stack([left.mean(axis=(1, 2)), right.mean(axis=(1, 2))], axis=1)

    frame = np.zeros((40, 3200), np.uint8)
    starts = list(range(0, 3200, 20))
    for i, x in enumerate(starts):
        frame[10:30, x + 4 : x + 6] = 255
        # A foot at one side of the bar or the other makes two kinds of characters.
        frame[26:30, slice(x + 6, x + 14) if i % 2 else slice(x, x + 4)] = 255
    quads = [((x + 0.0, 6.0), (x + 19.0, 6.0), (x + 19.0, 34.0), (x + 0.0, 34.0)) for x in starts]
    engine = Halves()
    readings = read_regions(engine, ["L", "R"], 28, frame, quads)
    assert engine.batches == [64, 64, 32]
    alone = [read_regions(engine, ["L", "R"], 28, frame, [quad])[0].text for quad in quads]
    assert [reading.text for reading in readings] == alone
    assert set(alone) == {"L", "R"}
