"""The measurement as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.accuracy.peers.fronts import front, score_at
from benchmarks.harness.benchmark import heading, table
from benchmarks.harness.record import Record

COLUMNS = {
    "px_F1": "px F1",
    "line_F1": "line F1",
    "cov50": "cov50",
    "flagged": "flagged",
    "recall_cov50": "SVT cov50",
    "flagged_notext": "flagged, no text",
}
"""Figure -> its heading; flagged is better when it is low."""
COMPARED = ("px_F1", "line_F1", "cov50", "recall_cov50")
SHOWN_SIDES = (640, 320)
"""Of detectors that are not ours: all are in the record and the plot."""
REFERENCE = "PP-OCRv6 tiny @ 640"


def to_markdown(record: Record) -> str:
    """Tables of a measurement with the command that made it."""
    note = (
        f"one thread, {record['photos']} photos, median process-CPU ms of a whole call, decoded "
        "frame to quads, detectors in random turns; rotated quads, photos pooled; "
        "`accuracy/peers/peers.json` and the plot have every side"
    )
    bold = (
        "Bold: no detector of the run is both as cheap and as good. x: CPU time over that of "
        f"{REFERENCE}."
    )
    parts = [heading(record, note), bold, _main_table(record["detectors"])]
    parts += _equal_cost(record["detectors"])
    if record["missing"]:
        parts.append("\n".join(f"Not in this run: {reason}." for reason in record["missing"]))
    return "\n\n".join([*parts, "![Scores against CPU time](accuracy/peers/fronts.png)"])


def _main_table(detectors: Sequence[Record]) -> str:
    reference = [d["cpu_ms"]["median"] for d in detectors if d["name"] == REFERENCE]
    best = {
        figure: set(front([_point(d, figure) for d in detectors]))
        for figure in COLUMNS
        if "flagged" not in figure
    }
    rows = []
    for i, detector in enumerate(detectors):
        if not detector["ours"] and detector["side"] not in SHOWN_SIDES:
            continue
        model, cost = detector["model"], detector["cpu_ms"]["median"]
        size = [f"{model['numbers']:,}", f"{model['size'] / 1000:,.0f}"] if model else ["-", "-"]
        ratio = f"{cost / reference[0]:.2f}" if reference else "-"
        cells = [_cell(detector, figure, i in best.get(figure, ())) for figure in COLUMNS]
        rows.append([detector["name"], *size, f"{cost:.1f}", ratio, *cells])
    return table(["detector", "numbers", "KB", "CPU ms", "x", *COLUMNS.values()], rows)


def _equal_cost(detectors: Sequence[Record]) -> list[str]:
    """Our detectors beside each family of networks shrunk to the same cost."""
    families = dict.fromkeys(d["family"] for d in detectors if d["model"] and not d["ours"])
    ours = [d for d in detectors if d["ours"]]
    if not ours or not families:
        return []
    rows = []
    for detector in ours:
        cost = detector["cpu_ms"]["median"]
        cells = [f"{detector['name']}, {cost:.1f} ms"]
        cells.append(", ".join(_cell(detector, figure, bold=False) for figure in COMPARED))
        for family in families:
            members = [d for d in detectors if d["family"] == family]
            cells.append(", ".join(_shrunk(members, figure, cost) for figure in COMPARED))
        rows.append(cells)
    title = (
        f"{', '.join(COLUMNS[f] for f in COMPARED)} at equal CPU time (a peer's score between its "
        "two nearest sides; - where it has none):"
    )
    return [title, table(["detector", "its own", *families], rows)]


def _shrunk(members: Sequence[Record], figure: str, cost: float) -> str:
    if any(member["figures"][figure] is None for member in members):
        return "-"
    value = score_at([_point(member, figure) for member in members], cost)
    return "-" if value is None else f"{value:.3f}"


def _point(detector: Record, figure: str) -> tuple[float, float]:
    value = detector["figures"][figure]
    return detector["cpu_ms"]["median"], -1.0 if value is None else value


def _cell(detector: Record, figure: str, bold: bool) -> str:
    value = detector["figures"][figure]
    if value is None:
        return "-"
    return f"**{value:.3f}**" if bold else f"{value:.3f}"
