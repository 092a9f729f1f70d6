"""Figure 2 for people: a row of pictures with captions, the table of scores, and files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from simrun.images.read import Image, to_bgr
from simtool.reporting.figure2 import MATCHED, OURS, THEIRS, Figure2Row, MaskScore, mean_scores
from simtool.reporting.page import Table
from simtool.reporting.pictures import (
    TRUE_BGR,
    Picture,
    draw_quads,
    embed,
    encode,
    false_colours,
    shrink,
)
from simtool.reporting.run_report import Figure2

_WIDTH: Final = 480
"""Width of the pictures in pixels."""
_MASKS: Final = (OURS, MATCHED, THEIRS)


def figure2_section(figure2: Figure2, checkpoint_sha256: str) -> dict[str, object]:
    """What the page's template shows of Figure 2.

    Args:
        figure2: the pictures.
        checkpoint_sha256: of the run that the page is of.
    """
    meta = figure2.localizer.meta
    return {
        "threshold": meta.map_threshold,
        "foreign": meta.training.get("checkpoint_sha256") != checkpoint_sha256,
        "scores": _score_table(figure2.comparisons),
        "rows": [_row(one) for one in figure2.comparisons],
        "bad": figure2.bad,
    }


def figure2_files(comparisons: Sequence[Figure2Row]) -> dict[str, bytes]:
    """A PNG a picture: its row side by side."""
    return {
        f"figure2-{one.name.replace('.', '-')}.png": encode(
            np.hstack([image for image, _ in _views(one)]), ".png"
        )
        for one in comparisons
    }


def score_lines(comparisons: Sequence[Figure2Row]) -> Iterator[str]:
    """A line of text for each mask of each annotated picture, then for their means."""
    for name, scores in _named_scores(comparisons):
        for whose, score in scores.items():
            precision, recall, f1 = _score_cells(score)
            yield (
                f"{name}, {whose}: P {precision} R {recall} F1 {f1}, "
                f"{score.share:.1%} of the picture"
            )


def _score_table(comparisons: Sequence[Figure2Row]) -> Table | None:
    """A row a picture, and one for the means; three columns a mask. None where none has scores."""
    shown = [whose for whose in _MASKS if mean_scores(comparisons, whose)]
    if not shown:
        return None
    columns = [f"{whose}: {name}" for whose in shown for name in ("P", "R", "F1")]
    rows = [
        [name, *(cell for whose in shown for cell in _score_cells(scores.get(whose)))]
        for name, scores in _named_scores(comparisons)
    ]
    return Table(["picture", *columns], rows)


def _named_scores(
    comparisons: Sequence[Figure2Row],
) -> Iterator[tuple[str, Mapping[str, MaskScore]]]:
    """Scores by mask of each annotated picture, then their means."""
    scored = [one for one in comparisons if one.scores]
    for one in scored:
        yield one.name, one.scores
    means = {whose: mean_scores(scored, whose) for whose in _MASKS}
    if scored:
        yield "mean", {whose: mean for whose, mean in means.items() if mean is not None}


def _score_cells(score: MaskScore | None) -> list[str]:
    """Precision, recall and F1; dashes where there is no such mask."""
    if score is None:
        return ["-"] * 3
    return [f"{value:.3f}" for value in (score.precision, score.recall, score.f1)]


def _row(one: Figure2Row) -> list[Picture]:
    return [embed(image, caption, _WIDTH) for image, caption in _views(one)]


def _views(one: Figure2Row) -> Iterator[tuple[Image, str]]:
    """Pictures of a row, (h, w, 3) BGR, at most `_WIDTH` across, each with its caption."""
    small = shrink(one.image, _WIDTH)
    scale = small.shape[1] / one.image.shape[1]
    yield draw_quads(small, [(one.boxes, TRUE_BGR)], scale), one.name
    largest = float(one.heat.max())
    heat = (255 * one.heat.clip(0) / max(largest, 1e-9)).astype(np.uint8)
    yield shrink(false_colours(heat), _WIDTH), f"H, from 0 (blue) to {largest:.2f} (red)"
    for whose, mask in one.masks.items():
        grey = np.where(mask, 255, 0).astype(np.uint8)
        yield to_bgr(shrink(grey, _WIDTH)), _mask_caption(whose, one.scores.get(whose), mask.mean())


def _mask_caption(whose: str, score: MaskScore | None, share: float) -> str:
    fit = f"precision {score.precision:.2f}, recall {score.recall:.2f}, " if score else ""
    return f"mask: {whose}" + (": " if score else ", ") + f"{fit}{share:.1%} of the picture"
