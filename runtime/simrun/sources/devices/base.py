"""What a live source needs from a camera or stream: a device that can be opened again and again.

A new kind of camera is one module with a class that fits `Device` and one that fits `Stream`.
Everything that goes wrong over months, and what is done about it, is in
`simrun.sources.live.reconnect`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simrun.errors import SourceError
from simrun.images.read import Image, check_frame

Decode = Callable[[NDArray[np.uint8]], Image]
"""Makes a picture of what a device sent. Raises SourceError where there is none in it."""


class DeviceUnusableError(SourceError):
    """It will not work later either: a program or library is missing, or it is no camera."""


@dataclass(frozen=True)
class Shot:
    """A picture as a device gives it."""

    image: NDArray[np.uint8]
    """(H, W) grey or (H, W, 3) BGR, uint8; with `decode`, what that makes it from."""
    stamp_s: float | None = None
    """When it was taken, on CLOCK_MONOTONIC, where the device says so."""
    decode: Decode | None = None
    """Put off until somebody wants the picture: most are replaced by a newer one before."""
    polled: bool = False
    """A still picture that was asked for: if it is the same again, nothing hangs."""

    def decoded(self) -> Shot:
        """The shot with its picture made and looked at.

        Raises:
            SourceError: there is no picture in it.
        """
        image = self.image if self.decode is None else self.decode(self.image)
        return Shot(check_frame(image), self.stamp_s, polled=self.polled)


class Stream(Protocol):
    """A device that is open. One thread opens, reads and closes it."""

    description: str
    """What was agreed on: size, format, rate, and which time stamps the frames have."""
    rate: float | None
    """Frames per second, where the device says so."""

    def read(self) -> Shot | None:
        """The next picture; blocks, perhaps for ever. None where it came empty or broken.

        Raises:
            SourceError: no more pictures will come from this stream.
        """
        ...

    def interrupt(self) -> None:
        """Make a blocked `read` return, where that can be done; called from another thread."""
        ...

    def close(self) -> None:
        """Let go of the device."""
        ...


class Device(Protocol):
    """A camera or stream that may be absent for a while."""

    name: str
    """What was asked for, fit for logs: without passwords."""

    def open(self) -> Stream:
        """Open it.

        Raises:
            DeviceUnusableError: it cannot be had at all.
            SourceError: it is not there, or in use; it may be later.
        """
        ...
