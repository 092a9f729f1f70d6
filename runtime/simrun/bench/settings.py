"""What a measurement can be told: the options of `simrun bench`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Final, TypeVar

import typer

from simrun.errors import UsageError

Value = TypeVar("Value")

DEFAULT_FRAMES: Final = 200

_DIGITS: Final = 9


@dataclass(frozen=True)
class BenchSettings:
    """What is measured, on what, and where the record goes."""

    model: Annotated[
        str | None,
        typer.Option(metavar="NAME|DIR", help="A shipped model's name or a bundle's folder."),
    ] = None
    side: Annotated[
        list[str] | None,
        typer.Option(metavar="PX,..", help="Working sizes to measure; the model's if not given."),
    ] = None
    threads: Annotated[
        list[str] | None,
        typer.Option(metavar="N|auto,..", help="Numbers of threads to measure; 1 if not given."),
    ] = None
    provider: Annotated[
        str | None, typer.Option(metavar="NAME", help="Execution provider; the CPU if not given.")
    ] = None
    classify: Annotated[
        bool, typer.Option("--classify/--no-classify", help="Read the regions that were found.")
    ] = True
    source: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="A picture, folder or clip; otherwise the demo scene."),
    ] = None
    camera: Annotated[
        str | None, typer.Option(metavar="NAME", help="A camera: 0, /dev/video0, rpicam or picam.")
    ] = None
    frames: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=2, help=f"Frames of each kind; {DEFAULT_FRAMES} if not given."
        ),
    ] = None
    seconds: Annotated[
        float | None,
        typer.Option(metavar="S", min=0.1, help="Measure each kind this long instead."),
    ] = None
    warmup: Annotated[
        int, typer.Option(metavar="N", min=0, help="Frames before that are not counted.")
    ] = 10
    paced: Annotated[
        float | None,
        typer.Option(
            metavar="FPS",
            min=0.1,
            help="Measure with frames at this rate too, with a pause between.",
        ),
    ] = None
    json: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="Write the record to this file, or stdout.")
    ] = None
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file that is there already.")
    ] = False
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a Markdown table too, a row a kind.")
    ] = False
    compare: Annotated[
        list[str] | None,
        typer.Option(metavar="OTHER.json", help="Print ratios to this earlier record; repeatable."),
    ] = None

    def __post_init__(self) -> None:
        """Raise UsageError for options that exclude each other."""
        if self.source is not None and self.camera is not None:
            raise UsageError("name one source: --source PATH or --camera N, not both")
        if self.frames is not None and self.seconds is not None:
            raise UsageError("name one end: --frames N or --seconds S, not both")


def split_list(texts: Iterable[str], parse: Callable[[str], Value]) -> list[Value]:
    """Values of an option that is repeatable and takes commas: each once, in the order given."""
    words = (word.strip() for text in texts for word in text.split(","))
    return list(dict.fromkeys(parse(word) for word in words))


def parse_side(text: str) -> int:
    """A working side in pixels.

    Raises:
        UsageError: it is not a whole number.
    """
    if not text.isdecimal() or len(text) > _DIGITS:
        raise UsageError(f"--side is {text[:40] or 'empty'}; it must be a number of pixels")
    return int(text)
