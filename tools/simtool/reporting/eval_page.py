"""An evaluation for people: a table for the terminal, REPORT.md, and a page with pictures."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import Final

from simtool.evaluation.evaluate import Evaluation, ImageScore, read_annotated
from simtool.evaluation.text_metrics import FIGURES, Scores
from simtool.reporting.page import Table, render_page
from simtool.reporting.pictures import TRUE_BGR, Picture, draw_quads, embed, shrink

_SHOWN: Final = 9
"""Pictures at either end of the ranking."""
_WIDTH: Final = 640
"""Width of the embedded pictures in pixels."""
_IGNORED_BGR: Final = (170, 170, 170)
_PREDICTED_BGR: Final = (255, 90, 200)
_LEGEND: Final = (
    ("true region", TRUE_BGR),
    ("ignored", _IGNORED_BGR),
    ("predicted", _PREDICTED_BGR),
)
_COLUMNS: Final = ("set", "kind", *FIGURES.values())

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
    rows = [_COLUMNS, *_rows(evaluation)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_COLUMNS))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def markdown(evaluation: Evaluation, command: str) -> str:
    """The content of REPORT.md."""
    lines = [
        f"# {evaluation.model.name} on {evaluation.dataset.name}",
        "",
        "| " + " | ".join(_COLUMNS) + " |",
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
    return render_page(
        "eval.html.j2",
        f"{evaluation.model.name} on {evaluation.dataset.name}",
        scores=Table(_COLUMNS, list(_rows(evaluation))),
        definitions=_DEFINITIONS,
        particulars=list(_facts(evaluation, command)),
        legend=_LEGEND,
        worst=[_drawn(evaluation, one) for one in worst],
        best=[_drawn(evaluation, one) for one in best],
        bad=evaluation.bad,
    )


def command_line(arguments: Sequence[str]) -> str:
    """The command line as one would type it again."""
    return shlex.join(["simtool", *arguments])


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


def _drawn(evaluation: Evaluation, one: ImageScore) -> Picture:
    """A picture with what is true and what was predicted outlined, and its scores below."""
    image = one.image
    pixels = read_annotated(evaluation.dataset.path(image), image)
    small = shrink(pixels, _WIDTH)
    outlines = (
        ([r.quad for r in image.regions if not r.ignore], TRUE_BGR),
        ([r.quad for r in image.regions if r.ignore], _IGNORED_BGR),
        (evaluation.predictions.quads.get(image.name, ()), _PREDICTED_BGR),
    )
    drawn = draw_quads(small, outlines, small.shape[1] / pixels.shape[1])
    return embed(drawn, _caption(one), _WIDTH)


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
