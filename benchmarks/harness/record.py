"""Records of measurements as JSON: quartiles for git, and every sample beside them."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

Record = Mapping[str, Any]
"""A JSON object."""

_WIDTH: Final = 140


class Samples(list[float]):
    """Values measured of one thing, in the order they were taken."""


def quartiles(samples: Sequence[float]) -> dict[str, float]:
    """Median, quartiles and number of values, to a hundred-thousandth of their unit."""
    twice = list(samples) * 2 if len(samples) == 1 else samples
    found = statistics.quantiles(twice, n=4, method="inclusive")
    low, middle, high = (round(one, 5) for one in found)
    return {"lower": low, "median": middle, "upper": high, "n": len(samples)}


def spread(of: Record, digits: int = 2) -> str:
    """Median and quartiles as a table's cell."""
    return f"{of['median']:.{digits}f} ({of['lower']:.{digits}f} to {of['upper']:.{digits}f})"


def raw_file(file: Path) -> Path:
    """Where the samples of a record lie; git ignores the name."""
    return file.with_suffix(".raw.json")


def write_record(measured: Record, file: Path) -> Record:
    """Write the record with quartiles for `Samples`, and beside it, where there are some, all.

    Returns:
        The record as it can be read back.
    """
    text, raw = to_text(_summarised(measured)), to_text(measured)
    file.write_text(text, encoding="utf-8")
    if raw != text:
        raw_file(file).write_text(raw, encoding="utf-8")
    return read_record(file)


def read_record(file: Path) -> dict[str, Any]:
    """A record that was written."""
    record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return record


def to_text(record: Record) -> str:
    """A JSON document with what fits on a line on one line, so that a change is easy to read."""
    return _lines(record, 0) + "\n"


def _lines(value: Any, depth: int) -> str:  # noqa: ANN401 - any part of a JSON document
    flat = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, (dict, list)) or len(flat) + depth <= _WIDTH:
        return flat
    pad = "\n" + " " * (depth + 1)
    if isinstance(value, dict):
        parts = [f"{json.dumps(key)}: {_lines(one, depth + 1)}" for key, one in value.items()]
        return "{" + pad + f",{pad}".join(parts) + pad[:-1] + "}"
    return "[" + pad + f",{pad}".join(_lines(one, depth + 1) for one in value) + pad[:-1] + "]"


def _summarised(value: Any) -> Any:  # noqa: ANN401 - any part of a record
    if isinstance(value, Samples):
        return quartiles(value)
    if isinstance(value, Mapping):
        return {key: _summarised(one) for key, one in value.items()}
    return [_summarised(one) for one in value] if isinstance(value, (list, tuple)) else value
