"""A run, from the settings to the line that sums it up."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from simrun.cli.console import say, silence_opencv
from simrun.config.schema import Settings
from simrun.errors import SourceError, UsageError
from simrun.progress import progress
from simrun.redact import holds_secret

if TYPE_CHECKING:
    from simrun.files import Existing
    from simrun.localizer import Localizer
    from simrun.result import Result
    from simrun.run.signals import StopSignals
    from simrun.service.notify import Notifier
    from simrun.sinks.rotation import Rotation
    from simrun.sources import Source
    from simrun.stats import RunStats, StatsSnapshot

_log = logging.getLogger(__name__)

_LIVE_HOLD: Final = 2
"""Most of the flicker goes for one frame of delay: benchmarks/accuracy/flicker.py."""

_LINE_EVERY_S: Final = 60.0
"""Between two lines of progress: a run may go on for months."""


@dataclass(frozen=True)
class _Outputs:
    """What is written, and how files and folders are treated."""

    wanted: list[tuple[str, str]]
    """Kind and target of each."""
    existing: Existing
    rotation: Rotation | None


def execute(settings: Settings) -> None:
    """Open the source and the outputs, process frame by frame, and say what it came to.

    Raises:
        UsageError: the settings do not fit together.
        ModelError: the model cannot be used.
        SourceError: the source failed, or frames could not be read.
        OutputError: an output failed.
        Stopped: the process was asked to end; every output is complete.
    """
    _keep_libraries_quiet(settings)
    open_it = source_opener(settings)
    outputs = _outputs(settings)
    from simrun.run.signals import Stopped, StopSignals
    from simrun.service.notify import in_service, open_notifier
    from simrun.sinks.registry import need_colour

    localizer = load_localizer(settings)
    colour = localizer.meta.channels > 1 or need_colour(outputs.wanted)
    notifier = open_notifier()
    notifier.ready()
    try:
        with StopSignals(reopen_on_hangup=in_service()) as signals:
            with signals.interruptible():
                source = open_it(colour)
            with closing(source):
                stats = _work(settings, source, localizer, outputs, signals, notifier)
    except Stopped:
        say("simrun: interrupted; what was written is complete")
        raise
    _sum_up(stats.snapshot())


def _keep_libraries_quiet(settings: Settings) -> None:
    """Where the source has a password, OpenCV and FFmpeg say nothing, whoever asks them to."""
    if settings.source is not None and holds_secret(settings.source):
        silence_opencv(always=True)


def load_localizer(settings: Settings) -> Localizer:
    """The localizer that is asked for; OpenCV gets as many threads as it has.

    Raises UsageError and ModelError as `Localizer.load`.
    """
    from simrun.inference.threads import limit_opencv, parse_threads
    from simrun.localizer import DEFAULT_MODEL, Localizer
    from simrun.recognition.language import read_words

    localizer = Localizer.load(
        settings.model or DEFAULT_MODEL,
        settings.side,
        parse_threads(settings.threads),
        settings.provider,
        classify=settings.classify,
        pattern=settings.pattern,
        words=None if settings.words is None else read_words(Path(settings.words)),
    )
    limit_opencv(localizer.threads)
    return localizer


def source_opener(settings: Settings) -> Callable[[bool], Source]:
    """What opens the source, later, told whether somebody looks at its colours.

    Raises:
        UsageError: none or more than one is named, or its options make no sense.
    """
    source, camera = settings.source, settings.camera
    if (source is not None) + (camera is not None) + settings.demo != 1:
        raise UsageError("name one source: --source PATH, --camera N or --demo (see simrun --help)")
    from simrun.sources.registry import open_camera, open_demo, open_source

    options = settings.source_options()
    if source is not None:
        return lambda _: open_source(source, options)
    if camera is not None:
        return lambda colour: open_camera(camera, replace(options, colour=colour))
    return lambda _: open_demo(options)


def _work(
    settings: Settings,
    source: Source,
    localizer: Localizer,
    outputs: _Outputs,
    signals: StopSignals,
    notifier: Notifier,
) -> RunStats:
    """Open the sinks and process frame by frame."""
    from simrun.run.loop import run
    from simrun.sinks.base import TlsFiles
    from simrun.sinks.registry import SinkContext, StreamInfo, open_sinks
    from simrun.stats import RunStats

    stats = RunStats()
    info = StreamInfo(localizer.meta.name, localizer.bundle.sha256, source.name, source.rate)
    context = SinkContext(
        info,
        outputs.existing,
        stats,
        source.close,
        outputs.rotation,
        settings.token,
        TlsFiles(settings.mqtt_ca, settings.mqtt_cert, settings.mqtt_key),
    )
    sinks = open_sinks(outputs.wanted, context)
    if source.live:
        _warn_of_clips(outputs.wanted)
    length, most = source.length, settings.max_frames
    length = min(length or most, most) if most else length
    # A bar between lines of results on the same terminal would be in their way.
    mixed = sys.stdout is not None and sys.stdout.isatty() and ("jsonl", "-") in outputs.wanted
    with progress("frames", length, bar=not mixed, every_s=_LINE_EVERY_S) as advance:
        return run(
            source,
            localizer,
            sinks,
            track=_follower(settings, source, localizer),
            stats=stats,
            max_frames=most,
            guard=lambda frames: notifier.watch(signals.guard(frames), stats),
            stopping=signals.stopping,
            reopening=signals.reopening,
            on_frame=lambda _: advance(1),
        )


def _warn_of_clips(wanted: list[tuple[str, str]]) -> None:
    from simrun.sinks.save import is_lost_when_killed

    for kind, target in wanted:
        if kind == "save" and is_lost_when_killed(target):
            _log.warning(
                "nothing of %s can be read after a power cut; .mkv can be at any time", target
            )


def _follower(
    settings: Settings, source: Source, localizer: Localizer
) -> Callable[[Result], Result]:
    """Regions keep number and reading from frame to frame, where frames follow one another."""
    if not source.live and source.rate is None:
        if settings.hold:
            raise UsageError(
                f"--hold {settings.hold} is of no use on {source.name}: its pictures do not follow "
                "one another"
            )
        return lambda result: result
    from simrun.tracking.tracker import Tracker

    default = _LIVE_HOLD if source.live else 0
    localizer.follow_frames()
    hold = default if settings.hold is None else settings.hold
    return Tracker(hold, combine=localizer.reads_lines)


def _outputs(settings: Settings) -> _Outputs:
    """What is asked of the outputs. Raises UsageError where that makes no sense."""
    from simrun.service.notify import in_service
    from simrun.sinks.rotation import parse_rotation

    return _Outputs(
        wanted=_wanted_sinks(settings),
        existing=settings.existing(in_service=in_service()),
        rotation=None if settings.rotate is None else parse_rotation(settings.rotate),
    )


def _wanted_sinks(settings: Settings) -> list[tuple[str, str]]:
    """Kind and target of each output; standard output where none is named."""
    from simrun.sinks.registry import KINDS

    named = {kind: getattr(settings, kind, None) for kind in KINDS}
    wanted = [(kind, "" if to is True else to) for kind, to in named.items() if to]
    for text in settings.sink or ():
        kind, sign, to = text.partition("=")
        if not sign:
            raise UsageError(f"--sink is {text}; it must be NAME=TARGET, for instance csv=out.csv")
        wanted.append((kind, to))
    return wanted or [("jsonl", "-")]


def _sum_up(stats: StatsSnapshot) -> None:
    """Say what the run came to. Raises SourceError where frames could not be read."""
    if stats.frames:
        say(
            f"simrun: {stats.frames} frames, {stats.regions} regions, "
            f"{stats.busy_ms / stats.frames:.1f} ms a frame"
        )
    if stats.bad:
        raise SourceError(
            f"{stats.bad} of {stats.frames + stats.bad} could not be read; see the lines above"
        )
