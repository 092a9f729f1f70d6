"""Words cut out of annotated pictures by their own quads, and read by the code that runs."""

from __future__ import annotations

import time

import numpy as np

from simrun.localizer import Localizer
from simrun.progress import Advance
from simtool.data.annotations import AnnotatedSet
from simtool.evaluation.evaluate import read_annotated
from simtool.evaluation.reading_metrics import (
    Judged,
    WordScores,
    edit_distance,
    is_counted,
    normalised,
)


def read_words(
    localizer: Localizer, dataset: AnnotatedSet, advance: Advance = lambda _: None
) -> WordScores:
    """Read every word that counts, one at a time.

    Args:
        localizer: the model.
        dataset: pictures with transcribed words.
        advance: told of each picture, for a display of progress.

    Raises:
        SourceError: a picture cannot be read.
        UsageError: the model reads nothing.
    """
    readings: list[Judged] = []
    spent: list[float] = []
    errors = letters = 0
    for image in dataset.images:
        advance(1)
        words = [region for region in image.regions if is_counted(region)]
        if not words:
            continue
        frame = read_annotated(dataset.path(image), image)
        for region in words:
            started = time.process_time()
            reading = localizer.read(frame, [region.quad])[0]  # type: ignore[list-item]
            spent.append(1000 * (time.process_time() - started))
            text, word = normalised(reading.text), normalised(region.text)
            readings.append(Judged(reading.probability, text == word))
            errors += edit_distance(text, word)
            letters += len(word)
    return WordScores(tuple(readings), errors, letters, float(np.median(spent or [0.0])))
