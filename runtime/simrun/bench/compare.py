"""Two records side by side: ratios of medians with an interval, and what else differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from simrun.bench.measure import TURN, WayToRun
from simrun.errors import UsageError

COMPARED: Final = ("preprocess", "infer", "regions", "classify", "total", "cpu")

_RESAMPLES: Final = 2000
_SEED: Final = 0
_LEAST_RUNS: Final = 5
"""Runs that a series is drawn from at least: fewer would leave nothing to choose."""

Record = Mapping[str, Any]
"""A record of `simrun bench --json`, or a part of one."""


@dataclass(frozen=True)
class Ratio:
    """This record's median over the other's; below 1 this one is faster."""

    value: float
    low: float
    """2.5th percentile of the bootstrap."""
    high: float
    """97.5th percentile of the bootstrap."""


@dataclass(frozen=True)
class RecordComparison:
    """What two records say about each other."""

    ratios: Mapping[WayToRun, Mapping[str, Ratio]]
    """By kind of run that both have, then by stage; a stage that took no time is left out."""
    only_here: Sequence[WayToRun]
    only_there: Sequence[WayToRun]
    differences: Sequence[str]
    """Circumstances that are not the same, in words."""


def require_comparable(other: Record, path: str, sha256: str) -> None:
    """Refuse a record that has no samples or another model; can be asked before it is measured.

    Raises:
        UsageError: the other record is of another model, or holds figures alone.
    """
    if any("samples" not in result for result in other["results"]):
        raise UsageError(
            f"--compare {path} holds figures without the samples that an interval is drawn from; "
            "name a file as 'simrun bench --json' wrote it"
        )
    there = other["model"]
    if there["sha256"] != sha256:
        raise UsageError(
            f"--compare {path} measured another model, {there['name']} "
            f"({there['sha256'][:12]}), not {sha256[:12]}; only records of one model are compared"
        )


def kind_of(result: Record) -> WayToRun:
    """The kind of run that one of a record's results is of."""
    return WayToRun(result["side"], result["threads"], result["paced_fps"])


def compare(here: Record, there: Record, path: str) -> RecordComparison:
    """Ratios of everything that both records measured.

    Raises:
        UsageError: they are of different models or frames, or have no kind of run in common.
    """
    require_comparable(there, path, here["model"]["sha256"])
    for part in ("source", "model"):
        if here[part] != there[part]:
            raise UsageError(
                f"--compare {path} measured something else, "
                + "; ".join(_changes(part, there[part], here[part]))
                + "; only records of the same work are compared"
            )
    ours, theirs = _by_kind(here), _by_kind(there)
    shared = [kind for kind in ours if kind in theirs]
    if not shared:
        raise UsageError(
            f"--compare {path} has no side, threads and pace in common with this run: it has "
            + "; ".join(kind.describe() for kind in theirs)
        )
    return RecordComparison(
        ratios={kind: _ratios(ours[kind]["samples"], theirs[kind]["samples"]) for kind in shared},
        only_here=[kind for kind in ours if kind not in theirs],
        only_there=[kind for kind in theirs if kind not in ours],
        differences=_differences(here, there),
    )


def ratio_of_medians(these: Sequence[float], those: Sequence[float]) -> Ratio:
    """The ratio and its 95 % interval by a bootstrap over runs of successive samples.

    Samples that follow each other are alike; drawn one by one they would make the interval too
    narrow. Runs of the length of a turn are drawn instead, shorter ones from a short series.
    """
    random = np.random.default_rng(_SEED)
    drawn = _medians(np.asarray(these), random) / _medians(np.asarray(those), random)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Ratio(float(np.median(these) / np.median(those)), float(low), float(high))


def _medians(values: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """Medians of resamples of a series, (resamples,)."""
    length = min(TURN, max(1, len(values) // _LEAST_RUNS))
    runs = -(-len(values) // length)
    starts = random.integers(0, len(values) - length + 1, (_RESAMPLES, runs, 1))
    picked = (starts + np.arange(length)).reshape(_RESAMPLES, -1)[:, : len(values)]
    return np.asarray(np.median(values[picked], axis=1), np.float64)


def _ratios(these: Record, those: Record) -> dict[str, Ratio]:
    return {
        stage: ratio_of_medians(these[stage], those[stage])
        for stage in COMPARED
        if min(np.min(these[stage]), np.min(those[stage])) > 0
    }


def _by_kind(record: Record) -> dict[WayToRun, Record]:
    return {kind_of(result): result for result in record["results"]}


def _differences(here: Record, there: Record) -> list[str]:
    """Circumstances under which the ratios still mean something, if they are known."""
    return [
        change
        for part in ("session", "versions", "machine")
        for change in _changes(part, there[part], here[part])
    ]


def _changes(part: str, there: Record, here: Record) -> list[str]:
    """Values that are not the same, in words."""
    return [
        f"{part} {name}: {there.get(name)} there, {here.get(name)} here"
        for name in {**there, **here}
        if there.get(name) != here.get(name)
    ]
