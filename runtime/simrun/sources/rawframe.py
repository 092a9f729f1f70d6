"""Raw frames to pictures: the bytes another program writes, the buffers a V4L2 camera fills."""

from __future__ import annotations

from functools import partial
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from simrun.errors import SourceError
from simrun.images import Image
from simrun.picture_size import declared_size
from simrun.sources.device import Decode
from simrun.sources.options import RawFormat, Size

_BLACK: Final = 16
_PER_LEVEL: Final = 1.164
"""Brightness in YUYV goes from 16 to 235; these two are what OpenCV has for its pictures."""
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
        size: the size agreed on; a buffer of another one counts as broken.
        colour: make (H, W, 3) BGR pictures; otherwise (H, W) grey ones, which cost less. They are
            what the colour ones give when greyed, to within 1 of 256, but where a colour lies
            outside of RGB: that one is cut off before it is greyed. At the hard edges of a JPEG
            this makes 4 at most; a camera that exaggerates its colours may come to more.

    Returns:
        None for a format that OpenCV has to convert.
    """
    if fourcc in ("MJPG", "JPEG"):
        return partial(_decode_jpeg, size=size, colour=colour)
    if fourcc == "YUYV":
        return partial(_decode_yuyv, size=size, colour=colour)
    if fourcc == "GREY" and size.width % _ROW_BYTES == 0:
        return partial(_decode_grey, size=size, colour=colour)
    return None


def _decode_jpeg(data: NDArray[np.uint8], size: Size, *, colour: bool) -> Image:
    content = data.tobytes()
    # OpenCV 4 fills what is missing with grey. From behind, the mark of the end is found at once.
    if content.rfind(b"\xff\xd9") < 0:
        raise SourceError("a JPEG frame is cut short")
    # A damaged header may claim a picture that no memory holds.
    declared = declared_size(content)
    if declared != (size.width, size.height):
        raise SourceError(f"a JPEG frame of {declared or 'no size'}, not {size}")
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR if colour else cv2.IMREAD_GRAYSCALE)
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
