"""Run a model over annotated pictures, with the very code that runs on a camera, and score it."""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Final

import cv2
import numpy as np
import onnxruntime as ort

from simrun import __version__
from simrun.bundle.metadata import Task
from simrun.errors import SourceError, UsageError
from simrun.images.read import read_image
from simrun.localizer import Localizer
from simrun.progress import Advance
from simrun.run.loop import run
from simrun.sinks.jsonl import JsonlSink
from simrun.sinks.registry import Output, StreamInfo
from simrun.sources import BadFrame, Frame
from simtool.data.annotations import AnnotatedImage, AnnotatedSet
from simtool.evaluation.predictions import Predictions, read_predictions
from simtool.evaluation.text_metrics import Counts, Scores, count_image, score

log = logging.getLogger(__name__)

SCHEMA: Final = "simtool-eval/1"


@dataclass(frozen=True)
class ModelRecord:
    """What made the predictions."""

    name: str
    sha256: str | None
    """Of `localizer.onnx`; None where the predictions do not say."""
    side: int | None = None
    """Working side in pixels; this and the thresholds are None for predictions from a file."""
    map_threshold: float | None = None
    region_threshold: float | None = None
    task: Task = Task.TEXT
    """What it finds; of predictions from a file it is not known, and text is what is scored."""


@dataclass(frozen=True)
class ImageScore:
    """One picture's part in the result."""

    image: AnnotatedImage
    scores: Scores
    merit: float
    """What pictures are ranked by, 0 to 1: px F1; cov50 where the annotations are incomplete; the
    share of the picture that is not flagged where it holds no text."""


@dataclass(frozen=True)
class Evaluation:
    """Scores of a model on a data set, and all that is needed to get them again."""

    model: ModelRecord
    dataset: AnnotatedSet
    dataset_sha256: str
    predictions: Predictions
    scores: Mapping[str, Mapping[str, Scores]]
    """By data set, `all` first, and by kind (`quad`, `aabb`)."""
    ranking: tuple[ImageScore, ...]
    """Pictures that could be read, best first."""
    bad: Mapping[str, str]
    """Pictures of the set that could not be read, by base name; they count as empty."""
    missing: tuple[str, ...]
    """Pictures without a prediction; they count as empty too."""

    @property
    def median_ms(self) -> float | None:
        """Median time of a picture, reading included, where it was recorded."""
        times = self.predictions.latency_ms
        return median(times) if times else None

    def to_json(self, command: str) -> dict[str, Any]:
        """The content of scores.json; `command` is the command line that led here."""
        return {
            "schema": SCHEMA,
            # What kind of model it is shows in which other files are there.
            "model": {k: v for k, v in vars(self.model).items() if k != "task"},
            "dataset": self.dataset.name,
            "dataset_sha256": self.dataset_sha256,
            "images": len(self.dataset.images),
            "bad": dict(self.bad),
            "missing": list(self.missing),
            "median_ms": None if self.median_ms is None else round(self.median_ms, 3),
            "command": command,
            "versions": _versions(),
            "scores": {
                name: {kind: scores.to_json() for kind, scores in kinds.items()}
                for name, kinds in self.scores.items()
            },
            "pictures": {
                one.image.file: {"merit": round(one.merit, 4), **one.scores.to_json()}
                for one in self.ranking
            },
        }


class AnnotatedSource:
    """The pictures of a data set as a source of `simrun`."""

    live = False
    rate: float | None = None

    def __init__(self, dataset: AnnotatedSet) -> None:
        """Take the pictures in the set's order."""
        self.name = str(dataset.folder)
        self.length: int | None = len(dataset.images)
        self._dataset = dataset

    def __iter__(self) -> Iterator[Frame | BadFrame]:
        """Each picture, or why it cannot be used: unreadable, or not of the annotated size."""
        for index, image in enumerate(self._dataset.images):
            path = self._dataset.path(image)
            start = time.perf_counter()
            try:
                pixels = read_annotated(path, image)
            except SourceError as error:
                yield BadFrame(index, str(path), str(error))
                continue
            seconds = time.perf_counter() - start
            yield Frame(pixels, index, 0.0, file=str(path), capture_s=seconds)

    def close(self) -> None:
        """Nothing is held open."""


def read_annotated(path: Path, image: AnnotatedImage) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Read a picture of a data set, (H, W) or (H, W, 3) BGR uint8.

    Raises:
        SourceError: it cannot be read, or its annotations are for another size.
    """
    pixels = read_image(path)
    height, width = pixels.shape[:2]
    if (width, height) != (image.width, image.height):
        raise SourceError(
            f"{path} is {width}x{height} pixels, its annotations are for "
            f"{image.width}x{image.height}; correct one of them"
        )
    return pixels


def set_thresholds(
    localizer: Localizer, map_threshold: float | None, region_threshold: float | None
) -> None:
    """Put other thresholds in the place of the bundle's; None keeps one.

    Raises:
        UsageError: a threshold is out of range.
    """
    if map_threshold is not None:
        if not 0 < map_threshold < float("inf"):
            raise UsageError(f"--map-threshold is {map_threshold}; it must be above 0")
        localizer.region_options = replace(localizer.region_options, map_threshold=map_threshold)
    if region_threshold is not None:
        if not 0 <= region_threshold <= 1:
            raise UsageError(f"--region-threshold is {region_threshold}; it must be 0 to 1")
        localizer.region_options = replace(
            localizer.region_options, region_threshold=region_threshold
        )


def predict(
    localizer: Localizer,
    dataset: AnnotatedSet,
    target: Path,
    advance: Advance = lambda _: None,
) -> ModelRecord:
    """Run a model over a data set and write its predictions as `simrun --jsonl` does.

    A picture that cannot be used is logged and has an `error` in its line.

    Args:
        localizer: the model.
        dataset: the pictures.
        target: file of JSON lines to write.
        advance: told of each picture, for a display of progress.

    Raises:
        OutputError: the file is there already or cannot be written.
    """
    meta, source = localizer.meta, AnnotatedSource(dataset)
    info = StreamInfo(meta.name, localizer.bundle.sha256, source.name, source.rate)
    sink = JsonlSink(str(target), info)
    run(source, localizer, [Output(str(target), sink)], on_frame=lambda _: advance(1))
    return ModelRecord(
        name=meta.name,
        sha256=localizer.bundle.sha256,
        side=localizer.side,
        map_threshold=localizer.region_options.map_threshold,
        region_threshold=localizer.region_options.region_threshold,
        task=meta.task,
    )


def evaluate(dataset: AnnotatedSet, predictions_file: Path, model: ModelRecord) -> Evaluation:
    """Score the predictions in a file against a data set.

    Raises:
        SourceError: the predictions cannot be read, or none of them is for a picture of the set.
    """
    predictions = read_predictions(predictions_file)
    names = {image.name for image in dataset.images}
    if names.isdisjoint(predictions.quads) and names.isdisjoint(predictions.errors):
        raise SourceError(
            f"{predictions_file} has no prediction for any picture of {dataset.folder}; "
            "they are matched by base name"
        )
    known = {*predictions.quads, *predictions.errors}
    missing = tuple(image.file for image in dataset.images if image.name not in known)
    if missing:
        log.warning(
            "no prediction for %d of %d pictures (first: %s); they count as empty",
            *(len(missing), len(dataset.images), missing[0]),
        )
    return Evaluation(
        model=replace(model, sha256=model.sha256 or predictions.model_sha256),
        dataset=dataset,
        dataset_sha256=dataset.sha256(),
        predictions=predictions,
        scores=score(dataset.images, predictions.quads),
        ranking=_rank(dataset, predictions),
        bad={name: error for name, error in predictions.errors.items() if name in names},
        missing=missing,
    )


def _rank(dataset: AnnotatedSet, predictions: Predictions) -> tuple[ImageScore, ...]:
    """Pictures that could be read, the best first; equals by file name."""
    ranking = [
        _score_image(image, count_image(image, predictions.quads.get(image.name, ()))["quad"])
        for image in dataset.images
        if image.name not in predictions.errors
    ]
    return tuple(sorted(ranking, key=lambda one: (-one.merit, one.image.file)))


def _score_image(image: AnnotatedImage, counts: Counts) -> ImageScore:
    scores = Scores.of(counts)
    if counts.regions == 0:
        return ImageScore(image, scores, 1 - scores.flagged)
    return ImageScore(image, scores, scores.px_f1 if image.exhaustive else scores.cov50)


def _versions() -> dict[str, str]:
    return {
        "similarnet": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "onnxruntime": ort.__version__,
        "machine": platform.machine(),
    }
