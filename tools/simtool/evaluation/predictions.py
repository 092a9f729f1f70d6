"""Predictions as `simrun --jsonl` writes them, read back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, Final

from simrun.errors import SourceError
from simtool.data.annotations import Corners, parse_quad

_SCORES: Final = (float, int, NoneType)


@dataclass(frozen=True)
class Predictions:
    """What a model found in pictures."""

    quads: Mapping[str, tuple[Corners, ...]]
    """Regions by base name of the picture."""
    readings: Mapping[str, tuple[tuple[str | None, float | None], ...]]
    """Label and probability of each of these regions, in the same order."""
    errors: Mapping[str, str]
    """Why a picture could not be read, by base name."""
    latency_ms: tuple[float, ...]
    """Total time of each picture that has one recorded."""
    model_sha256: str | None = None
    """The model named in the header, where there is one."""


def read_predictions(path: Path) -> Predictions:
    """Read a file of JSON lines; lines without a file (header, camera frames) do not count.

    A file to which several runs were appended has a header for each; a picture's line of a later
    run takes the place of an earlier run's.

    Raises:
        SourceError: the file cannot be read, a line is not such an object, a picture has two within
            a run, or the runs were of different models.
    """
    try:
        # Not splitlines(): a name may hold one of Unicode's other ends of line.
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SourceError(f"cannot read {path}: {reason}") from error
    rows, sha256 = _last_rows(path, lines)
    regions = {n: at for n, at in rows.items() if "error" not in at[1] and "regions" in at[1]}
    return Predictions(
        quads={n: _quads(row["regions"], where) for n, (where, row) in regions.items()},
        readings={n: _readings(row["regions"], where) for n, (where, row) in regions.items()},
        errors={n: str(row["error"]) for n, (_, row) in rows.items() if "error" in row},
        latency_ms=tuple(ms for _, row in regions.values() for ms in _total_ms(row)),
        model_sha256=sha256,
    )


def _last_rows(
    path: Path, lines: Sequence[str]
) -> tuple[dict[str, tuple[str, dict[str, Any]]], str | None]:
    """Each picture's row of the last run that has it, with where it is; and the runs' model."""
    rows: dict[str, tuple[str, dict[str, Any]]] = {}
    seen: set[str] = set()
    sha256: str | None = None
    for number, line in enumerate(lines, start=1):
        where = f"{path}, line {number}"
        row = _object(line, where)
        if "model_sha256" in row:
            if sha256 not in (None, row["model_sha256"]):
                raise SourceError(
                    f"{where}: a run of another model than those before; split the file"
                )
            sha256 = row["model_sha256"]
            seen.clear()
        if not row.get("file"):
            continue
        name = Path(str(row["file"])).name
        if name in seen:
            raise SourceError(f"{where}: a second line for {name}; one picture, one line")
        seen.add(name)
        rows[name] = where, row
    return rows, sha256


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line) if line.strip() else {}
    except ValueError as error:
        raise SourceError(f"{where} is not JSON ({error})") from error
    if not isinstance(row, dict):
        raise SourceError(f"{where} is a JSON {type(row).__name__}, not an object")
    return row


def _quads(regions: object, where: str) -> tuple[Corners, ...]:
    if not isinstance(regions, list) or not all(isinstance(r, dict) for r in regions):
        raise SourceError(f"{where}: 'regions' is not a list of objects")
    return tuple(parse_quad(region.get("quad"), where) for region in regions)


def _readings(
    regions: list[Mapping[str, Any]], where: str
) -> tuple[tuple[str | None, float | None], ...]:
    """Labels and their scores; None where there is none."""
    pairs = [(region.get("label"), region.get("label_score")) for region in regions]
    for label, score in pairs:
        if not (label is None or isinstance(label, str)) or not isinstance(score, _SCORES):
            raise SourceError(f"{where}: label {label!r} of score {score!r} is no reading")
    return tuple(pairs)


def _total_ms(row: Mapping[str, Any]) -> list[float]:
    latency = row.get("latency_ms")
    total = latency.get("total") if isinstance(latency, dict) else None
    return [float(total)] if isinstance(total, int | float) else []
