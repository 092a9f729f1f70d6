"""Output folders that appear complete or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from simrun.errors import OutputError
from simrun.files import output_errors, refuse_existing
from simtool.files import write_atomic


@contextmanager
def staged_folder(target: Path, *, mark: str, overwrite: bool) -> Iterator[Path]:
    """A temporary folder beside `target` that takes its name once the block is through.

    After an exception, Ctrl-C included, `target` is as it was.

    Args:
        target: the folder to write.
        mark: name of a file that every result of this kind has. What does not have it is not
            overwritten: it would be somebody's folder, lost for a slip of the hand.
        overwrite: replace a former result.

    Raises:
        OutputError: `target` is there and not empty, and `overwrite` is false or it is no former
            result; or it cannot be written.
    """
    check_target(target, mark=mark, overwrite=overwrite)
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


def write_folder(
    target: Path, contents: Mapping[str, bytes], *, mark: str, overwrite: bool
) -> None:
    """Write a folder of files whole or not at all; `contents` is file name -> content.

    Arguments and errors as `staged_folder`.
    """
    with staged_folder(target, mark=mark, overwrite=overwrite) as folder:
        for name, content in contents.items():
            write_atomic(folder / name, content)


def check_target(target: Path, *, mark: str, overwrite: bool) -> None:
    """Refuse a target before any work is done for it. Arguments and errors as `staged_folder`."""
    refuse_existing(target, overwrite=overwrite)
    _refuse_foreign(target, mark)


def _refuse_foreign(target: Path, mark: str) -> None:
    """Raise OutputError unless `target` is missing, empty or a flat folder with the mark."""
    with output_errors(str(target)):
        entries = list(target.iterdir()) if target.is_dir() else []
        foreign = target.exists() and not target.is_dir()
        foreign |= bool(entries) and not (target / mark).is_file()
        foreign |= any(entry.is_dir() for entry in entries)
    if foreign:
        raise OutputError(
            f"{target} is not a former result (a folder with {mark} and no subfolders); it is not "
            "overwritten, name another"
        )


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
