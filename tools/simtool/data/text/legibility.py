"""Whether text in a strip can be read: what cannot be is not trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from simtool.data.text.canvas import Grey


@dataclass(frozen=True, slots=True)
class Legible:
    """What text must be like.

    Attributes:
        least_height / greatest_height: of its ink in the picture, in pixels.
        least_contrast: grey levels between ink and ground in the strip.
        least_share: of the contrast that was painted; what is blurred has less.
    """

    least_height: float = 15.0
    greatest_height: float = 64.0
    least_contrast: float = 7.0
    least_share: float = 0.3

    def __call__(self, strip: Grey, painted: Grey, cover: Grey) -> bool:
        """Whether a strip can be read; `painted` is it before the photograph, `cover` its ink."""
        seen, drawn = _contrast(strip, cover), _contrast(painted, cover)
        return seen >= max(self.least_contrast, self.least_share * min(drawn, 100.0))


CLEAR: Final = Legible(least_height=20.0, least_contrast=40.0)
"""What a person reads without effort."""


def _contrast(strip: Grey, cover: Grey) -> float:
    """Grey levels between ink and the ground about it."""
    solid = max(40, int(cover.max()) * 0.7)
    ink = cover >= solid
    ground = np.asarray(cv2.dilate(cover, np.ones((5, 5), np.uint8)) > solid / 2, np.bool_)
    ground &= cover < solid / 4
    if not ink.any() or not ground.any():
        return 0.0
    return abs(float(strip[ink].mean()) - float(strip[ground].mean()))
