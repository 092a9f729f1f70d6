"""The affine that brings H to a common scale.

Where a label says for every position what stands there, background included, H goes through a
sigmoid: 0.5 where windows are told apart best, with the slope of their log odds. Elsewhere H is
about 1 where the training data answers strongest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from simrun.bundle.metadata import BundleMeta
from simrun.errors import ModelError
from simrun.types import Floats
from simtool.data import LabelledImages
from simtool.data.labels import IGNORE
from simtool.data.subsampling import subsampling_step
from simtool.export.heatmap_graph import LocalizerGraph, Readout
from simtool.export.trunk import Pool
from simtool.nets.base import Padding
from simtool.weighting.weigh import Weighting

PERCENTILE: Final = 99.9
MOST_SAMPLES: Final = 10_000
TEMPERATURE: Final = 2.5
"""The sigmoid's slope is that of the log odds over this: flat enough that valleys between lines of
confident text stay visible."""
WINDOWS: Final = 600
"""Labelled positions drawn from each image."""
_PIXELS_AT_ONCE: Final = 500 * 28 * 28
"""Bounds the memory."""


@dataclass(frozen=True)
class Calibration:
    """H = (sum_i w_i F_i - bias) / scale, a bias and a scale for each channel.

    With a `temperature`, a sigmoid of that.
    """

    scale: tuple[float, ...]
    """What the strong responses to the data exceed the bias by; of a sigmoid, the change of the
    sum over which the log odds of text grow by `temperature`."""
    bias: tuple[float, ...]
    """0 for weights of one sign; else the response to an empty image, so that nothing gives 0. Of a
    sigmoid, the sum above which calling windows text gives the best F1."""
    percentile: float | None
    """Of all cells of all images: what counts as strong; None for a sigmoid."""
    samples: int
    split: str
    data_sha256: str
    temperature: float | None = None
    """Of the sigmoid; None where there is none."""

    def to_json(self) -> dict[str, Any]:
        """A JSON object for the bundle's record; `temperature` only where there is a sigmoid."""
        record = asdict(self)
        del record["percentile" if self.percentile is None else "temperature"]
        return record

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Calibration:
        """Read what `to_json` gave. Raises TypeError or KeyError where a field is missing."""
        values = {"percentile": None, **record}
        return cls(**{**values, "scale": tuple(values["scale"]), "bias": tuple(values["bias"])})

    def readout(self, weighting: Weighting) -> Readout:
        """The weights with this affine, to be folded."""
        return Readout(
            _weights(weighting),
            torch.tensor(self.bias, dtype=torch.float64),
            torch.tensor(self.scale, dtype=torch.float64),
            squash=self.temperature is not None,
        )


def known_calibration(
    previous: BundleMeta | None, weighting: Weighting, pool: Pool, padding: Padding
) -> Calibration | None:
    """The calibration that a bundle was made with, where it holds for another export of it too.

    Args:
        previous: the bundle's metadata; None gives None.
        weighting: of the filters, in this export.
        pool: form of the trunk in this export, as `padding`.
        padding: see `simtool.export.trunk.transform_trunk`.
    """
    if previous is None:
        return None
    made = previous.export
    same_form = made.get("pool") == pool and made.get("padding") == padding
    same_weights = dict(previous.weighting) == json.loads(json.dumps(weighting.to_json()))
    return Calibration.from_json(made["calibration"]) if same_form and same_weights else None


def calibrate(
    trunk: nn.Module,
    weighting: Weighting,
    data: LabelledImages,
    background: str | None = None,
) -> Calibration:
    """Measure the affine on at most `MOST_SAMPLES` images, evenly spread over the data.

    Dense labels give a sigmoid; with a row of weights a class, each class against all else.

    Args:
        trunk: in the form that is exported.
        weighting: of the filters.
        data: the split that was ablated.
        background: the class that means "nothing there", where there is one.

    Raises:
        ModelError: the images are smaller than the receptive field, or nothing answers.
    """
    rows = len(weighting.values)
    plain = Readout(_weights(weighting), torch.zeros(rows), torch.ones(rows))
    graph = LocalizerGraph(trunk, plain, "bright")
    if data.dense and background is not None:
        wanted = None if weighting.per_class else data.classes.index(background)
        return _calibrate_windows(graph, data, wanted)
    images = data.images[:: subsampling_step(len(data), MOST_SAMPLES)]
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


def _weights(weighting: Weighting) -> Tensor:
    return torch.tensor(weighting.values, dtype=torch.float64)


def _calibrate_windows(
    graph: LocalizerGraph, data: LabelledImages, background: int | None
) -> Calibration:
    """Threshold and slope of each channel from positions drawn evenly from the images.

    A channel is for all but the background; without one, for the class of its own number.
    """
    sums, labels = _windows(graph, data)
    slopes, thresholds = [], []
    for row in range(sums.shape[1]):
        wanted = labels == row if background is None else labels != background
        if not 0 < wanted.mean() < 1:
            raise ModelError(f"split '{data.split}' has windows of one kind alone; add others")
        slope = fit_slope(sums[:, row], wanted)
        if not slope > 0:
            raise ModelError(
                "the weighted sum is no higher on what it is for than elsewhere; weigh otherwise"
            )
        slopes.append(slope)
        thresholds.append(best_threshold(sums[:, row], wanted))
    return Calibration(
        scale=tuple(TEMPERATURE / slope for slope in slopes),
        bias=tuple(thresholds),
        percentile=None,
        samples=len(data),
        split=data.split,
        data_sha256=data.sha256,
        temperature=TEMPERATURE,
    )


def _windows(graph: LocalizerGraph, data: LabelledImages) -> tuple[Floats, NDArray[np.int64]]:
    """Weighted sums (n, rows) and labels (n,) at `WINDOWS` counted positions of each image."""
    random = np.random.default_rng(0)
    sums, labels = [], []
    for image, truth in zip(data.images, data.labels, strict=True):
        with torch.inference_mode():
            heatmap = graph(torch.from_numpy(image[np.newaxis].copy()))[0].numpy()
        if heatmap.shape[1:] != truth.shape:
            raise ModelError(
                f"the exported trunk gives maps {heatmap.shape[1:]} for labels {truth.shape}; "
                "export it with the padding and pooling that it was trained with"
            )
        counted = np.flatnonzero(truth != IGNORE)
        picked = random.choice(counted, min(WINDOWS, len(counted)), replace=False)
        sums.append(heatmap.reshape(len(heatmap), -1)[:, picked].T)
        labels.append(truth.ravel()[picked])
    return np.concatenate(sums).astype(np.float64), np.concatenate(labels)


def fit_slope(sums: Floats, text: NDArray[np.bool_]) -> float:
    """Slope of a logistic regression of `text` (n,), both kinds weighing the same, on sums (n,)."""
    spread = float(sums.std()) + 1e-12
    x = np.stack([(sums - sums.mean()) / spread, np.ones_like(sums)], 1)
    share = float(text.mean())
    balance = np.where(text, 0.5 / share, 0.5 / (1 - share))
    theta = np.array([1.0, 0.0])
    for _ in range(50):
        chance = 1 / (1 + np.exp(-np.clip(x @ theta, -30, 30)))
        gradient = x.T @ (balance * (chance - text))
        curvature = (x * (balance * chance * (1 - chance))[:, None]).T @ x
        theta = theta - np.linalg.solve(curvature + 1e-6 * np.eye(2), gradient)
    return float(theta[0] / spread)


def best_threshold(sums: Floats, text: NDArray[np.bool_]) -> float:
    """The sum (n,) from which calling windows text gives the best F1."""
    order = np.argsort(-sums)
    found = np.cumsum(text[order])
    f1 = 2 * found / (np.arange(1, len(order) + 1) + text.sum())
    return float(sums[order[f1.argmax()]])


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
