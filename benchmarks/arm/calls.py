"""Instructions of single calls: a benchmark runs itself in the emulated Python and marks them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from benchmarks.arm.emulator import Emulator
from benchmarks.harness.console import BenchmarkError

GUEST: Final = "--guest"
"""Argument of the run inside the emulated Python."""


def mark_calls(calls: Iterable[Callable[[], object]]) -> None:
    """In the emulated Python: each call twice, a mark before and after the second."""
    for call in calls:
        call()
        os.getppid()
        call()
        os.getppid()


def count_calls(emulator: Emulator, module: str) -> list[float]:
    """Millions of instructions of each call that `python -m MODULE --guest` marks.

    Raises:
        BenchmarkError: the emulated run fails.
    """
    with tempfile.TemporaryDirectory() as work:
        marks = Path(work) / "marks.txt"
        done = emulator.run("-m", module, GUEST, marks=marks)
        if done.returncode:
            raise BenchmarkError(f"the emulated run failed ({done.returncode})")
        rows = [int(line.split()[0]) for line in marks.read_text().splitlines()]
    return [row / 1e6 for row in rows[1::2]]
