"""Picture files as a source."""

from __future__ import annotations

import glob
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from simrun.errors import SourceError
from simrun.images.read import IMAGE_SUFFIXES, read_image
from simrun.sources.base import BadFrame, Frame


class PictureSource:
    """Pictures, read one by one; one that cannot be read does not end the others."""

    live = False
    rate: float | None = None

    def __init__(self, paths: Sequence[Path], *, name: str) -> None:
        """Take the pictures in the order given; `name` is what the user asked for."""
        self.name = name
        self.length: int | None = len(paths)
        self._paths = paths
        self._closed = False

    def __iter__(self) -> Iterator[Frame | BadFrame]:
        """Each picture as a frame, or as a `BadFrame`; a single bad picture raises SourceError."""
        for index, path in enumerate(self._paths):
            if self._closed:
                return
            start = time.perf_counter()
            try:
                image = read_image(path)
            except SourceError as error:
                if len(self._paths) == 1:
                    raise
                yield BadFrame(index, str(path), str(error))
                continue
            seconds = time.perf_counter() - start
            yield Frame(image, index, 0.0, file=str(path), capture_s=seconds)

    def close(self) -> None:
        """End the iteration after the picture in hand."""
        self._closed = True


def pictures_in(folder: Path) -> list[Path]:
    """Pictures directly in a folder, by name; other files are left alone.

    Raises:
        SourceError: the folder cannot be read, or holds no picture.
    """
    try:
        found = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    except OSError as error:
        raise SourceError(f"cannot read folder {folder}: {error.strerror}") from error
    if not found:
        raise SourceError(
            f"no pictures in {folder}: looked for {', '.join(sorted(IMAGE_SUFFIXES))}"
        )
    return found


def pictures_matching(pattern: str) -> list[Path]:
    """Files that a glob matches, by name; `**` goes into subfolders.

    Raises:
        SourceError: nothing matches.
    """
    # Path.glob takes no absolute patterns.
    names = glob.glob(pattern, recursive=True)  # noqa: PTH207
    found = sorted(Path(name) for name in names if Path(name).is_file())
    if not found:
        raise SourceError(f"no file matches {pattern}")
    return found
