"""The fronts of a measurement as a plot: each score against the CPU time of a call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PANELS = {
    "px_F1": "px F1",
    "line_F1": "line F1",
    "cov50": "cov50",
    "recall_cov50": "SVT cov50",
    "flagged": "flagged, photos with text (low is good)",
    "flagged_notext": "flagged, photos without text (low is good)",
}
TICKS_MS = (1, 2, 4, 7, 10, 20, 40, 80)
OURS = ("#c1121f", "#f77f00", "#9d4edd", "#d62aa0")
NETWORKS = ("#1d4e89", "#2a9d8f", "#6c757d")
CLASSICAL = ("#8d99ae", "#a98467", "#7f8c4d")
MARKERS = "s^Dv"


def draw(record: Mapping[str, Any], path: Path) -> None:
    """Write the plot as a PNG: a panel a score, a curve a family, the sides written beside."""
    # Not pyplot: it would look for a display.
    from matplotlib.figure import Figure

    styles = family_styles(record["detectors"])
    figure = Figure(figsize=(13, 8.5), layout="constrained")
    panels = figure.subplots(2, 3)
    for panel, name in zip(panels.flat, PANELS, strict=True):
        for family, style in styles.items():
            draw_family(panel, record["detectors"], family, name, style)
        dress(panel, PANELS[name])
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False)
    figure.suptitle(
        f"Text detectors on {record['photos']} photos, one thread; numbers: side in pixels",
        fontsize=11,
    )
    figure.savefig(path, dpi=90)


def draw_family(
    panel: Any,  # noqa: ANN401 - matplotlib comes with the extra `train` only
    detectors: Sequence[Mapping[str, Any]],
    family: str,
    name: str,
    style: Mapping[str, Any],
) -> None:
    """One family's detectors from the cheapest to the dearest."""
    points = sorted(
        (d["cpu_ms"]["median"], d["figures"][name], d["side"])
        for d in detectors
        if d["family"] == family and d["figures"][name] is not None
    )
    costs, scores = [p[0] for p in points], [p[1] for p in points]
    panel.plot(costs, scores, label=family, **style)
    # A variant lies close to its family: its sides are the same.
    for cost, score, side in points if "," not in family else ():
        panel.annotate(
            str(side),
            (cost, score),
            (3, 4),
            textcoords="offset points",
            fontsize=6,
            color=style["color"],
        )


def dress(panel: Any, title: str) -> None:  # noqa: ANN401 - as above
    """Scales, grid and labels."""
    panel.set_xscale("log")
    panel.set_xticks(TICKS_MS, [str(tick) for tick in TICKS_MS])
    panel.xaxis.minorticks_off()
    panel.set_ylim(bottom=0)
    panel.grid(alpha=0.25)
    panel.set_title(title, fontsize=10)
    panel.set_xlabel("CPU time of a call, ms", fontsize=8)
    panel.tick_params(labelsize=8)


def family_styles(detectors: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Colours by kind of detector: ours warm and thick, networks cold, the classical ones dull.

    A variant (`FAMILY, VARIANT`) has its family's colour, dashed.
    """
    kinds: dict[str, list[str]] = {"ours": [], "network": [], "classical": []}
    for detector in detectors:
        kind = "ours" if detector["ours"] else "network" if detector["model"] else "classical"
        base = detector["family"].split(",")[0]
        if base not in kinds[kind]:
            kinds[kind].append(base)
    styles = {}
    for family in dict.fromkeys(d["family"] for d in detectors):
        base, comma, _ = family.partition(",")
        kind = next(kind for kind, bases in kinds.items() if base in bases)
        palette = {"ours": OURS, "network": NETWORKS, "classical": CLASSICAL}[kind]
        i = kinds[kind].index(base)
        styles[family] = {
            "color": palette[i % len(palette)],
            "marker": "o" if kind == "ours" else MARKERS[i % len(MARKERS)],
            "linestyle": "--" if comma else ":" if kind == "classical" else "-",
            "linewidth": 2.4 if kind == "ours" else 1.2,
            "markersize": 6 if kind == "ours" else 4,
            "zorder": 3 if kind == "ours" else 2,
        }
    return styles
