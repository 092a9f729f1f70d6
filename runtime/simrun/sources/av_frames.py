"""Frames by PyAV, the extra `video`: FFmpeg's own times, sizes, turns and errors.

OpenCV has the same FFmpeg inside, but says less: frames that are interlaced it does not fill, and
where the size changes it stretches them to the first one.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

import numpy as np

from simrun.errors import SourceError, first_line
from simrun.images.read import Image

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

MAX_PIXELS: Final = 256_000_000
"""As for pictures: a damaged header may ask for any size."""


def has_av() -> bool:
    """Whether PyAV is installed."""
    return importlib.util.find_spec("av") is not None


@dataclass(frozen=True)
class AvFrame:
    """A frame as it was shown, or what is wrong with one."""

    image: Image | None
    """(H, W, 3) BGR, upright; None where the decoder found it damaged."""
    time_s: float | None
    """As the container says, on its own scale."""
    error: str = ""


class AvReader:
    """The frames of a file or stream, in the order in which they are shown."""

    def __init__(
        self,
        where: str,
        name: str,
        options: Mapping[str, str],
        timeout_s: tuple[float, float] | None = None,
    ) -> None:
        """Open it.

        Args:
            where: a path or URL, as FFmpeg takes it.
            name: what messages call it.
            options: of FFmpeg's demuxer.
            timeout_s: for opening, and for each read; None waits for ever.

        Raises:
            SourceError: it cannot be opened, or has no video.
        """
        import av

        self._name = name
        try:
            self._container: InputContainer = av.open(
                where, options=dict(options), timeout=timeout_s, metadata_errors="replace"
            )
        except (av.FFmpegError, ValueError) as error:
            raise SourceError(
                f"{name} is not a video that can be read: {_reason(error)}"
            ) from error
        stream = self._container.streams.best("video")
        if stream is None or stream.codec_context is None:
            self._container.close()
            raise SourceError(f"{name} has no video that can be decoded in it")
        self.stream: VideoStream = stream  # type: ignore[assignment]
        self.stream.thread_type = "AUTO"
        context = self.stream.codec_context
        context.options = {"max_pixels": str(MAX_PIXELS)}
        if self.codec == "MJPEG":
            # What is damaged in one JPEG would be filled with the picture before.
            context.options |= {"err_detect": "explode"}

    @property
    def rate(self) -> float | None:
        """Frames per second on average, where the container says so."""
        rate = self.stream.average_rate or self.stream.guessed_rate
        return float(rate) if rate and 0 < rate < 1000 else None

    @property
    def length(self) -> int | None:
        """Frames that are shown, where the container counts them."""
        count, duration, base = self.stream.frames, self.stream.duration, self.stream.time_base
        if not count or not duration or not base or not self.rate:
            return None
        # Of a film that was trimmed without being encoded again, some are there and not shown.
        return min(count, max(1, round(float(duration * base) * self.rate)))

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) that the container announces."""
        return self.stream.codec_context.width, self.stream.codec_context.height

    @property
    def codec(self) -> str:
        """The codec's name, in capitals."""
        return self.stream.codec_context.name.upper()

    def __iter__(self) -> Iterator[AvFrame]:
        """The frames; one that the decoder found damaged comes without a picture.

        Raises:
            SourceError: the stream broke off.
        """
        import av

        try:
            for packet in self._container.demux(self.stream):
                try:
                    decoded = packet.decode()
                except av.InvalidDataError as error:
                    yield AvFrame(None, None, f"damaged data: {_reason(error)}")
                    continue
                for frame in decoded:
                    yield self._frame(frame)
        except (av.FFmpegError, MemoryError, ValueError) as error:
            raise SourceError(f"{self._name} broke off: {_reason(error)}") from error

    def close(self) -> None:
        """Close it."""
        self._container.close()

    def _frame(self, frame: VideoFrame) -> AvFrame:
        if frame.is_corrupt:
            return AvFrame(None, frame.time, "the decoder found it damaged")
        image = _to_bgr(frame)
        turns = round(frame.rotation / 90) % 4
        if turns:
            image = np.ascontiguousarray(np.rot90(image, turns))
        return AvFrame(image, frame.time)


def _to_bgr(frame: VideoFrame) -> Image:
    """(H, W, 3) uint8 BGR, a view of FFmpeg's own buffer: PyAV's array is a copy, 2 ms at 1080p."""
    plane = frame.reformat(format="bgr24").planes[0]
    rows = np.frombuffer(cast("memoryview[int]", plane), np.uint8)
    rows = rows.reshape(plane.height, plane.line_size)[:, : 3 * plane.width]
    return np.asarray(rows.reshape(plane.height, plane.width, 3))


def _reason(error: BaseException) -> str:
    strerror = getattr(error, "strerror", None)
    return strerror or first_line(error)
