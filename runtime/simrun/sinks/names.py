"""Names of pictures and clips that are not used a second time, whatever the clock does."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path


def start_prefix(folder: Path, started_s: float) -> str:
    """What the names of a start's pictures begin with: `20261130T181502Z-`.

    Frames and tracks are counted from 0 at each start. Where the clock stands at an earlier start
    once more, as it may after a power cut, a number keeps them apart: `20261130T181502Z.2-`.

    Args:
        folder: where the pictures go; exists.
        started_s: seconds since 1970.

    Raises:
        OSError: the folder cannot be read.
    """
    stamp = datetime.fromtimestamp(started_s, UTC).strftime("%Y%m%dT%H%M%SZ")
    ours = re.compile(rf"{stamp}(?:\.(\d+))?-")
    with os.scandir(folder) as entries:
        taken = [int(m[1] or 1) for entry in entries if (m := ours.match(entry.name))]
    return f"{stamp}.{max(taken) + 1}-" if taken else f"{stamp}-"


def set_aside(path: Path) -> Path:
    """Rename a file or folder to the next free number, `clip.000003.mkv`: its new path.

    Raises:
        OSError: it cannot be renamed; it is as it was.
    """
    numbers = [number for number, _ in numbered(path)]
    aside = path.with_name(f"{path.stem}.{max(numbers, default=0) + 1:06d}{path.suffix}")
    path.rename(aside)
    return aside


def numbered(path: Path) -> list[tuple[int, Path]]:
    """What was set aside of a path, the oldest first, with its numbers.

    Raises:
        OSError: its folder cannot be read.
    """
    ours = re.compile(rf"{re.escape(path.stem)}\.(\d{{6,}}){re.escape(path.suffix)}")
    with os.scandir(path.parent) as entries:
        found = [(int(m[1]), path.parent / m[0]) for e in entries if (m := ours.fullmatch(e.name))]
    return sorted(found)
