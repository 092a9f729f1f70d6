"""Everything a run can be told, with its defaults: the options of `simrun`.

The same names serve on the command line (`--max-fps 5`), in the environment (`SIMRUN_MAX_FPS=5`)
and in a configuration file (`max-fps = 5`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer


@dataclass(frozen=True)
class Settings:
    """What a run reads, how it works and where its results go."""

    source: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="A picture, a folder, a glob, a video file, or the word samples."
        ),
    ] = None
    camera: Annotated[
        str | None,
        typer.Option(metavar="N", help="Number N of the camera /dev/videoN."),
    ] = None
    demo: Annotated[bool, typer.Option("--demo", help="A built-in scene, no camera needed.")] = (
        False
    )
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME|DIR", help="A shipped model's name or a bundle's folder."),
    ] = None
    side: Annotated[
        int | None,
        typer.Option(metavar="PX", help="Working size: longer side in pixels; smaller is faster."),
    ] = None
    threads: Annotated[int, typer.Option(metavar="N", help="Threads of the network.")] = 1
    provider: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Execution provider of ONNX Runtime; the CPU if not given."
        ),
    ] = None
    classify: Annotated[
        bool, typer.Option("--classify/--no-classify", help="Read the regions that were found.")
    ] = True
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
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace outputs that are there already.")
    ] = False
