"""Picture files as a source."""

from __future__ import annotations

import glob
import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from simrun.errors import SourceError
from simrun.files import in_one_line, readable
from simrun.images.read import HEIF_ADVICE, HEIF_SUFFIXES, IMAGE_SUFFIXES, Note, read_image
from simrun.sources.base import BadFrame, Frame

_log = logging.getLogger(__name__)


class PictureSource:
    """Pictures, read one by one; one that cannot be read does not end the others."""

    live = False
    rate: float | None = None

    def __init__(self, paths: Sequence[Path], *, name: str) -> None:
        """Take the pictures in the order given; `name` is what the user asked for."""
        self.name = readable(name)
        self.length: int | None = len(paths)
        self._paths = paths
        self._closed = False
        self._notes: Counter[Note] = Counter()

    def __iter__(self) -> Iterator[Frame | BadFrame]:
        """Each picture as a frame, or as a `BadFrame`; a single bad picture raises SourceError."""
        try:
            yield from self._frames()
        finally:
            for note, count in self._notes.items():
                if count > 1:
                    _log.info("%s: %d pictures in all: %s", self.name, count, note)

    def _frames(self) -> Iterator[Frame | BadFrame]:
        for index, path in enumerate(self._paths):
            if self._closed:
                return
            start = time.perf_counter()
            name = readable(str(path))
            try:
                image = read_image(path, self._note)
            except SourceError as error:
                if len(self._paths) == 1:
                    raise SourceError(in_one_line(str(error))) from error
                yield BadFrame(index, name, in_one_line(str(error)))
                continue
            seconds = time.perf_counter() - start
            yield Frame(image, index, 0.0, file=name, capture_s=seconds)

    def close(self) -> None:
        """End the iteration after the picture in hand."""
        self._closed = True

    def _note(self, path: Path, note: Note) -> None:
        """Tell of the first picture of a kind; the others are counted."""
        if not self._notes[note]:
            _log.info("%s: %s", in_one_line(str(path)), note)
        self._notes[note] += 1


def pictures_in(folder: Path) -> list[Path]:
    """Pictures directly in a folder, by name; what else is there is left alone and counted.

    Hidden files are not taken: macOS puts one beside each picture on a foreign disk.

    Raises:
        SourceError: the folder cannot be read, or holds no picture.
    """
    found: list[Path] = []
    others: Counter[str] = Counter()
    try:
        for path in sorted(folder.iterdir()):
            kind = kind_of_member(path)
            if kind is None:
                found.append(path)
            else:
                others[kind] += 1
    except OSError as error:
        raise SourceError(f"cannot read folder {folder}: {error.strerror}") from error
    left = counted_kinds(others)
    if not found:
        raise SourceError(
            f"no pictures in {folder}: looked for {', '.join(sorted(IMAGE_SUFFIXES))}"
            + (f", found {left}" if left else "")
        )
    if left:
        _log.info("%s: %d pictures; left alone: %s", in_one_line(str(folder)), len(found), left)
    return found


def kind_of_member(path: Path) -> str | None:
    """What a member of a folder is that is no picture, in words; None for a picture."""
    if path.name.startswith("."):
        return "hidden"
    if path.is_dir():
        return "folder"
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return None
    return in_one_line(suffix) or "without a suffix"


def counted_kinds(others: Counter[str]) -> str:
    """How many of each kind, the most first, with advice where phones' pictures are among them."""
    text = ", ".join(f"{count} {kind}" for kind, count in others.most_common())
    return f"{text} ({HEIF_ADVICE})" if HEIF_SUFFIXES & others.keys() else text


def pictures_matching(pattern: str) -> list[Path]:
    """Files that a glob matches, by name; `**` goes into subfolders.

    Raises:
        SourceError: nothing matches.
    """
    # Path.glob takes no absolute patterns.
    names = glob.glob(pattern, recursive=True)  # noqa: PTH207
    found = sorted(Path(name) for name in names if not Path(name).is_dir())
    if not found:
        raise SourceError(f"no file matches {pattern}")
    return found
