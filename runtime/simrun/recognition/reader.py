"""Reading regions line by line: strips through `reader.onnx`, and CTC."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simrun.bundle.reader import ReaderMeta
from simrun.errors import ModelError
from simrun.images.read import Image
from simrun.inference.session import Engine
from simrun.recognition.ctc import decode_greedy
from simrun.recognition.strips import batches, cut_strip
from simrun.result import Quad, Reading


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
        self._check_outputs()

    def read(self, frame: Image, quads: Sequence[Quad]) -> list[Reading]:
        """What each region most likely says, however unlikely that is.

        Args:
            frame: (H, W) uint8.
            quads: regions in frame pixels, clockwise from the top left of the text.
        """
        return self.read_strips([cut_strip(frame, quad, self.meta) for quad in quads])

    def read_strips(self, strips: Sequence[Image]) -> list[Reading]:
        """The same for strips that were cut already, (height, W) uint8."""
        readings = [Reading("", 0.0)] * len(strips)
        for which, batch in batches(strips):
            for index, rows in zip(which, self._engine.run(batch), strict=True):
                readings[index] = decode_greedy(rows, self.meta.characters)
        return readings

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
