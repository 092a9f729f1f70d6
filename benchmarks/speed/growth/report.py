"""The measurement as tables, slopes and a plot."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.harness.benchmark import heading, table
from benchmarks.harness.record import Record, spread
from benchmarks.speed.growth.points import OURS, OWN_SIDE, PEER, THREADS

Quantity = Callable[[Record], float]
"""A figure of a point."""
Axes = Any
"""matplotlib's; it comes with the extra `train` only."""

_LARGE_PIXELS: Final = 640 * 480
"""Slopes are also fitted from here on, where what a call costs in any case counts little."""
_MANY: Final = 20
"""The same for regions."""
COLOURS: Final = {OURS: "#c1121f", PEER: "#1d4e89"}


def to_markdown(record: Record) -> str:
    """Tables with the command that made them."""
    note = (
        f"{record['machine']['cores']} cores that others use too, wall over CPU time "
        f"{crowding(record):.2f} in the median of one thread; {record['rounds']} rounds over all "
        "points in random turns, each in a process of its own; median process-CPU ms (quartiles), "
        "peak resident MiB of the process"
    )
    slopes_title = (
        "Slopes on logarithms: 1 is in proportion, 0 is not at all. Memory is what is above the "
        f"imports and the frame. In brackets: from 640x480, or from {_MANY} regions, on."
    )
    parts = [
        "The same poster at every size; at the detector's own side, and with no shrinking:",
        _pixels_table(record),
        "Words on a page of 1920x1080, not shrunk; stages in CPU ms; the peer does not read:",
        _lines_table(record),
        "Threads; wall ms, median (quartiles), on cores that others use too:",
        _threads_table(record),
        slopes_title,
        _slopes_list(record),
    ]
    plot = "![Time and memory against pixels, regions and threads](speed/growth/growth.png)"
    return "\n\n".join([heading(record, note), *parts, plot])


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Exponent of y over x: least squares on logarithms.

    Raises:
        ValueError: there are fewer than two different x.
    """
    if len(set(xs)) < 2:
        raise ValueError(f"a slope needs two different points, got x = {sorted(set(xs))}")
    us, vs = [math.log(x) for x in xs], [math.log(y) for y in ys]
    u, v = sum(us) / len(us), sum(vs) / len(vs)
    over = sum((a - u) * (b - v) for a, b in zip(us, vs, strict=True))
    return over / sum((a - u) ** 2 for a in us)


@dataclass(frozen=True)
class Slope:
    """How one thing grows with another."""

    what: str
    detector: str
    whole: float
    """Over all points."""
    large: float | None
    """Over the large ones; None where there are too few."""


def slopes(record: Record) -> list[Slope]:
    """What grows with what."""
    return [
        fit(what, detector, points, x, y)
        for detector in detectors(record)
        for what, points, x, y in _relations(record, detector)
    ]


def fit(
    what: str,
    detector: str,
    points: Sequence[Record],
    x: Quantity,
    y: Quantity,
) -> Slope:
    """The slopes of y over x."""
    from_ = _LARGE_PIXELS if x is frame_pixels else _MANY
    large = [p for p in points if x(p) >= from_]
    return Slope(
        what,
        detector,
        slope([x(p) for p in points], [y(p) for p in points]),
        slope([x(p) for p in large], [y(p) for p in large]) if len(large) > 1 else None,
    )


def _relations(
    record: Record, detector: str
) -> Iterator[tuple[str, Sequence[Record], Quantity, Quantity]]:
    for sweep, name in (("side", "pixels, not shrunk"), ("frame", "pixels, shrunk to its side")):
        points = select(record, sweep, detector)
        yield f"CPU time by {name}", points, frame_pixels, cpu
        yield f"memory by {name}", points, frame_pixels, memory
    points = [p for p in select(record, "lines", detector) if p["found"]]
    yield "CPU time by regions", points, found, cpu
    for stage in ("regions", "classify") if detector == OURS else ():
        yield f"stage {stage} by regions", points, found, stage_cpu(stage)


def crowding(record: Record) -> float:
    """Wall over CPU time of the points with one thread, median: 1 where nothing else ran."""
    alone = [p for p in record["points"] if p["threads"] == 1]
    return float(statistics.median(p["wall_ms"]["median"] / p["cpu_ms"]["median"] for p in alone))


def detectors(record: Record) -> list[str]:
    """Names of the detectors that were measured."""
    return list(dict.fromkeys(point["detector"] for point in record["points"]))


def select(record: Record, sweep: str, detector: str) -> list[Record]:
    """The points of a sweep, in the order they were listed."""
    return [p for p in record["points"] if (p["sweep"], p["detector"]) == (sweep, detector)]


def cpu(point: Record) -> float:
    """Median CPU time, ms."""
    return float(point["cpu_ms"]["median"])


def memory(point: Record) -> float:
    """Peak memory above that of the imports and the frame, MiB."""
    return max(float(point["peak_mib"] - point["start_mib"]), 0.01)


def found(point: Record) -> float:
    """Regions that were found."""
    return float(point["found"])


def frame_pixels(point: Record) -> float:
    """Pixels of the frame as captured."""
    return float(point["width"] * point["height"])


def stage_cpu(name: str) -> Quantity:
    """Median CPU time of a stage, ms."""
    return lambda point: float(point["stages_cpu_ms"][name])


def _pixels_table(record: Record) -> str:
    names = detectors(record)
    sides = [*(f"{n} @ {OWN_SIDE[n]}" for n in names), *(f"{n} @ frame" for n in names)]
    columns = [select(record, sweep, name) for sweep in ("frame", "side") for name in names]
    rows = [
        [f"{row[0]['width']}x{row[0]['height']}", *(cell for one in row for cell in _cost(one))]
        for row in zip(*columns, strict=True)
    ]
    heads = [head for side in sides for head in (f"{side}: CPU ms", "MiB")]
    return table(["frame", *heads], rows)


def _lines_table(record: Record) -> str:
    peers = {point["lines"]: point for point in select(record, "lines", PEER)}
    stages = ("infer", "regions", "classify")
    rows = []
    for point in select(record, "lines", OURS):
        peer = peers.get(point["lines"])
        cpu_ms, mib = _cost(point)
        cells = [point["lines"], point["found"], cpu_ms]
        cells += [f"{point['stages_cpu_ms'][stage]:.1f}" for stage in stages]
        rows.append([*cells, mib, *([peer["found"], *_cost(peer)] if peer else "---")])
    heads = ["words", f"{OURS}: found", "CPU ms", *stages, "MiB"]
    return table([*heads, f"{PEER}: found", "CPU ms", "MiB"], rows)


def _threads_table(record: Record) -> str:
    cells: dict[str, list[str]] = {}
    points = [p for p in record["points"] if p["sweep"] == "threads"]
    for point in sorted(points, key=lambda p: (p["detector"] != OURS, p["width"], p["threads"])):
        where = f"{point['detector']} @ {point['side']}, {point['width']}x{point['height']}"
        times = f"{spread(point['wall_ms'], 1)}, {point['cpu_ms']['median']:.1f}"
        cells.setdefault(where, []).append(f"{times}, {point['peak_mib']:.0f}")
    heads = [f"{number} thread{'s' * (number > 1)}" for number in THREADS]
    return table(["wall ms, CPU ms, MiB", *heads], [[k, *v] for k, v in cells.items()])


def _slopes_list(record: Record) -> str:
    lines = []
    for name in detectors(record):
        found = [one for one in slopes(record) if one.detector == name]
        cells = [
            f"{one.what} {_slope_text(one.whole)}"
            + ("" if one.large is None else f" ({_slope_text(one.large)})")
            for one in found
        ]
        lines.append(f"- {name}: {', '.join(cells)}")
    return "\n".join(lines)


def _cost(point: Record) -> tuple[str, str]:
    """CPU time and memory as two cells."""
    return spread(point["cpu_ms"], 1), f"{point['peak_mib']:.0f}"


def _slope_text(value: float) -> str:
    """To a hundredth, with no minus before a zero."""
    return f"{round(value, 2) + 0.0:.2f}"


def draw(record: Record, path: Path) -> None:
    """Write the plot as a PNG."""
    # Not pyplot: it would look for a display.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7.5), layout="constrained")
    panels = figure.subplots(2, 2)
    for panel, read in ((panels[0, 0], cpu), (panels[0, 1], memory)):
        _draw_pixels(panel, record, read)
    _draw_lines(panels[1, 0], record)
    _draw_threads(panels[1, 1], record)
    figure.savefig(path, dpi=100)


def _draw_pixels(panel: Axes, record: Record, read: Quantity) -> None:
    for detector in detectors(record):
        for sweep, style, label in (
            ("side", "o-", "not shrunk"),
            ("frame", "o--", f"shrunk to {OWN_SIDE[detector]}"),
        ):
            points = select(record, sweep, detector)
            xs, ys = [frame_pixels(p) for p in points], [read(p) for p in points]
            text = f"{detector}, {label}: slope {_slope_text(slope(xs, ys))}"
            panel.plot(xs, ys, style, color=COLOURS[detector], label=text, markersize=4)
    unit = "CPU ms a call" if read is cpu else "peak MiB above imports and frame"
    _dress(panel, "pixels of the frame", unit)


def _draw_lines(panel: Axes, record: Record) -> None:
    for detector in detectors(record):
        points = [p for p in select(record, "lines", detector) if p["found"]]
        xs = [found(p) for p in points]
        curves: list[tuple[str, str, Quantity]] = [("a call", "o-", cpu)]
        if detector == OURS:
            curves += [(name, "--", stage_cpu(name)) for name in ("classify", "regions")]
        for (name, style, read), width in zip(curves, (1.8, 1.2, 0.7), strict=False):
            ys = [read(p) for p in points]
            text = f"{detector}, {name}: slope {_slope_text(slope(xs, ys))}"
            look = {"color": COLOURS[detector], "linewidth": width, "markersize": 4}
            panel.plot(xs, ys, style, label=text, **look)
    _dress(panel, "regions found on 1920x1080, not shrunk", "CPU ms")


def _draw_threads(panel: Axes, record: Record) -> None:
    for detector in detectors(record):
        for width, style in ((640, "o--"), (1920, "o-")):
            points = [p for p in select(record, "threads", detector) if p["width"] == width]
            walls = [p["wall_ms"] for p in points]
            errors = [
                [wall["median"] - wall["lower"] for wall in walls],
                [wall["upper"] - wall["median"] for wall in walls],
            ]
            panel.errorbar(
                [p["threads"] for p in points],
                [wall["median"] for wall in walls],
                errors,
                fmt=style,
                color=COLOURS[detector],
                label=f"{detector}, {width} wide at side {points[0]['side']}",
                capsize=3,
                markersize=4,
            )
    cores = record["machine"]["cores"]
    _dress(panel, f"threads, on {cores} cores that others use too", "wall ms a call, quartiles")
    # Room for the legend above the curves.
    panel.set_ylim(top=panel.get_ylim()[1] * 10)
    panel.set_xticks([1, 2, 4], ["1", "2", "4"])
    panel.xaxis.minorticks_off()


def _dress(panel: Axes, x: str, y: str) -> None:
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_xlabel(x)
    panel.set_ylabel(y)
    panel.grid(alpha=0.25)
    panel.legend(fontsize=7)
