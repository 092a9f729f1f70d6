"""Where results go.

A new kind of sink is one module here with one class that fits `Sink`, and one line in `KINDS`:
`--sink NAME=TARGET` then opens it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from simrun.errors import OutputError, UsageError
from simrun.files import printable_name
from simrun.sinks.base import Output, Sink, SinkContext, StreamInfo
from simrun.sinks.worker import Worker

__all__ = [
    "KINDS",
    "Kind",
    "Output",
    "Sink",
    "SinkContext",
    "StreamInfo",
    "need_colour",
    "open_sinks",
]

_OPEN_S: Final = 10.0
"""How long opening a file or folder may take."""

Opener = Callable[[str, SinkContext], Sink]


@dataclass(frozen=True)
class Kind:
    """A kind of sink."""

    open: Opener
    colour: bool = True
    """Whether it shows or stores the frames; cameras may give grey ones to those that do not."""
    files: bool = False
    """Whether it writes the file or folder that is its target, which may take its time."""


def need_colour(wanted: Sequence[tuple[str, str]]) -> bool:
    """Whether one of the sinks, as `open_sinks` takes them, makes use of the frames' colours."""
    return any(KINDS[kind].colour for kind, _ in wanted if kind in KINDS)


def open_sinks(wanted: Sequence[tuple[str, str]], context: SinkContext) -> list[Output]:
    """Open sinks by kind and target, all or none.

    Args:
        wanted: pairs of a name in `KINDS` and what that kind writes to.
        context: what they need.

    Raises:
        UsageError: there is no such kind.
        OutputError: one cannot be opened.
    """
    with ExitStack() as opened:
        outputs = []
        for kind, target in wanted:
            if kind not in KINDS:
                raise UsageError(f"no sink '{kind}'; known: {', '.join(KINDS)}")
            sink = _open(KINDS[kind], target, context)
            opened.callback(sink.close)
            files = KINDS[kind].files
            # The address of a broker may hold a password.
            name = kind if not files else "standard output" if target == "-" else target
            outputs.append(Output(printable_name(name), sink, threaded=files))
        opened.pop_all()
    return outputs


def _open(kind: Kind, target: str, context: SinkContext) -> Sink:
    """Open one sink; a file system that hangs must not hang the start."""
    if not kind.files:
        return kind.open(target, context)
    opened: list[Sink] = []
    worker = Worker("open")
    worker.start(lambda: opened.append(kind.open(target, context)))
    if not worker.wait(_OPEN_S):
        raise OutputError(f"{target} cannot be opened within {_OPEN_S:g} s: its disk hangs")
    worker.end()
    return opened[0]


def _jsonl(target: str, context: SinkContext) -> Sink:
    from simrun.sinks.jsonl import JsonlSink

    return JsonlSink(target, context.info, context.existing, context.rotation)


def _csv(target: str, context: SinkContext) -> Sink:
    from simrun.sinks.csv_file import CsvSink

    return CsvSink(target, context.info, context.existing, context.rotation)


def _save(target: str, context: SinkContext) -> Sink:
    from simrun.sinks.save import open_save

    return open_save(target, context.info, context.existing, context.rotation)


def _crops(target: str, context: SinkContext) -> Sink:
    from simrun.sinks.crops import CropsSink

    return CropsSink(Path(target), context.existing, started_s=context.info.started_s)


def _show(_: str, context: SinkContext) -> Sink:
    from simrun.sinks.window import WindowSink

    return WindowSink(context.quit)


def _mqtt(target: str, context: SinkContext) -> Sink:
    from simrun.sinks.mqtt import MqttSink

    return MqttSink(target, context)


def _serve(target: str, context: SinkContext) -> Sink:
    from simrun.sinks.web.sink import PageSink

    return PageSink(target, context)


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "jsonl": Kind(_jsonl, colour=False, files=True),
        "csv": Kind(_csv, colour=False, files=True),
        "save": Kind(_save, files=True),
        "crops": Kind(_crops, files=True),
        "show": Kind(_show),
        "mqtt": Kind(_mqtt, colour=False),
        "serve": Kind(_serve),
    }
)
