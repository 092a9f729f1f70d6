"""Predictions as `simrun --jsonl` writes them, read back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simrun.errors import SourceError
from simtool.data.annotations import Corners, parse_quad


@dataclass(frozen=True)
class Predictions:
    """What a model found in pictures."""

    quads: Mapping[str, tuple[Corners, ...]]
    """Regions by base name of the picture."""
    errors: Mapping[str, str]
    """Why a picture could not be read, by base name."""
    latency_ms: tuple[float, ...]
    """Total time of each picture that has one recorded."""
    model_sha256: str | None = None
    """The model named in the header, where there is one."""


def read_predictions(path: Path) -> Predictions:
    """Read a file of JSON lines; lines without a file (header, camera frames) do not count.

    Raises:
        SourceError: the file cannot be read, a line is not such an object, or a picture has two.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SourceError(f"cannot read {path}: {reason}") from error
    quads: dict[str, tuple[Corners, ...]] = {}
    errors: dict[str, str] = {}
    latency, sha256 = [], None
    for number, line in enumerate(lines, start=1):
        where = f"{path}, line {number}"
        row = _object(line, where)
        sha256 = row.get("model_sha256", sha256)
        if not row.get("file"):
            continue
        name = Path(str(row["file"])).name
        if name in quads or name in errors:
            raise SourceError(f"{where}: a second line for {name}; one picture, one line")
        if "error" in row:
            errors[name] = str(row["error"])
        elif "regions" in row:
            quads[name] = _quads(row["regions"], where)
            latency += _total_ms(row)
    return Predictions(quads, errors, tuple(latency), sha256)


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


def _total_ms(row: Mapping[str, Any]) -> list[float]:
    latency = row.get("latency_ms")
    total = latency.get("total") if isinstance(latency, dict) else None
    return [float(total)] if isinstance(total, int | float) else []
