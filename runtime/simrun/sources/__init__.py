"""Where frames come from: pictures, clips, cameras, the demo scene.

A new kind of source is one module here with one class that fits `Source`, and one line in
`_KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from simrun.errors import SourceError, UsageError
from simrun.images import IMAGE_SUFFIXES
from simrun.sources.base import BadFrame, Counted, Frame, Source, SourceStats

__all__ = [
    "BadFrame",
    "Counted",
    "Frame",
    "Source",
    "SourceStats",
    "open_camera",
    "open_demo",
    "open_source",
]

VIDEO_SUFFIXES: Final = frozenset(
    {".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".ts"}
)


def open_source(spec: str) -> Source:
    """The source behind a path: a picture, a folder of pictures, a glob or a clip.

    The word `samples`, where no such file exists, stands for the pictures that ship with simrun.

    Raises:
        SourceError: there is no such file, or it is of no kind that can be read.
    """
    for fits, opener in _KINDS:
        if fits(spec):
            return opener(spec)
    path = Path(spec)
    if not path.exists():
        raise SourceError(f"no such file or folder: {spec}")
    raise SourceError(
        f"cannot tell what {spec} is: neither a folder, a picture "
        f"({', '.join(sorted(IMAGE_SUFFIXES))}) nor a clip ({', '.join(sorted(VIDEO_SUFFIXES))})"
    )


def open_demo() -> Source:
    """The built-in animated scene."""
    from simrun.sources.demo import DemoSource

    return DemoSource()


def open_camera(spec: str) -> Source:
    """The V4L2 camera `/dev/video<spec>`.

    Raises:
        UsageError: `spec` is not a number.
        SourceError: there is no such camera, or it cannot be opened.
    """
    from simrun.sources.camera import CameraSource

    if not spec.isdecimal():
        raise UsageError(f"--camera is {spec}; it must be the number N of a /dev/videoN")
    return CameraSource(int(spec))


def _is_picture(spec: str) -> bool:
    return Path(spec).is_file() and Path(spec).suffix.lower() in IMAGE_SUFFIXES


def _is_glob(spec: str) -> bool:
    return any(mark in spec for mark in "*?[") and not Path(spec).exists()


def _is_clip(spec: str) -> bool:
    return Path(spec).is_file() and Path(spec).suffix.lower() in VIDEO_SUFFIXES


def _is_samples(spec: str) -> bool:
    return spec == "samples" and not Path(spec).exists()


def _is_folder(spec: str) -> bool:
    return Path(spec).is_dir()


def _open_pictures(spec: str) -> Source:
    from simrun.sources.pictures import PictureSource

    return PictureSource([Path(spec)], name=spec)


def _open_samples(spec: str) -> Source:
    return _open_folder(str(Path(__file__).parents[1] / spec))


def _open_folder(spec: str) -> Source:
    from simrun.sources.pictures import PictureSource, pictures_in

    return PictureSource(pictures_in(Path(spec)), name=spec)


def _open_glob(spec: str) -> Source:
    from simrun.sources.pictures import PictureSource, pictures_matching

    return PictureSource(pictures_matching(spec), name=spec)


def _open_clip(spec: str) -> Source:
    from simrun.sources.clip import ClipSource

    return ClipSource(Path(spec))


_KINDS: Final[tuple[tuple[Callable[[str], bool], Callable[[str], Source]], ...]] = (
    (_is_folder, _open_folder),
    (_is_samples, _open_samples),
    (_is_picture, _open_pictures),
    (_is_clip, _open_clip),
    (_is_glob, _open_glob),
)
