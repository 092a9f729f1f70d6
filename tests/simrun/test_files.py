"""Files read with a limit."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

from simrun.files import read_regular


def test_a_limit_takes_no_memory(tmp_path: Path) -> None:
    """A board of 512 MB has no room for a buffer of the largest graph there may be."""
    (tmp_path / "small").write_bytes(b"abc")
    tracemalloc.start()
    try:
        assert read_regular(tmp_path / "small", 1 << 30) == b"abc"
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20
