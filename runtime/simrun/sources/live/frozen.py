"""Tells a camera that hangs on one picture from one that looks at a still scene."""

from __future__ import annotations

import logging
import zlib
from typing import Final

import numpy as np

from simrun.images.read import Image

_log = logging.getLogger(__name__)

_SAMPLES: Final = 32
"""Rows and columns of the sample that stands for a picture."""


class FrozenWatch:
    """Looks for the very same picture, bit by bit, over a long time.

    A sensor has noise, so two pictures of a still scene differ. A virtual camera may show a still
    picture on purpose: if the same picture is there again after the camera was opened anew, the
    limit is doubled.
    """

    def __init__(self, name: str, limit_s: float) -> None:
        """Watch with a limit in seconds; 0 never finds anything."""
        self._name = name
        self._first_limit_s = limit_s
        self._limit_s = limit_s
        self._reference: Image | None = None
        self._fingerprint: tuple[object, ...] = ()
        self._since_s = 0.0
        self._suspect: Image | None = None
        self._told = False

    def reopened(self) -> None:
        """Count from the next picture on: the camera was away in between."""
        self._reference, self._fingerprint = None, ()

    def is_stuck(self, image: Image, moment_s: float) -> bool:
        """Whether the same picture came for longer than the limit; the camera is to be reopened."""
        if not self._first_limit_s:
            return False
        self._judge(image)
        fingerprint = _fingerprint(image)
        if fingerprint == self._fingerprint and moment_s - self._since_s < self._limit_s:
            return False
        # Only a sample was compared so far: the whole picture decides.
        before = self._reference
        alike = fingerprint == self._fingerprint
        stuck = alike and before is not None and np.array_equal(image, before)
        self._reference, self._fingerprint, self._since_s = image, fingerprint, moment_s
        if stuck:
            self._suspect = image
        return stuck

    def _judge(self, image: Image) -> None:
        """After a camera was reopened for being stuck: was it stuck?"""
        if self._suspect is None:
            return
        suspect, self._suspect = self._suspect, None
        if not np.array_equal(image, suspect):
            self._limit_s = self._first_limit_s
            return
        self._limit_s *= 2
        if not self._told:
            self._told = True
            _log.warning(
                "%s gives the same picture after it was opened again: perhaps it is a still one; "
                "from now on it is opened again less and less often",
                self._name,
            )


def _fingerprint(image: Image) -> tuple[object, ...]:
    """Shape and checksum of a sample of the pixels."""
    down, across = (max(1, side // _SAMPLES) for side in image.shape[:2])
    return image.shape, zlib.crc32(image[::down, ::across].tobytes())
