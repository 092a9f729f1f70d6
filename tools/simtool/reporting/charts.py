"""Drawings of a report, each as an SVG for the page and a PNG for elsewhere.

The SVGs take the page's text colour, so that they are legible in light and in dark.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from simrun.types import Floats

_INK: Final = "#123457"
"""Stands for the page's text colour: replaced in the SVG by `currentColor`."""
_BLUE: Final = "#3b82d6"
_ORANGE: Final = "#e07b26"
_WIDTH_INCHES: Final = 4.8
"""Narrow, so that the text is legible where the page is as narrow as a phone."""
_MOST_BARS: Final = 64
"""Bars that a drawing grows with; more of them become thinner."""


@dataclass(frozen=True)
class Chart:
    """One drawing."""

    svg: str
    """An <svg> element to be put into a page."""
    png: bytes
    """A file on white ground."""


def draw_training(losses: Sequence[float], accuracies: Sequence[float]) -> Chart:
    """Loss and test accuracy (fractions) after each epoch."""
    with _style():
        figure = Figure(figsize=(_WIDTH_INCHES, 3.6), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True)
        epochs = np.arange(1, len(losses) + 1)
        upper.plot(epochs, losses, "o-", color=_BLUE, markersize=3)
        upper.set_ylabel("training loss")
        upper.set_yscale("log")
        upper.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        upper.yaxis.set_major_formatter("{x:g}")
        upper.yaxis.set_minor_formatter(NullFormatter())
        lower.plot(epochs, [100 * a for a in accuracies], "o-", color=_ORANGE, markersize=3)
        lower.set_ylabel("test accuracy, %")
        lower.set_xlabel("epoch")
        lower.xaxis.set_major_locator(MaxNLocator(integer=True))
        return _render(figure, "training")


def draw_filters(kernels: Floats, harm: Floats, low: Floats, high: Floats, what: str) -> Chart:
    """The filters' kernels, and beside each how much worse it gets without it.

    Args:
        kernels: (K, I, h, w) weights of K filters over I input channels.
        harm: (K,) change when filter i is blocked, positive where the filter helps.
        low: (K,) lower end of its interval.
        high: (K,) upper end.
        what: name of the horizontal axis.
    """
    count = len(kernels)
    with _style():
        figure = Figure(figsize=(_WIDTH_INCHES, 0.9 + 0.27 * count), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=[3, 2])
        limit = float(np.abs(kernels).max()) or 1.0
        extent = (0.0, float(kernels.shape[1]), count - 0.5, -0.5)
        left.imshow(
            _tile(kernels), cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", extent=extent
        )
        left.set_ylabel("filter")
        left.set_xlabel("input channel")
        left.set_xticks(np.arange(kernels.shape[1]) + 0.5, np.arange(kernels.shape[1]))
        left.set_yticks(range(count))
        _bars(right, harm)
        right.hlines(range(count), low, high, color=_INK, linewidth=1)
        right.set_xlabel(what)
        return _render(figure, "filters")


def draw_weights(weights: Mapping[str, Floats]) -> Chart:
    """The weights (K,) of several weightings side by side, each by its share of sum |w|."""
    count = len(next(iter(weights.values())))
    columns = 3
    rows = -(-len(weights) // columns)
    with _style():
        height = rows * (0.6 + 0.15 * min(count, _MOST_BARS))
        figure = Figure(figsize=(_WIDTH_INCHES, height), layout="constrained")
        axes = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
        for axis, (name, values) in zip(axes, weights.items(), strict=False):
            _bars(axis, values / np.abs(values).sum())
            axis.set_title(name)
        for axis in axes[len(weights) :]:
            axis.set_visible(False)
        axes[0].set_ylim(count - 0.5, -0.5)
        for axis in axes[::columns]:
            axis.set_ylabel("filter")
        return _render(figure, "weights")


def draw_importance(harm: Floats, low: Floats, high: Floats, what: str) -> Chart:
    """How much worse it gets without each filter, the most important first.

    Args:
        harm: (K,) change when a filter is blocked, positive where it helps.
        low: (K,) lower end of its interval.
        high: (K,) upper end.
        what: name of the vertical axis.
    """
    order = np.argsort(-harm, kind="stable")
    ranks = np.arange(1, len(order) + 1)
    with _style():
        figure = Figure(figsize=(_WIDTH_INCHES, 2.6), layout="constrained")
        axis = figure.subplots()
        axis.fill_between(ranks, low[order], high[order], color=_BLUE, alpha=0.3, linewidth=0)
        axis.plot(ranks, harm[order], color=_BLUE, marker="." if len(order) <= _MOST_BARS else "")
        axis.axhline(0, color=_INK, linewidth=0.8)
        axis.set_xlabel("filters by importance")
        axis.set_ylabel(what)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        return _render(figure, "importance")


def draw_deletion(
    blocked: Sequence[int],
    by_harm: Sequence[float],
    by_norm: Sequence[float] | None,
    random: Sequence[Sequence[float]],
) -> Chart:
    """Accuracy (fractions) against the number of filters blocked, by the order they go in."""
    with _style():
        figure = Figure(figsize=(_WIDTH_INCHES, 2.8), layout="constrained")
        axis = figure.subplots()
        rows = 100 * np.array(random)
        axis.fill_between(blocked, rows.min(0), rows.max(0), color=_INK, alpha=0.15, linewidth=0)
        axis.plot(blocked, rows.mean(0), color=_INK, linewidth=1, label="random, range and mean")
        if by_norm is not None:
            axis.plot(
                blocked, 100 * np.array(by_norm), color=_ORANGE, label="largest weights first"
            )
        axis.plot(blocked, 100 * np.array(by_harm), color=_BLUE, label="most important first")
        axis.set_xlabel("filters blocked")
        axis.set_ylabel("accuracy, %")
        axis.legend(frameon=False, labelcolor=_INK)
        return _render(figure, "deletion")


def _style() -> AbstractContextManager[None]:
    """The look that all drawings share, for as long as the block lasts."""
    return mpl.rc_context(
        {
            "svg.fonttype": "none",
            "font.family": "sans-serif",
            "font.size": 9,
            "text.color": _INK,
            "axes.labelcolor": _INK,
            "axes.edgecolor": _INK,
            "axes.titlesize": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "xtick.color": _INK,
            "ytick.color": _INK,
        }
    )


def _bars(axis: Axes, values: Floats) -> None:
    colours = [_BLUE if value >= 0 else _ORANGE for value in values]
    axis.barh(range(len(values)), values, color=colours, height=0.7)
    axis.axvline(0, color=_INK, linewidth=0.8)
    axis.xaxis.set_major_locator(MaxNLocator(nbins=4))


def _tile(kernels: Floats) -> Floats:
    """(K, I, h, w) -> one picture, a row a filter, with a blank line between kernels."""
    padded = np.pad(kernels, ((0, 0), (0, 0), (0, 1), (0, 1)), constant_values=np.nan)
    count, channels, height, width = padded.shape
    return padded.transpose(0, 2, 1, 3).reshape(count * height, channels * width)


def _render(figure: Figure, name: str) -> Chart:
    """Both files; `name` keeps the ids of several SVGs on one page apart."""
    png, svg = io.BytesIO(), io.StringIO()
    figure.savefig(png, format="png", dpi=160, facecolor="white")
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(svg, format="svg", transparent=True, metadata={"Date": None})
    text = svg.getvalue()
    element = text[text.index("<svg") :].replace(_INK, "currentColor")
    # The groups' names ("axes_1", "xtick_2", ...) are alike in every drawing, and unused.
    element = re.sub(r' id="[\w.]+_\d+"', "", element)
    return Chart(element, png.getvalue())
