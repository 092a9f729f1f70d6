"""Reading regions line by line: strips through `reader.onnx`, and CTC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simrun.bundle.reader import ReaderMeta
from simrun.errors import ModelError
from simrun.images.read import Image
from simrun.inference.session import Engine
from simrun.recognition.ctc import decode_greedy, decode_within
from simrun.recognition.language import Language, language_of_words
from simrun.recognition.strips import batches, cut_strip, resized
from simrun.result import Quad, Reading

_SURE: Final = 0.95
"""A look that is as sure is the last one."""
_LOOKS: Final = (-0.1, 0.06)
"""Shares of a region's height that further looks take in above and below."""
_ENDS: Final = 0.3
"""Share of its height by which a region of a heatmap is lengthened at each end."""
_SHORT: Final = 3
"""Readings of fewer characters count less when the better one is picked."""


class LineReader:
    """Reads the line of text in each region."""

    def __init__(self, engine: Engine, meta: ReaderMeta) -> None:
        """Take a graph into use.

        Args:
            engine: `strips` (N, 1, height, W) uint8 -> `logits` (N, T, C).
            meta: how strips are cut, and what the outputs mean.

        Raises:
            ModelError: the graph's outputs are not those of the metadata.
        """
        self._engine = engine
        self.meta = meta
        self._language: Language | None = None
        self._check_outputs()

    def restrict(self, pattern: str | None, words: Sequence[str] | None) -> None:
        """Read only texts that match a pattern as a whole, or that are among some words.

        Raises:
            UsageError: the pattern or the words are none.
        """
        # Only where they are asked for: most readings may be anything.
        from simrun.recognition.pattern import language_of_pattern

        if pattern is not None:
            self._language = language_of_pattern(pattern, self.meta.characters)
        elif words is not None:
            self._language = language_of_words(words, self.meta.characters)

    def read(self, frame: Image, quads: Sequence[Quad]) -> list[Reading]:
        """What each region most likely says, however unlikely that is.

        As long as no look was sure, another leaves out a little above and below, where neighbours
        and frames are, or takes in more, and the best one counts.

        Args:
            frame: (H, W) uint8.
            quads: regions in frame pixels, clockwise from the top left of the text.
        """
        readings = self._look(frame, quads)
        for across in _LOOKS:
            unsure = [i for i, reading in enumerate(readings) if reading.probability < _SURE]
            others = [resized(quads[i], 0.0, across) for i in unsure]
            for i, reading in zip(unsure, self._look(frame, others), strict=True):
                readings[i] = max(readings[i], reading, key=_worth)
        return readings

    def read_found(self, frame: Image, quads: Sequence[Quad]) -> list[Reading]:
        """The same for regions of a heatmap, which end before the text does."""
        return self.read(frame, [resized(quad, _ENDS, 0.0) for quad in quads])

    def _look(self, frame: Image, quads: Sequence[Quad]) -> list[Reading]:
        readings = [Reading("", 0.0)] * len(quads)
        strips = [cut_strip(frame, quad, self.meta) for quad in quads]
        for which, batch in batches(strips):
            for index, logits in zip(which, self._engine.run(batch), strict=True):
                readings[index] = self._decode(logits)
        return readings

    def _decode(self, logits: NDArray[np.float32]) -> Reading:
        characters = self.meta.characters
        if self._language is None:
            return decode_greedy(logits, characters)
        return decode_within(logits, characters, self._language)

    def _check_outputs(self) -> None:
        meta = self.meta
        width = max(meta.least_width, 2 * meta.width_step)
        logits = self._engine.run(np.zeros((2, 1, meta.height, width), np.uint8))
        outputs = logits.shape[-1] if logits.ndim == 3 else 0
        if outputs != len(meta.characters):
            raise ModelError(
                f"{self._engine.what} gives {outputs} outputs a step, the bundle's alphabet and "
                f"its blank are {len(meta.characters)}; export the model again"
            )
        steps = -(-width // meta.stride)
        if logits.shape != (2, steps, outputs):
            raise ModelError(
                f"{self._engine.what} gives logits of shape {logits.shape} for strips "
                f"{width} wide, not (2, {steps}, {outputs}); export the model again"
            )


def _worth(reading: Reading) -> float:
    """How good a reading is beside another: few characters are easily sure of themselves."""
    letters = len(reading.text.replace(" ", ""))
    return reading.probability * min(1.0, letters / _SHORT)
