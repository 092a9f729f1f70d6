"""From a frame to its heatmap: shrink, run the graph, keep the way back to frame pixels."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from simrun.bundle.metadata import BundleMeta
from simrun.errors import ModelError
from simrun.images.read import Image
from simrun.inference.session import Engine
from simrun.localization.preprocess import Working
from simrun.result import Heatmap


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
