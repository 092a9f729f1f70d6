"""From a frame to its heatmap: shrink, run the graph, keep the way back to frame pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from simrun.bundle.metadata import BundleMeta
from simrun.errors import ModelError
from simrun.images.read import Image
from simrun.inference.session import Engine

_SIZE_STEP: Final = 8
"""Working sizes are multiples of this: few enough for ONNX Runtime's memory to settle, and a common
frame, 480x360 say, needs no padding at all."""
_HALF: Final = 0.5 + 1e-9
"""Scales up to it are one half or less, whatever their last digits are."""


@dataclass(frozen=True)
class Heatmap:
    """Text likelihood on a coarse grid laid over the frame."""

    values: NDArray[np.float32]
    """(K, h, w); K = 1, or one channel per class."""
    pitch: float
    """Frame pixels from one cell to the next, on both axes."""
    origin: float
    """Frame coordinate of the centre of cell 0, in pixels, on both axes."""

    def to_frame(self, cells: NDArray[np.floating]) -> NDArray[np.float64]:
        """Frame pixels of points given in cells, (..., 2) as (x, y)."""
        return np.asarray(cells, np.float64) * self.pitch + self.origin


@dataclass(frozen=True)
class Working:
    """A frame made ready for the graph."""

    image: Image
    """(1, C, h, w) uint8, h and w multiples of 8."""
    scale: float
    """Working pixels per frame pixel."""
    content: tuple[int, int]
    """(height, width) of the part of `image` that shows the frame; the rest repeats its edge."""


def prepare(image: Image, side: int, static_size: tuple[int, int] | None = None) -> Working:
    """Shrink a frame so that its longer side is at most `side`, and pad it to a working size.

    Small frames are not enlarged. The aspect ratio is kept; what is missing to a working size is
    filled with the last row and column, so that no edge appears there.

    Args:
        image: (H, W) or (H, W, 3) uint8.
        side: longest side of the working image in pixels.
        static_size: (H, W) where the graph takes one size only.
    """
    height, width = image.shape[:2]
    if static_size is None:
        scale = min(1.0, side / max(height, width))
    else:
        scale = min(static_size[0] / height, static_size[1] / width)
    shrunk = image if scale == 1.0 else _shrink(image, scale)
    h, w = shrunk.shape[:2]
    full_h, full_w = static_size or (_round_up(h), _round_up(w))
    canvas = shrunk
    if (h, w) != (full_h, full_w):
        bottom, right = full_h - h, full_w - w
        border = cv2.copyMakeBorder(shrunk, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
        canvas = np.asarray(border, np.uint8)
    channels = canvas[None] if canvas.ndim == 2 else canvas.transpose(2, 0, 1)
    return Working(np.ascontiguousarray(channels[None], np.uint8), scale, (h, w))


def compute_heatmap(engine: Engine, meta: BundleMeta, working: Working) -> Heatmap:
    """Run the graph at every scale of the model's pyramid; the maximum over the scales counts."""
    finest = _run_once(engine, meta, working.image)
    values = finest
    for factor in meta.scales[1:]:
        coarse = _run_once(engine, meta, _shrink_working(working.image, factor))
        values = np.maximum(values, _resample(coarse, factor, finest.shape[1:], meta))
    pitch = meta.stride / working.scale
    rows, columns = (_cells(size, meta) for size in working.content)
    return Heatmap(values[:, :rows, :columns], pitch, (meta.offset + 0.5) / working.scale - 0.5)


def _run_once(engine: Engine, meta: BundleMeta, batch: Image) -> NDArray[np.float32]:
    """(K, h, w) map of a (1, C, H, W) batch; a too small image is padded to have one cell."""
    missing = [max(0, meta.smallest_side - size) for size in batch.shape[2:]]
    if any(missing):
        pad = ((0, 0), (0, 0), (0, missing[0]), (0, missing[1]))
        batch = np.pad(batch, pad, mode="edge")
    maps = engine.run(batch)
    if maps.ndim != 4 or maps.shape[:2] != (1, len(meta.heatmap_channels)) or 0 in maps.shape:
        raise ModelError(
            f"the graph gives maps of shape {maps.shape}; the bundle names "
            f"{len(meta.heatmap_channels)} channels, so it must be "
            f"(1, {len(meta.heatmap_channels)}, h, w); export the model again"
        )
    return np.asarray(maps[0], np.float32)


def _shrink_working(batch: Image, factor: float) -> Image:
    height, width = batch.shape[2:]
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    planes = [cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in batch[0]]
    return np.stack(planes)[None].astype(np.uint8, copy=False)


def _resample(
    coarse: NDArray[np.float32], factor: float, shape: tuple[int, ...], meta: BundleMeta
) -> NDArray[np.float32]:
    """Lay the map of a shrunk image over the grid of the finest one."""
    # Cell i of the finest grid sits at working pixel offset + stride * i; that pixel is at
    # factor * (x + 0.5) - 0.5 in the shrunk image, hence at this cell of the coarse map:
    shift = (factor * (meta.offset + 0.5) - 0.5 - meta.offset) / meta.stride
    matrix = np.array([[factor, 0, shift], [0, factor, shift]], np.float64)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (shape[1], shape[0])
    planes = [cv2.warpAffine(plane, matrix, size, flags=flags) for plane in coarse]
    return np.stack(planes).astype(np.float32, copy=False)


def _cells(content: int, meta: BundleMeta) -> int:
    """Cells whose centre lies on the frame rather than on the padding."""
    return max(1, int((content - 1 - meta.offset) // meta.stride) + 1)


def _shrink(image: Image, scale: float) -> Image:
    """Shrink an image by a factor, without skipping pixels.

    Bilinear interpolation alone skips pixels below one half, and thin strokes would come and go. So
    the image is halved as long as it can be, and the rest is bilinear: averages over blocks of
    another size than 2x2 cost up to ten times as much.
    """
    rounds_up = True
    while scale <= _HALF and min(image.shape[:2]) > 1:
        image = _halve(image, rounds_up)
        # In turns, or the picture would get brighter each time.
        rounds_up = not rounds_up
        scale *= 2
    height, width = image.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return image if size == (width, height) else np.asarray(cv2.resize(image, size), np.uint8)


def _halve(image: Image, rounds_up: bool) -> Image:
    """Averages of 2x2 pixels; a last row or column that has no pair is dropped."""
    height, width = image.shape[0] // 2, image.shape[1] // 2
    pairs = image[: 2 * height, : 2 * width]
    if not rounds_up:  # OpenCV rounds one half up: of the negative, down
        pairs = np.asarray(cv2.bitwise_not(pairs), np.uint8)
    halved = cv2.resize(pairs, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(halved if rounds_up else cv2.bitwise_not(halved), np.uint8)


def _round_up(size: int) -> int:
    return -(-size // _SIZE_STEP) * _SIZE_STEP
