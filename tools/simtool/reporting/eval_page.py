"""What `simtool eval` shows: a table for the terminal, REPORT.md, and the page of pictures."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from simtool.data.annotations import Corners
from simtool.evaluation.evaluate import Evaluation, ImageScore, read_annotated
from simtool.evaluation.text_metrics import FIGURES, Scores
from simtool.reporting.html import facts, grid, page, paragraph, picture, shrink, table

_SHOWN: Final = 9
"""Pictures at either end of the ranking."""
_WIDTH: Final = 640
"""Width of the embedded pictures in pixels."""
_TRUE_BGR: Final = (60, 200, 255)
_IGNORED_BGR: Final = (170, 170, 170)
_PREDICTED_BGR: Final = (255, 90, 200)

_DEFINITIONS: Final = (
    "px P/R/F1: precision, recall and F1 over pixels, union of the predicted quads against union "
    "of the true ones, every picture weighing the same. line F1: words joined into lines, matched "
    "one to one at IoU 0.5 or more. cov50: share of true regions covered by at least one half. "
    "flagged: share of the text-free area under predictions. Ignored regions count for nothing; "
    "pictures annotated in part count for cov50 alone. 'images' is the number annotated in full. "
    "aabb: the predictions' axis-aligned hulls."
)


def text_table(evaluation: Evaluation) -> str:
    """The scores as lines of text."""
    columns = ["set", "kind", *FIGURES.values()]
    rows = [columns, *_rows(evaluation)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(columns))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def markdown(evaluation: Evaluation, command: str) -> str:
    """The content of REPORT.md."""
    columns = ["set", "kind", *FIGURES.values()]
    lines = [
        f"# {evaluation.model.name} on {evaluation.dataset.name}",
        "",
        "| " + " | ".join(columns) + " |",
        "| --- | --- |" + " ---: |" * len(FIGURES),
        *("| " + " | ".join(row) + " |" for row in _rows(evaluation)),
        "",
        _DEFINITIONS,
        "",
        *(f"- {name}: {value}" for name, value in _facts(evaluation, command)),
    ]
    if evaluation.bad:
        lines += ["", "Pictures that could not be used, counted as empty:", ""]
        lines += [f"- {name}: {error}" for name, error in evaluation.bad.items()]
    return "\n".join(lines) + "\n"


def html(evaluation: Evaluation, command: str) -> str:
    """The content of index.html.

    Raises:
        SourceError: a picture that was read before cannot be read now.
    """
    best, worst = _ends(evaluation.ranking)
    body = [
        table(["set", "kind", *FIGURES.values()], _rows(evaluation)),
        paragraph(_DEFINITIONS, soft=True),
        facts(_facts(evaluation, command)),
        _legend(),
        "<h2>Worst pictures</h2>",
        grid(_figures(evaluation, worst)),
    ]
    if best:
        body += ["<h2>Best pictures</h2>", grid(_figures(evaluation, best))]
    if evaluation.bad:
        body += ["<h2>Pictures that could not be used</h2>"]
        body += [paragraph("They count as empty."), facts(evaluation.bad.items())]
    return page(f"{evaluation.model.name} on {evaluation.dataset.name}", body)


def draw_quads(
    image: NDArray[np.uint8],
    outlines: Iterable[tuple[Sequence[Corners], tuple[int, int, int]]],
    scale: float = 1.0,
) -> NDArray[np.uint8]:
    """A (H, W, 3) BGR copy of the picture with quads outlined.

    Args:
        image: (H, W) or (H, W, 3) BGR, uint8.
        outlines: groups of quads, each with its colour (B, G, R).
        scale: pixels of `image` per unit of the quads' coordinates.
    """
    canvas = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image.copy()
    for quads, colour in outlines:
        for quad in quads:
            corners = np.round(np.array(quad) * scale).astype(np.int32)
            # A dark rim keeps the outline visible on any ground.
            cv2.polylines(canvas, [corners], True, (0, 0, 0), 3, cv2.LINE_AA)
            cv2.polylines(canvas, [corners], True, colour, 2, cv2.LINE_AA)
    return np.asarray(canvas, np.uint8)


def _rows(evaluation: Evaluation) -> Iterator[list[str]]:
    for name, kinds in evaluation.scores.items():
        for kind, scores in kinds.items():
            yield [name, kind, *_cells(scores)]


def _cells(scores: Scores) -> list[str]:
    """The figures as texts; a dash for what was not measured on any picture."""
    measured = {"images", "cov50"} if scores.images == 0 else set(FIGURES.values())
    return [
        "-" if name not in measured else f"{value:.3f}" if isinstance(value, float) else str(value)
        for name, value in scores.to_json().items()
    ]


def _facts(evaluation: Evaluation, command: str) -> Iterator[tuple[str, str]]:
    model = evaluation.model
    yield "model", f"{model.name}, SHA-256 {model.sha256 or 'not recorded'}"
    if model.side is not None:
        yield "working side", f"{model.side} px"
        yield "thresholds", f"map {model.map_threshold:g}, region {model.region_threshold:g}"
    yield "data set", f"{evaluation.dataset.name}, SHA-256 {evaluation.dataset_sha256}"
    yield "pictures", _count(evaluation)
    if evaluation.median_ms is not None:
        yield "time", f"{evaluation.median_ms:.1f} ms a picture (median, reading included)"
    yield "command", command


def _count(evaluation: Evaluation) -> str:
    text = str(len(evaluation.dataset.images))
    if evaluation.bad:
        text += f", {len(evaluation.bad)} could not be used"
    if evaluation.missing:
        text += f", {len(evaluation.missing)} without a prediction"
    return text


def _ends(
    ranking: tuple[ImageScore, ...],
) -> tuple[tuple[ImageScore, ...], tuple[ImageScore, ...]]:
    """The best and the worst pictures, each in that order, none in both."""
    shown = min(_SHOWN, (len(ranking) + 1) // 2)
    return ranking[: min(shown, len(ranking) - shown)], ranking[::-1][:shown]


def _legend() -> str:
    parts = [
        f'<span class="key" style="background: rgb({r} {g} {b})"></span> {name}'
        for name, (b, g, r) in (
            ("true region", _TRUE_BGR),
            ("ignored", _IGNORED_BGR),
            ("predicted", _PREDICTED_BGR),
        )
    ]
    return f"<p>{' &nbsp; '.join(parts)}</p>"


def _figures(evaluation: Evaluation, ranking: Sequence[ImageScore]) -> Iterator[str]:
    for one in ranking:
        image = one.image
        pixels = read_annotated(evaluation.dataset.path(image), image)
        small = shrink(pixels, _WIDTH)
        outlines = (
            ([r.quad for r in image.regions if not r.ignore], _TRUE_BGR),
            ([r.quad for r in image.regions if r.ignore], _IGNORED_BGR),
            (evaluation.predictions.quads.get(image.name, ()), _PREDICTED_BGR),
        )
        drawn = draw_quads(small, outlines, small.shape[1] / pixels.shape[1])
        yield picture(drawn, _caption(one), width=_WIDTH)


def _caption(one: ImageScore) -> str:
    scores, image = one.scores, one.image
    if not any(not region.ignore for region in image.regions):
        return f"{image.file}: no text, {scores.flagged:.1%} flagged"
    if not image.exhaustive:
        return f"{image.file}: cov50 {scores.cov50:.2f} (annotated in part)"
    return (
        f"{image.file}: px F1 {scores.px_f1:.2f} (P {scores.px_precision:.2f}, "
        f"R {scores.px_recall:.2f}), cov50 {scores.cov50:.2f}"
    )


def command_line(arguments: Sequence[str]) -> str:
    """The command line as one would type it again."""
    return shlex.join(["simtool", *arguments])
