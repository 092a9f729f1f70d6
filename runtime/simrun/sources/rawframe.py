"""Raw frames in bytes to pictures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simrun.images import Image
from simrun.sources.options import RawFormat


def unpack(data: NDArray[np.uint8], raw: RawFormat) -> Image:
    """A picture from the bytes of one frame, (H, W) grey or (H, W, 3) BGR.

    Of YUV420 only the first plane is taken: it is the grey picture.
    """
    width, height = raw.size.width, raw.size.height
    if raw.pixels in ("gray", "yuv420"):
        return data[: width * height].reshape(height, width)
    image = data.reshape(height, width, 3)
    return image if raw.pixels == "bgr" else np.ascontiguousarray(image[:, :, ::-1])
