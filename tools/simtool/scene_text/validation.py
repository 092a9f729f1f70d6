"""How well windows of held-out scenes are told apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from simtool.data.text import canvas
from simtool.data.text.store import SceneStore
from simtool.nets import SplitNet
from simtool.training.accuracy import Accuracy

_BINS: Final = 400
_REACH: Final = 10.0
"""Log odds are counted between -10 and 10."""


@dataclass(frozen=True)
class Validation:
    """Text against "no text", over all windows that count."""

    test: Accuracy
    """Share of windows classified rightly."""
    f1: float
    """Best F1 of text windows over thresholds of the log odds."""
    threshold: float
    """Log odds where it is reached."""


def validate(net: SplitNet, scenes: SceneStore, batch: int) -> Validation:
    """Measure a network; it is left in evaluation mode."""
    net.eval()
    histograms = np.zeros((2, _BINS))
    for start in range(0, len(scenes), batch):
        read = scenes.read(np.arange(start, min(start + batch, len(scenes))))
        images = torch.from_numpy(read.images).float().div_(255).unsqueeze_(1)
        with torch.inference_mode():
            logits = net(images)
        odds = (logits[:, 1] - logits[:, 0]).clamp(-_REACH + 1e-3, _REACH - 1e-3).numpy()
        text = (read.labels > 0) & (read.labels != canvas.IGNORE)
        for row, chosen in enumerate((read.labels == 0, text)):
            histograms[row] += np.histogram(odds[chosen], _BINS, (-_REACH, _REACH))[0]
    return _figures(histograms)


def _figures(histograms: np.ndarray) -> Validation:
    above = histograms[:, ::-1].cumsum(1)[:, ::-1]
    totals = np.maximum(histograms.sum(1), 1)
    f1 = 2 * above[1] / np.maximum(above[0] + above[1] + totals[1], 1)
    best = int(f1.argmax())
    found = float(above[1, _BINS // 2])
    false = float(above[0, _BINS // 2])
    return Validation(
        test=Accuracy(
            overall=(float(totals[0]) - false + found) / float(totals.sum()),
            per_class=(1 - false / float(totals[0]), found / float(totals[1])),
        ),
        f1=float(f1[best]),
        threshold=best * 2 * _REACH / _BINS - _REACH,
    )
