"""What can be asked of a source, and how sizes and raw formats are written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, get_args

from simrun.errors import UsageError

PixelFormat = Literal["gray", "bgr", "rgb", "yuv420"]

_MAX_SIDE: Final = 16384


@dataclass(frozen=True)
class Size:
    """Width and height in pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        """As it is written on the command line."""
        return f"{self.width}x{self.height}"


DEFAULT_SIZE: Final = Size(640, 480)
"""Asked of cameras that have no choice of their own."""


@dataclass(frozen=True)
class RawFormat:
    """How raw frames lie in a stream of bytes, with no padding."""

    size: Size
    pixels: PixelFormat = "gray"

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame."""
        area = self.size.width * self.size.height
        return {"gray": area, "bgr": 3 * area, "rgb": 3 * area, "yuv420": area * 3 // 2}[
            self.pixels
        ]


@dataclass(frozen=True)
class SourceOptions:
    """What can be asked of a source; each kind takes what it has a use for."""

    wait_s: float = 0.0
    """Live: how long a device may be missing at the start; 0 is an error at once."""
    give_up_s: float | None = None
    """Live: how long an outage may last before it is an error; None waits for ever."""
    stall_s: float = 5.0
    """Live: no frame for this long counts as a stall."""
    frozen_s: float = 60.0
    """Live: the very same picture for this long counts as a stall; 0 never does."""
    size: Size | None = None
    """Cameras: the size to ask for; None takes the camera's own choice, or 640x480."""
    fps: float | None = None
    """Cameras: the rate to ask for. A still picture at a URL: how often a second it is asked for,
    once where this is None. Raw frames: the rate they were taken at."""
    colour: bool = True
    """Cameras: whether somebody looks at colours; without, V4L2 frames may come grey, (H, W)."""
    raw: RawFormat | None = None
    """Raw frames on stdin: what they look like."""
    max_fps: float | None = None
    """Live: hand over no more frames a second than this."""
    stride: int = 1
    """Hand over every Nth frame only."""

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            UsageError: a number is out of its range.
        """
        for name in ("wait_s", "frozen_s"):
            _require(name, getattr(self, name), 0 <= getattr(self, name) < float("inf"), ">= 0")
        for name in ("give_up_s", "stall_s", "fps", "max_fps"):
            value = getattr(self, name)
            _require(name, value, value is None or 0 < value < float("inf"), "> 0")
        _require("stride", self.stride, self.stride >= 1, ">= 1")


def parse_size(text: str) -> Size:
    """A size written `640x480`.

    Raises:
        UsageError: it is written otherwise, or has a side that no camera has.
    """
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text.strip().lower(), re.ASCII)
    if not match:
        raise UsageError(f"a size is written WIDTHxHEIGHT, 640x480 say, not {text!r}")
    size = Size(int(match[1]), int(match[2]))
    if not (1 <= size.width <= _MAX_SIDE and 1 <= size.height <= _MAX_SIDE):
        raise UsageError(f"a size of {size} is out of range: each side has 1 to {_MAX_SIDE} pixels")
    return size


def parse_raw(text: str) -> RawFormat:
    """A raw format written `640x480` (grey) or `640x480:gray|bgr|rgb|yuv420`.

    Raises:
        UsageError: it is written otherwise, or yuv420 has an odd side.
    """
    size_text, _, name = text.partition(":")
    size = parse_size(size_text)
    for pixels in get_args(PixelFormat):
        if pixels == (name.lower() or "gray"):
            if pixels == "yuv420":
                require_even(size)
            return RawFormat(size, pixels)
    known = ", ".join(get_args(PixelFormat))
    raise UsageError(f"raw frames are one of {known}, not {name!r}")


def require_even(size: Size) -> None:
    """Refuse an odd side where two pixels share a colour, as they do in YUV420.

    Raises:
        UsageError: a side is odd.
    """
    if size.width % 2 or size.height % 2:
        raise UsageError(f"YUV420 has even sides only, not {size}")


def _require(name: str, value: object, fits: bool, what: str) -> None:
    if not fits:
        raise UsageError(f"{name} must be {what}, not {value}")
