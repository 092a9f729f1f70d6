"""Output folders that appear complete or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from simrun.sinks.base import output_errors, refuse_existing


@contextmanager
def staged_folder(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """A temporary folder beside `target` that takes its name once the block is through.

    After an exception, Ctrl-C included, `target` is as it was.

    Raises:
        OutputError: `target` is a file or not empty and `overwrite` is false, or its parent
            cannot be written.
    """
    refuse_existing(target, overwrite=overwrite)
    with output_errors(str(target)):
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        yield staging
        with output_errors(str(target)):
            staging.chmod(0o755)  # mkdtemp makes it private
            _put_in_place(staging, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file. Raises OutputError where that cannot be done."""
    with output_errors(str(path)):
        path.write_text(text, encoding="utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file. Raises OutputError where that cannot be done."""
    with output_errors(str(path)):
        path.write_bytes(content)


def _put_in_place(staging: Path, target: Path) -> None:
    """Rename; what was at `target` goes once the new folder is there, or comes back."""
    if not target.exists():
        staging.rename(target)
        return
    old = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.old."))
    target.replace(old / "old")
    try:
        staging.rename(target)
    except OSError:
        (old / "old").replace(target)
        raise
    finally:
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)
