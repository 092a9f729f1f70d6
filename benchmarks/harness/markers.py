"""Figures put between markers of a document that people write."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from benchmarks.harness.console import BenchmarkError

RESULTS: Final = Path(__file__).parents[1] / "RESULTS.md"


class MarkerError(BenchmarkError):
    """A file has no single pair of markers to write between."""


def require_markers(path: Path, name: str) -> tuple[str, str]:
    """What stands before and after the markers `<!-- NAME:begin -->` and `<!-- NAME:end -->`.

    Both parts include their marker.

    Raises:
        MarkerError: the file does not have them exactly once, in this order.
    """
    content = path.read_text(encoding="utf-8")
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    if content.count(begin) != 1 or content.count(end) != 1:
        raise MarkerError(f"{path} must have {begin} and {end} once each")
    start, stop = content.index(begin) + len(begin), content.index(end)
    if stop < start:
        raise MarkerError(f"{path} has {end} before {begin}")
    return content[:start], content[stop:]


def replace_between(path: Path, name: str, text: str) -> None:
    """Put text between the markers of a file; raises as `require_markers`."""
    before, after = require_markers(path, name)
    path.write_text(f"{before}\n{text}\n{after}", encoding="utf-8")
