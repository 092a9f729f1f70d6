"""Heatmaps of pictures by each weighting of the same filters: what the choice comes to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from simrun.images.read import Image, read_image, to_bgr, to_channels
from simrun.localization.preprocess import prepare
from simtool.export.trunk import transform_trunk
from simtool.nets.base import Classifier
from simtool.weighting.weigh import Weighting

SIDE: Final = 320
"""Working side of the pictures, in pixels."""


@dataclass(frozen=True)
class PictureMaps:
    """One picture, and H by each weighting."""

    name: str
    image: Image
    """(h, w, 3) BGR, at the working size."""
    maps: Mapping[str, NDArray[np.float64]]
    """By the weighting's title: (h', w'), its mean over the picture at 0 and its largest at 1."""


def map_pictures(
    net: Classifier, weightings: Mapping[str, Weighting], paths: list[Path]
) -> Iterator[PictureMaps]:
    """H = sum of w_i F_i of each picture, by each weighting; weights a class are summed up.

    Args:
        net: in evaluation mode.
        weightings: by title.
        paths: of the pictures.

    Raises:
        SourceError: a picture cannot be read.
        ModelError: the network cannot be cut at the layer.
    """
    trunk = transform_trunk(net.export_trunk(), "keep", net.spec.export_padding)
    for path in paths:
        picture = read_image(path)
        working = prepare(to_channels(picture, net.spec.channels), SIDE).image
        responses = _responses(trunk, working)
        shown = working[0].transpose(1, 2, 0)[..., ::-1]
        maps = {title: _centred(w.array.sum(0), responses) for title, w in weightings.items()}
        yield PictureMaps(path.name, to_bgr(np.ascontiguousarray(shown.squeeze())), maps)


def _responses(trunk: nn.Module, working: Image) -> NDArray[np.float64]:
    """F (K, h, w) of a working image (1, C, H, W) uint8."""
    with torch.inference_mode():
        maps = trunk(torch.from_numpy(working.copy()).to(torch.float32) / 255)
    return np.asarray(maps[0].numpy(), np.float64)


def _centred(weights: NDArray[np.float64], maps: NDArray[np.float64]) -> NDArray[np.float64]:
    heat = np.tensordot(weights, maps, 1)
    heat = heat - heat.mean()
    return np.asarray(heat / max(float(heat.max()), 1e-12))
