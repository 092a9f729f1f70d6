"""From what a user names to the source behind it.

A new kind of source is one module here with one class that fits `Source`, or `Device` for one that
is live, and one line in `_KINDS` or `_CAMERAS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from simrun.errors import SourceError, UsageError
from simrun.images.read import HEIF_ADVICE, HEIF_SUFFIXES, IMAGE_SUFFIXES
from simrun.redact import PIPELINE, hide_source
from simrun.sources.base import Source
from simrun.sources.devices.network import is_url
from simrun.sources.options import SourceOptions
from simrun.sources.throttle import paced

if TYPE_CHECKING:
    from simrun.sources.devices.base import Device

DEFAULTS: Final = SourceOptions()
_LATE: Final = 3.0
"""Periods after which something that comes regularly counts as missing."""

VIDEO_SUFFIXES: Final = frozenset(
    {
        *(".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".ts"),
        *(".mts", ".m2ts", ".3gp", ".flv", ".ogv", ".vob", ".mxf", ".dv", ".mjpg", ".mjpeg"),
        *(".h264", ".264", ".h265", ".265", ".hevc"),
    }
)


def open_source(spec: str, options: SourceOptions = DEFAULTS) -> Source:
    """The source behind a path, a URL, a GStreamer pipeline or standard input.

    A path names a picture, a folder of pictures, a glob or a clip. `gst:PIPELINE` is a GStreamer
    pipeline and `-` is standard input. The word `samples`, where no such file exists, stands for
    the pictures that ship with simrun.

    Raises:
        SourceError: there is no such file or stream, or it is of no kind that can be read.
        UsageError: the options do not fit the kind.
    """
    for fits, opener in _KINDS:
        if fits(spec):
            return paced(opener(spec, options), options)
    path = Path(spec)
    if not path.exists():
        raise SourceError(f"no such file or folder: {hide_source(spec)}")
    if path.suffix.lower() in HEIF_SUFFIXES:
        raise SourceError(f"{spec} cannot be read: {HEIF_ADVICE}")
    raise SourceError(
        f"cannot tell what {spec} is: neither a folder, a picture "
        f"({', '.join(sorted(IMAGE_SUFFIXES))}) nor a clip ({', '.join(sorted(VIDEO_SUFFIXES))})"
    )


def open_demo(options: SourceOptions = DEFAULTS) -> Source:
    """The built-in animated scene."""
    from simrun.sources.demo import DemoSource

    return paced(DemoSource(), options)


def open_camera(spec: str, options: SourceOptions = DEFAULTS) -> Source:
    """A camera, opened again when it fails: `0`, `/dev/video0`, `rpicam`, `picam` or `demo`.

    Raises:
        SourceError: there is no such camera, or it gives no frame within `options.wait_s`.
        UsageError: `spec` names no kind of camera.
    """
    for fits, device in _CAMERAS:
        if fits(spec):
            return _live(device(spec, options), options)
    raise UsageError(
        f"a camera is 0, 1, ..., /dev/video0, rpicam, picam or demo, not {hide_source(spec)!r}"
    )


def _live(device: Device, options: SourceOptions) -> Source:
    from simrun.sources.live.reconnect import LiveSource

    return paced(LiveSource(device, options), options)


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


def _open_pictures(spec: str, options: SourceOptions) -> Source:
    from simrun.sources.picture_files import PictureSource

    return PictureSource([Path(spec)], name=spec)


def _open_samples(spec: str, options: SourceOptions) -> Source:
    return _open_folder(str(Path(__file__).parents[1] / spec), options)


def _open_folder(spec: str, options: SourceOptions) -> Source:
    from simrun.sources.picture_files import PictureSource, pictures_in

    return PictureSource(pictures_in(Path(spec)), name=spec)


def _open_glob(spec: str, options: SourceOptions) -> Source:
    from simrun.sources.picture_files import PictureSource, pictures_matching

    return PictureSource(pictures_matching(spec), name=spec)


def _open_clip(spec: str, options: SourceOptions) -> Source:
    from simrun.sources.video import ClipSource

    return ClipSource(Path(spec))


def _open_url(spec: str, options: SourceOptions) -> Source:
    from simrun.sources.devices.http import FilmAtUrlError, HttpDevice
    from simrun.sources.devices.network import StreamDevice, is_http
    from simrun.sources.live.reconnect import LiveSource

    stream = StreamDevice(spec)
    if not is_http(spec):
        return LiveSource(stream, options)
    if options.fps is not None:
        # A still picture that is asked for every minute is not missing after five seconds.
        options = replace(options, stall_s=max(options.stall_s, _LATE / options.fps))
    try:
        return LiveSource(HttpDevice(spec, options, stream), options)
    except FilmAtUrlError:
        from simrun.sources.video import ClipSource

        return ClipSource.at_url(spec)


def _open_gstreamer(spec: str, options: SourceOptions) -> Source:
    from simrun.sources.devices.gstreamer import GstreamerDevice
    from simrun.sources.live.reconnect import LiveSource

    return LiveSource(GstreamerDevice(spec.removeprefix(PIPELINE)), options)


def _open_stdin(spec: str, options: SourceOptions) -> Source:
    from simrun.sources.stdin import StdinSource

    if options.raw is None:
        raise UsageError(
            f"--source {spec} needs --raw to say what the frames look like, 640x480:bgr say"
        )
    return StdinSource(options.raw, fps=options.fps)


def _v4l2(spec: str, options: SourceOptions) -> Device:
    from simrun.sources.devices.v4l2 import V4l2Device

    return V4l2Device(f"/dev/video{int(spec)}" if spec.isdecimal() else spec, options)


def _rpicam(_: str, options: SourceOptions) -> Device:
    from simrun.sources.devices.rpicam import RpicamDevice

    return RpicamDevice(options)


def _picam(_: str, options: SourceOptions) -> Device:
    from simrun.sources.devices.picam import PicamDevice

    return PicamDevice(options)


def _demo(_: str, options: SourceOptions) -> Device:
    from simrun.sources.demo import DemoDevice

    return DemoDevice()


def _is_v4l2(spec: str) -> bool:
    return spec.isdecimal() or spec.startswith("/dev/")


_KINDS: Final[tuple[tuple[Callable[[str], bool], Callable[[str, SourceOptions], Source]], ...]] = (
    (lambda spec: spec == "-", _open_stdin),
    (lambda spec: spec.startswith(PIPELINE), _open_gstreamer),
    (is_url, _open_url),
    (_is_folder, _open_folder),
    (_is_samples, _open_samples),
    (_is_picture, _open_pictures),
    (_is_clip, _open_clip),
    (_is_glob, _open_glob),
)

_CAMERAS: Final[
    tuple[tuple[Callable[[str], bool], Callable[[str, SourceOptions], Device]], ...]
] = (
    (_is_v4l2, _v4l2),
    (lambda spec: spec == "rpicam", _rpicam),
    (lambda spec: spec == "picam", _picam),
    (lambda spec: spec == "demo", _demo),
)
