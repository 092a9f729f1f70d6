"""Every detector on every photo, interleaved, with the CPU time of each call."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from benchmarks.accuracy.peers.detector import Card, Detector, Frame
from benchmarks.harness.benchmark import in_turns
from benchmarks.harness.record import quartiles
from simrun.images.read import read_image
from simtool.data.annotations import ALL, AnnotatedImage, AnnotatedSet, Corners
from simtool.evaluation.text_metrics import Scores, score


@dataclass
class Run:
    """What one detector did on one data set."""

    card: Card
    cpu_ms: list[float] = field(default_factory=list)
    """CPU time of the process for each call, decoded frame to quads."""
    quads: dict[str, list[Corners]] = field(default_factory=dict)
    """Predictions by base name of the photo."""


def run_all(detectors: Sequence[Detector], dataset: AnnotatedSet) -> list[Run]:
    """Run all detectors over a data set.

    They take turns photo by photo in random order, so that whatever else the machine does, and
    whatever the one before left in the caches, falls on all alike.
    """
    runs = [Run(detector.card) for detector in detectors]
    for image, order in in_turns(range(len(detectors)), dataset.images, "photo"):
        frame = read_colour(dataset, image)
        for i in order:
            start = time.process_time_ns()
            quads = detectors[i].detect(frame)
            runs[i].cpu_ms.append((time.process_time_ns() - start) / 1e6)
            runs[i].quads[image.name] = [tuple((float(x), float(y)) for x, y in q) for q in quads]
    return runs


def read_colour(dataset: AnnotatedSet, image: AnnotatedImage) -> Frame:
    """A photo of the set, (H, W, 3) BGR."""
    pixels = read_image(dataset.path(image))
    if pixels.ndim == 2:
        pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR), np.uint8)
    return pixels


def describe(
    run: Run, dataset: AnnotatedSet, bare: tuple[Run, AnnotatedSet] | None
) -> dict[str, Any]:
    """All figures of one detector.

    Args:
        run: on the annotated photos.
        dataset: those photos.
        bare: the same detector's run on photos without text, and those photos.
    """
    scores = score(dataset.images, run.quads)
    card = run.card
    return {
        "name": card.name,
        "family": card.family,
        "side": card.side,
        "ours": card.ours,
        "settings": dict(card.settings),
        "model": None if card.model is None else vars(card.model),
        "cpu_ms": quartiles(run.cpu_ms),
        "figures": figures(scores, dataset) | {"flagged_notext": flagged(bare)},
        "scores": {
            name: {kind: one.to_json() for kind, one in kinds.items()}
            for name, kinds in scores.items()
        },
    }


def figures(
    scores: Mapping[str, Mapping[str, Scores]], dataset: AnnotatedSet
) -> dict[str, float | None]:
    """The figures of the comparison: rotated quads, all photos pooled.

    `recall_cov50` is cov50 on the photos that are annotated only in part, which count for it alone.
    """
    pooled = scores[ALL]["quad"].to_json()
    partial = {image.dataset for image in dataset.images if not image.exhaustive}
    recall = scores[partial.pop()]["quad"].cov50 if len(partial) == 1 else None
    names = ("px_P", "px_R", "px_F1", "line_F1", "cov50", "flagged")
    return {
        **{name: pooled[name] for name in names},
        "px_F1_aabb": scores[ALL]["aabb"].to_json()["px_F1"],
        "recall_cov50": None if recall is None else round(recall, 4),
    }


def flagged(bare: tuple[Run, AnnotatedSet] | None) -> float | None:
    """Share of the area flagged in photos without text, mean over the photos."""
    if bare is None:
        return None
    run, dataset = bare
    return round(score(dataset.images, run.quads)[ALL]["quad"].flagged, 4)
