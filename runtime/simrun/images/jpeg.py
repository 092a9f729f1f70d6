"""Pictures as JPEG files."""

from __future__ import annotations

import cv2

from simrun.errors import OutputError
from simrun.images.read import Image


def encode_jpeg(picture: Image, quality: int) -> bytes:
    """The content of a JPEG file.

    Args:
        picture: (H, W) grey or (H, W, 3) BGR, uint8.
        quality: 0 to 100.

    Raises:
        OutputError: OpenCV cannot encode it.
    """
    try:
        ok, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    except cv2.error as error:
        raise OutputError(
            f"cannot encode {_size(picture)} as JPEG: {error.err or error}"
        ) from error
    if not ok:
        raise OutputError(f"cannot encode {_size(picture)} as JPEG")
    return data.tobytes()


def _size(picture: Image) -> str:
    return f"{picture.shape[1]}x{picture.shape[0]}"
