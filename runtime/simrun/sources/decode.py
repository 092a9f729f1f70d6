"""Raw frames to pictures: the bytes another program writes, the buffers a V4L2 camera fills."""

from __future__ import annotations

from functools import partial
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from simrun.errors import SourceError
from simrun.images.chunks import JPEG_END, has_jpeg_end
from simrun.images.declared_size import declared_size
from simrun.images.read import Image
from simrun.sources.devices.base import Decode
from simrun.sources.options import RawFormat, Size

_BLACK: Final = 16
_PER_LEVEL: Final = 1.164
"""Brightness in YUYV goes from 16 to 235; these two are what OpenCV has for its pictures."""
_BEFORE_IT_IS_BELIEVED: Final = 3
"""Frames without an end, and none with one, after which the camera is taken to write none."""
_JPEG_MARGIN: Final = 2
"""Cameras round sizes up; a damaged header claims a picture that no memory holds."""
_ROW_BYTES: Final = 4
"""OpenCV 4 takes the rows of a buffer for multiples of this, and reads beyond its end."""


def unpack(data: NDArray[np.uint8], raw: RawFormat) -> Image:
    """A picture from the bytes of one frame, (H, W) grey or (H, W, 3) BGR.

    Of YUV420 only the first plane is taken: it is the grey picture.
    """
    width, height = raw.size.width, raw.size.height
    if raw.pixels in ("gray", "yuv420"):
        return data[: width * height].reshape(height, width)
    image = data.reshape(height, width, 3)
    return image if raw.pixels == "bgr" else np.ascontiguousarray(image[:, :, ::-1])


def find_decoder(fourcc: str, size: Size, *, colour: bool) -> Decode | None:
    """What makes pictures of a camera's buffers as OpenCV hands them over unconverted.

    Args:
        fourcc: the format agreed on with the camera.
        size: the size agreed on; a raw buffer of another one counts as broken, a JPEG of more than
            twice the pixels, too.
        colour: make (H, W, 3) BGR pictures; otherwise (H, W) grey ones, which cost less. They are
            what the colour ones give when greyed, to within 1 of 256, but where a colour lies
            outside of RGB: that one is cut off before it is greyed. At the hard edges of a JPEG
            this makes 4 at most; a camera that exaggerates its colours may come to more.

    Returns:
        None for a format that OpenCV has to convert.
    """
    if fourcc in ("MJPG", "JPEG"):
        return _JpegDecoder(size, colour=colour)
    if fourcc == "YUYV":
        return partial(_decode_yuyv, size=size, colour=colour)
    if fourcc == "GREY" and size.width % _ROW_BYTES == 0:
        return partial(_decode_grey, size=size, colour=colour)
    return None


class _JpegDecoder:
    """The JPEG frames of one camera.

    Some cameras leave out the mark of the end in all frames, so that its absence means nothing; of
    the others a frame without it was cut short. The first frames tell which kind this is: several
    without it, and none with it.
    """

    def __init__(self, size: Size, *, colour: bool) -> None:
        self._most_pixels = _JPEG_MARGIN * size.width * size.height
        self._flag = cv2.IMREAD_COLOR if colour else cv2.IMREAD_GRAYSCALE
        self._ends = False
        self._without = 0

    def __call__(self, data: NDArray[np.uint8]) -> Image:
        content = data.tobytes()
        width, height = declared_size(content) or (0, 0)
        if not 0 < width * height <= self._most_pixels:
            raise SourceError(f"a JPEG frame claims to be {width}x{height}")
        ends = has_jpeg_end(content)
        self._ends = self._ends or ends
        if not ends:
            self._without += 1
            if self._ends or self._without <= _BEFORE_IT_IS_BELIEVED:
                raise SourceError("a JPEG frame is cut short")
        whole = content if ends else content + JPEG_END
        try:
            image = cv2.imdecode(np.frombuffer(whole, np.uint8), self._flag)
        except cv2.error as error:
            raise SourceError(f"a JPEG frame cannot be decoded: {error.err or error}") from error
        if image is None:
            raise SourceError("a JPEG frame is damaged")
        return np.asarray(image, np.uint8)


def _decode_yuyv(data: NDArray[np.uint8], size: Size, *, colour: bool) -> Image:
    _require_shape(data, (size.height, size.width, 2))
    if colour:
        return np.asarray(cv2.cvtColor(data, cv2.COLOR_YUV2BGR_YUYV), np.uint8)
    # The lower half of each 16 bits is the brightness: far less work than taking a channel.
    luma = data.view("<u2")[:, :, 0].astype(np.uint8)
    # The second picture counts for nothing: no other call of OpenCV scales, shifts and cuts off.
    stretched = cv2.addWeighted(luma, _PER_LEVEL, luma, 0, -_BLACK * _PER_LEVEL)
    return np.asarray(stretched, np.uint8)


def _decode_grey(data: NDArray[np.uint8], size: Size, *, colour: bool) -> Image:
    _require_shape(data, (size.height, size.width))
    return np.asarray(cv2.cvtColor(data, cv2.COLOR_GRAY2BGR), np.uint8) if colour else data


def _require_shape(data: NDArray[np.uint8], shape: tuple[int, ...]) -> None:
    if data.shape != shape:
        raise SourceError(f"a raw frame has the shape {data.shape}, not {shape}")
