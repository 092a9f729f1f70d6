"""Still pictures: files and bytes to arrays and back.

In: a path or bytes. Out: (H, W) or (H, W, 3) uint8, upright; JPEG bytes on the way back.
Open `read` first; `declared_size` refuses what a header promises too much of, `chunks` knows where
a picture ends and which way is up, `depth` makes eight bits of more.
"""

from simrun.images.read import Image, read_image

__all__ = ["Image", "read_image"]
