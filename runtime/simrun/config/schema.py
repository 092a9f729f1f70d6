"""Everything a run can be told, with its defaults: the options of `simrun`.

The same names serve on the command line (`--max-fps 5`), in the environment (`SIMRUN_MAX_FPS=5`)
and in a configuration file (`max-fps = 5`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

import typer

from simrun.errors import UsageError
from simrun.files import Existing
from simrun.sources.options import SourceOptions, parse_raw, parse_size

_SOURCE: Final = SourceOptions()


@dataclass(frozen=True)
class Settings:
    """What a run reads, how it works and where its results go."""

    source: Annotated[
        str | None,
        typer.Option(
            metavar="PATH|URL|-",
            help="A picture, a folder, a glob, a video file, an rtsp:// or http:// stream, "
            "gst:PIPELINE, raw frames on standard input (-), or the word samples.",
        ),
    ] = None
    camera: Annotated[
        str | None,
        typer.Option(
            metavar="N|DEVICE",
            help="0 or /dev/video0; rpicam or picam for a Raspberry Pi's own camera; demo for the "
            "built-in scene without end.",
        ),
    ] = None
    demo: Annotated[bool, typer.Option("--demo", help="A built-in scene, no camera needed.")] = (
        False
    )
    wait: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="Wait so long for a missing camera at the start."),
    ] = _SOURCE.wait_s
    give_up: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="End if a camera stays away longer; otherwise never."),
    ] = _SOURCE.give_up_s
    stall: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="No frame for so long: open the camera again."),
    ] = _SOURCE.stall_s
    frozen: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", help="The same picture for so long: open it again; 0: never."
        ),
    ] = _SOURCE.frozen_s
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Size to ask of a camera, 640x480 say.")
    ] = None
    fps: Annotated[
        float | None,
        typer.Option(
            metavar="F",
            help="Rate to ask of a camera, or to ask for a still picture at a URL (default 1); of "
            "raw frames, their rate.",
        ),
    ] = _SOURCE.fps
    raw: Annotated[
        str | None,
        typer.Option(metavar="WxH[:FORMAT]", help="Raw frames on stdin: gray, bgr, rgb or yuv420."),
    ] = None
    max_fps: Annotated[
        float | None,
        typer.Option(metavar="F", help="Of a camera, take no more frames a second than this."),
    ] = _SOURCE.max_fps
    stride: Annotated[int, typer.Option(metavar="N", min=1, help="Take every Nth frame only.")] = (
        _SOURCE.stride
    )
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME|DIR", help="A shipped model's name or a bundle's folder."),
    ] = None
    side: Annotated[
        int | None,
        typer.Option(metavar="PX", help="Working size: longer side in pixels; smaller is faster."),
    ] = None
    threads: Annotated[
        str,
        typer.Option(
            metavar="N|auto",
            help="Threads of the network, and of OpenCV; auto tries 1, 2 and 4 at the start.",
        ),
    ] = "1"
    provider: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Execution provider of ONNX Runtime; the CPU if not given."
        ),
    ] = None
    classify: Annotated[
        bool, typer.Option("--classify/--no-classify", help="Read the regions that were found.")
    ] = True
    pattern: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="Read only texts that match this as a whole, '[0-9]{5}' say for a meter.",
        ),
    ] = None
    words: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Read only the words in this file, one a line."),
    ] = None
    hold: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            help="Report a region once it was seen in N frames, and for N frames after it was "
            "lost; 2 for cameras and 0 for clips if not given.",
        ),
    ] = None
    max_frames: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Stop after this many frames.")
    ] = None
    jsonl: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|-", help="Write a JSON line a frame to this file, or - for stdout."
        ),
    ] = None
    csv: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write a CSV row a region to this file.")
    ] = None
    save: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|F.mp4", help="Write overlays: a folder of pictures, or a clip F.mp4."
        ),
    ] = None
    crops: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Write each region as a picture, upright, one a track."),
    ] = None
    show: Annotated[bool, typer.Option("--show", help="Show a window; q ends the run.")] = False
    mqtt: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Publish results: mqtt[s]://[user[:password]@]host[:port]/topic."
        ),
    ] = None
    mqtt_ca: Annotated[
        str | None,
        typer.Option(
            "--mqtt-ca",
            metavar="FILE",
            help="Certificate of your own authority, PEM, for a broker at mqtts://.",
        ),
    ] = None
    mqtt_cert: Annotated[
        str | None,
        typer.Option("--mqtt-cert", metavar="FILE", help="Certificate to show to the broker, PEM."),
    ] = None
    mqtt_key: Annotated[
        str | None,
        typer.Option(
            "--mqtt-key",
            metavar="FILE",
            help="Key of that certificate, PEM; left out where it is in the same file.",
        ),
    ] = None
    sink: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=TARGET", help="One more output of any kind; may be repeated."),
    ] = None
    serve: Annotated[
        str | None,
        typer.Option(
            metavar="[HOST:]PORT",
            help="A page to watch in a browser; a port alone is for this machine only.",
        ),
    ] = None
    token: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="What the page asks for; random where other machines can connect. Others on this "
            "machine can read command lines: better in the environment, SIMRUN_TOKEN.",
        ),
    ] = None
    rotate: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE|daily[:KEEP]",
            help="Begin a new file (JSON lines, CSV, clip, folder of overlays) at this size, 100M "
            "say, or each day, and keep so many old ones, 7 if not given.",
        ),
    ] = None
    append: Annotated[
        bool,
        typer.Option(
            "--append", help="Go on with outputs that are there already, as a service does."
        ),
    ] = False
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace outputs that are there already.")
    ] = False

    def existing(self, *, in_service: bool) -> Existing:
        """What becomes of outputs that are there already.

        Raises:
            UsageError: two things at once are asked for.
        """
        if self.append and self.overwrite:
            raise UsageError("--append keeps what --overwrite replaces; give one of them")
        if self.overwrite:
            return Existing.OVERWRITE
        return Existing.APPEND if self.append or in_service else Existing.REFUSE

    def source_options(self) -> SourceOptions:
        """What is asked of the source.

        Raises:
            UsageError: a size, a format or a number makes no sense.
        """
        return SourceOptions(
            wait_s=self.wait,
            give_up_s=self.give_up,
            stall_s=self.stall,
            frozen_s=self.frozen,
            size=None if self.size is None else parse_size(self.size),
            fps=self.fps,
            raw=None if self.raw is None else parse_raw(self.raw),
            max_fps=self.max_fps,
            stride=self.stride,
        )
