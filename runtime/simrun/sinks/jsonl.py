"""Results as JSON lines: a header, then one object a frame."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, TextIO

from simrun.files import output_errors, refuse_existing
from simrun.result import SCHEMA, Result
from simrun.sinks.base import StreamInfo
from simrun.sources.base import BadFrame, Frame


class JsonlSink:
    """Writes each line as soon as its frame is done."""

    def __init__(self, target: str, info: StreamInfo, *, overwrite: bool = False) -> None:
        """Open the file, or standard output for `-`, and write the header.

        Raises:
            OutputError: the file is there already or cannot be written.
        """
        self._name = "standard output" if target == "-" else target
        self._own = target != "-"
        if self._own:
            refuse_existing(Path(target), overwrite=overwrite)
        with output_errors(self._name):
            # Open as long as the sink is: close() is its end.
            self._out: TextIO = (
                Path(target).open("w", encoding="utf-8")  # noqa: SIM115
                if self._own
                else sys.stdout
            )
        self._line(
            {
                "schema": SCHEMA,
                "model": info.model,
                "model_sha256": info.model_sha256,
                "source": info.source,
            }
        )

    def write(self, frame: Frame, result: Result) -> None:
        """Write one result line."""
        self._line(result.to_json())

    def write_bad(self, frame: BadFrame) -> None:
        """Write one line with an `error` in place of the regions."""
        self._line(frame.to_json())

    def close(self) -> None:
        """Close the file; standard output stays open."""
        if self._own and not self._out.closed:
            with output_errors(self._name):
                self._out.close()

    def _line(self, data: dict[str, Any]) -> None:
        with output_errors(self._name):
            self._out.write(json.dumps(data, ensure_ascii=False) + "\n")
            self._out.flush()
