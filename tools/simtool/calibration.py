"""The affine that makes H about 1 where the training data answers strongest."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from simrun.errors import ModelError
from simtool.data import LabelledImages
from simtool.graph import LocalizerGraph, Readout
from simtool.weighting import Weighting

PERCENTILE: Final = 99.9
MOST_SAMPLES: Final = 10_000
_PIXELS_AT_ONCE: Final = 500 * 28 * 28
"""Bounds the memory."""


@dataclass(frozen=True)
class Calibration:
    """H = (sum_i w_i F_i - bias) / scale, a bias and a scale for each channel."""

    scale: tuple[float, ...]
    """What the strong responses to the data exceed the bias by."""
    bias: tuple[float, ...]
    """0 for weights of one sign; else the response to an empty image, so that nothing gives 0."""
    percentile: float
    """Of all cells of all images: what counts as strong."""
    samples: int
    split: str
    data_sha256: str

    def to_json(self) -> dict[str, Any]:
        """A JSON object for the bundle's record."""
        return asdict(self)

    def readout(self, weighting: Weighting) -> Readout:
        """The weights with this affine, to be folded."""
        return Readout(
            torch.tensor(weighting.values, dtype=torch.float64),
            torch.tensor(self.bias, dtype=torch.float64),
            torch.tensor(self.scale, dtype=torch.float64),
        )


def calibrate(trunk: nn.Module, weighting: Weighting, data: LabelledImages) -> Calibration:
    """Measure the affine on at most `MOST_SAMPLES` images, evenly spread over the data.

    Args:
        trunk: in the form that is exported.
        weighting: of the filters.
        data: the split that was ablated.

    Raises:
        ModelError: the images are smaller than the receptive field, or nothing answers.
    """
    rows = len(weighting.values)
    weights = torch.tensor(weighting.values, dtype=torch.float64)
    plain = Readout(weights, torch.zeros(rows), torch.ones(rows))
    graph = LocalizerGraph(trunk, plain, "bright")
    images = data.images[:: max(1, -(-len(data) // MOST_SAMPLES))]
    strong = np.quantile(_responses(graph, images), PERCENTILE / 100, axis=0)
    bias = np.zeros(rows)
    if weighting.signed:
        bias = _responses(graph, np.zeros_like(images[:1])).mean(0)
    scale = strong - bias
    if not (scale > 0).all():
        raise ModelError(
            f"the weighted sum does not answer to the data (strongest {strong.tolist()}, nothing "
            f"{bias.tolist()}); choose another weighting"
        )
    return Calibration(
        scale=tuple(scale.tolist()),
        bias=tuple(bias.tolist()),
        percentile=PERCENTILE,
        samples=len(images),
        split=data.split,
        data_sha256=data.sha256,
    )


def _responses(graph: LocalizerGraph, images: np.ndarray) -> np.ndarray:
    """Heatmap cells (cells, channels) float64 of all images (N, C, H, W) uint8."""
    parts: list[Tensor] = []
    step = max(1, _PIXELS_AT_ONCE // (images.shape[2] * images.shape[3]))
    try:
        with torch.inference_mode():
            for start in range(0, len(images), step):
                heatmap = graph(torch.from_numpy(images[start : start + step].copy()))
                parts.append(heatmap.movedim(1, -1).flatten(0, -2))
    except RuntimeError as error:
        height, width = images.shape[2:]
        raise ModelError(
            f"images of {height}x{width} are too small for the exported trunk; try --padding same"
        ) from error
    return torch.cat(parts).to(torch.float64).numpy()
