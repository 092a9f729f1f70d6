"""Results as CSV: one row a region, the fields of the JSON lines."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from simrun.errors import OutputError
from simrun.files import Existing, output_errors
from simrun.result import STAGES, Result
from simrun.sinks.base import StreamInfo
from simrun.sinks.line_file import LineFile
from simrun.sinks.rotation import Rotation
from simrun.sources.base import BadFrame, Frame

_FRAME: Final = ("frame", "file", "time_s", "width", "height")
_QUAD: Final = ("x0", "y0", "x1", "y1", "x2", "y2", "x3", "y3")
_BOX: Final = ("left", "top", "right", "bottom")
_REGION: Final = ("score", "label", "label_score", "track", "held")
_TIMES: Final = ("time", "started")
_COLUMNS: Final = (
    *_FRAME, *_QUAD, *_BOX, *_REGION, *(f"{stage}_ms" for stage in STAGES), "error", *_TIMES
)  # fmt: skip

_FORMULA: Final = re.compile(r"[=+\-@\t\r]")
_NUMBER: Final = re.compile(r"[+-]?\d+([.,]\d+)?")
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d")
"""As in the last column."""
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


class CsvSink:
    """A row a region; a frame without regions has one row with those fields empty."""

    def __init__(
        self,
        target: str,
        info: StreamInfo,
        existing: Existing = Existing.REFUSE,
        rotation: Rotation | None = None,
    ) -> None:
        """Open the file and write the column names, where it is empty.

        Raises:
            OutputError: the file is there already and is to be kept, has other columns, or cannot
                be written.
        """
        self._started = info.to_json()["started"]
        names = _rows([_COLUMNS])
        if existing is Existing.APPEND:
            _check_columns(Path(target), names)
        self._lines = LineFile(
            target,
            existing,
            lambda empty: names if empty else b"",
            is_half=_is_half,
            rotation=rotation,
        )

    def write(self, frame: Frame, result: Result) -> None:
        """Write a row for each region of the frame."""
        data = result.to_json()
        data["file"] = _cell(data["file"])
        for region in data["regions"]:
            region["label"] = _cell(region["label"])
        head = [data[name] for name in _FRAME]
        stages = (data["latency_ms"][stage] for stage in STAGES)
        tail = [*stages, None, data["time"], self._started]
        regions = [
            [*(v for corner in r["quad"] for v in corner), *r["box"], *map(r.get, _REGION)]
            for r in data["regions"]
        ]
        nothing = [None] * len((*_QUAD, *_BOX, *_REGION))
        self._lines.write(_rows([[*head, *region, *tail] for region in regions or [nothing]]))

    def write_bad(self, frame: BadFrame) -> None:
        """Write a row with nothing but the error and the times."""
        data = {**frame.to_json(), "started": self._started}
        data["file"], data["error"] = _cell(data["file"]), _cell(data["error"])
        self._lines.write(_rows([[data.get(name) for name in _COLUMNS]]))

    def reopen(self) -> None:
        """Go on in what has the file's name by the next frame."""
        self._lines.reopen()

    def close(self) -> None:
        """Close the file."""
        self._lines.close()


def _rows(rows: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode("utf-8", "backslashreplace")


def _cell(value: str | None) -> str | None:
    """A label, a name or an error; what a spreadsheet would run gets an apostrophe in front.

    A row is one line: control characters are escaped.
    """
    if value is None:
        return None
    if _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        value = "'" + value
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", value)


def _is_half(rest: bytes) -> bool:
    """Whether this is not all of a row; of a whole one an editor may have left away the end."""
    cells = rest.decode("utf-8", "replace").split(",")
    is_names = cells == list(_COLUMNS)
    return not is_names and (len(cells) < len(_COLUMNS) or not _MOMENT.fullmatch(cells[-1]))


def _check_columns(path: Path, names: bytes) -> None:
    with output_errors(str(path)):
        if not path.is_file() or not path.stat().st_size:
            return
        with path.open("rb") as file:
            there = file.readline(4 * len(names))
    # A power cut may have left the beginning alone.
    if there != names and not names.startswith(there):
        raise OutputError(
            f"{path} has other columns than this run writes; name another or add --overwrite"
        )
