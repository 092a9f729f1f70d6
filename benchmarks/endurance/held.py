"""What a process holds: open files, threads and memory, before and after something."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Held:
    """Of one process at one moment."""

    files: int
    threads: int
    resident_mb: float
    """MB of 10^6 bytes."""

    @classmethod
    def of(cls, pid: int) -> Held:
        """What a process holds now."""
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        resident_mb = round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 2)
        return cls(open_files(pid), len(list(Path(f"/proc/{pid}/task").iterdir())), resident_mb)


def open_files(pid: int) -> int:
    """Open files of a process."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
