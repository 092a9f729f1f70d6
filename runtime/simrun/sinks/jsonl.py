"""Results as JSON lines: a header at each start, then one object a frame."""

from __future__ import annotations

import json
from typing import Any, Final

from simrun.files import Existing
from simrun.result import SCHEMA, Result
from simrun.sinks.base import StreamInfo
from simrun.sinks.line_file import LineFile, Lines, StandardOutput
from simrun.sinks.rotation import Rotation
from simrun.sources.base import BadFrame, Frame

_ENCODER: Final = json.JSONEncoder(ensure_ascii=False)


class JsonlSink:
    """Writes each line as soon as its frame is done."""

    def __init__(
        self,
        target: str,
        info: StreamInfo,
        existing: Existing = Existing.REFUSE,
        rotation: Rotation | None = None,
    ) -> None:
        """Open the file, or standard output for `-`, and write the header.

        Raises:
            OutputError: the file is there already and is to be kept, or it cannot be written.
        """
        header = _line({"schema": SCHEMA, **info.to_json()})
        self._lines: Lines = (
            StandardOutput(header)
            if target == "-"
            else LineFile(target, existing, lambda _: header, is_half=_is_half, rotation=rotation)
        )

    def write(self, frame: Frame, result: Result) -> None:
        """Write one result line."""
        self._lines.write(_line(result.to_json()))

    def write_bad(self, frame: BadFrame) -> None:
        """Write one line with an `error` in place of the regions."""
        self._lines.write(_line(frame.to_json()))

    def reopen(self) -> None:
        """Go on in what has the file's name by the next frame."""
        self._lines.reopen()

    def close(self) -> None:
        """Close the file; standard output stays open."""
        self._lines.close()


def _line(data: dict[str, Any]) -> bytes:
    text = _ENCODER.encode(data) + "\n"
    return text.encode("utf-8", "backslashreplace")


def _is_half(rest: bytes) -> bool:
    """Whether this is the beginning of one of our lines and not all of it, or NULs.

    Some file systems fill with them what a power cut kept from being written.
    """
    try:
        json.loads(rest)
    except ValueError:
        return rest.startswith((b'{"', b"\0"))
    return False
