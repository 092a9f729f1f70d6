"""The measurement as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.accuracy.peers.fronts import front, score_at

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
REFERENCE = "PP-OCRv6 tiny @ 640"

Record = Mapping[str, Any]


def to_markdown(record: Record) -> str:
    """Tables of a measurement with the command that made it."""
    machine = record["machine"]
    lines = [
        f"`{record['command']}`",
        "",
        f"({record['date']}, {machine['processor']}, one thread, {record['photos']} photos, "
        f"ONNX Runtime {record['versions']['onnxruntime']}, OpenCV {record['versions']['opencv']}; "
        "median process-CPU ms of a whole call, decoded frame to quads, detectors in random turns; "
        "rotated quads, photos pooled; `peers/peers.json` has quartiles and every data set.)",
        "",
        *_main_table(record["detectors"]),
        "",
        *_equal_cost(record["detectors"]),
    ]
    if record["missing"]:
        lines += ["", *(f"Not in this run: {reason}." for reason in record["missing"])]
    lines += ["", "![Scores against CPU time](accuracy/peers/fronts.png)"]
    return "\n".join(lines)


def _main_table(detectors: Sequence[Record]) -> list[str]:
    reference = [d["cpu_ms"]["median"] for d in detectors if d["name"] == REFERENCE]
    best = {
        figure: set(front([_point(d, figure) for d in detectors]))
        for figure in COLUMNS
        if "flagged" not in figure
    }
    rows = [
        "Bold: no detector of the run is both as cheap and as good. x: CPU time over that of "
        f"{REFERENCE}.",
        "",
        "| detector | numbers | KB | CPU ms | x | " + " | ".join(COLUMNS.values()) + " |",
        "|---" * (5 + len(COLUMNS)) + "|",
    ]
    for i, detector in enumerate(detectors):
        model, cost = detector["model"], detector["cpu_ms"]["median"]
        size = f"{model['numbers']:,} | {model['size'] / 1000:,.0f}" if model else "- | -"
        ratio = f"{cost / reference[0]:.2f}" if reference else "-"
        cells = [_cell(detector, figure, i in best.get(figure, ())) for figure in COLUMNS]
        rows.append(
            f"| {detector['name']} | {size} | {cost:.1f} | {ratio} | " + " | ".join(cells) + " |"
        )
    return rows


def _equal_cost(detectors: Sequence[Record]) -> list[str]:
    """Our detectors beside each family of networks shrunk to the same cost."""
    families = dict.fromkeys(d["family"] for d in detectors if d["model"] and not d["ours"])
    ours = [d for d in detectors if d["ours"]]
    if not ours or not families:
        return []
    rows = [
        "At equal CPU time (a peer's score between its two nearest sides; - where it has none):",
        "",
        "| detector | CPU ms | " + " | ".join(COLUMNS[f] for f in COMPARED) + " |",
        "|---" * (2 + len(COMPARED)) + "|",
    ]
    for detector in ours:
        cost = detector["cpu_ms"]["median"]
        own = [_cell(detector, figure, bold=False) for figure in COMPARED]
        rows.append(f"| **{detector['name']}** | {cost:.1f} | " + " | ".join(own) + " |")
        for family in families:
            members = [d for d in detectors if d["family"] == family]
            cells = [_shrunk(members, figure, cost) for figure in COMPARED]
            rows.append(f"| {family}, shrunk | {cost:.1f} | " + " | ".join(cells) + " |")
    return rows


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
