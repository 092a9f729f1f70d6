"""Results as CSV: one row a region, the fields of the JSON lines."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, Final

from simrun.files import output_errors, refuse_existing
from simrun.result import STAGES, Result
from simrun.sources.base import BadFrame, Frame

_FRAME: Final = ("frame", "file", "time_s", "width", "height")
_QUAD: Final = ("x0", "y0", "x1", "y1", "x2", "y2", "x3", "y3")
_BOX: Final = ("left", "top", "right", "bottom")
_REGION: Final = ("score", "label", "label_score", "track", "held")


class CsvSink:
    """A row a region; a frame without regions has one row with those fields empty."""

    def __init__(self, target: str, *, overwrite: bool = False) -> None:
        """Open the file and write the column names.

        Raises:
            OutputError: the file is there already or cannot be written.
        """
        self._path = Path(target)
        refuse_existing(self._path, overwrite=overwrite)
        with output_errors(target):
            self._out = self._path.open("w", encoding="utf-8", newline="")
        self._rows = csv.writer(self._out)
        self._row(*_FRAME, *_QUAD, *_BOX, *_REGION, *(f"{s}_ms" for s in STAGES), "error")

    def write(self, frame: Frame, result: Result) -> None:
        """Write a row for each region of the frame."""
        data = result.to_json()
        head = [data[name] for name in _FRAME]
        tail = [*(data["latency_ms"][stage] for stage in STAGES), None]
        for region in data["regions"]:
            quad = [value for corner in region["quad"] for value in corner]
            self._row(*head, *quad, *region["box"], *(region.get(n) for n in _REGION), *tail)
        if not data["regions"]:
            self._row(*head, *[None] * len((*_QUAD, *_BOX, *_REGION)), *tail)

    def write_bad(self, frame: BadFrame) -> None:
        """Write a row with nothing but the error."""
        blank = [None] * (3 + len((*_QUAD, *_BOX, *_REGION, *STAGES)))
        self._row(frame.index, frame.file, *blank, frame.error)

    def close(self) -> None:
        """Close the file."""
        if not self._out.closed:
            with output_errors(str(self._path)):
                self._out.close()

    def _row(self, *values: Any) -> None:  # noqa: ANN401 - whatever csv can print
        with output_errors(str(self._path)):
            self._rows.writerow(values)
            self._out.flush()
