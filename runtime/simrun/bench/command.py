"""`simrun bench` from the options to the record and the tables."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import typer

from simrun.bench.compare import compare, require_comparable
from simrun.bench.measure import Clocks, Feed, Series, WayToRun, measure
from simrun.bench.record import Conditions, make_record, read_record, write_record
from simrun.bench.report import to_markdown, to_ratios, to_table
from simrun.bench.settings import DEFAULT_FRAMES, BenchSettings, parse_side, split_list
from simrun.bundle.load import Bundle, load_bundle
from simrun.diagnostics.machine import Machine, read_machine, read_peak_memory_mib
from simrun.files import refuse_existing
from simrun.inference.session import EngineConfig
from simrun.inference.threads import ThreadProbe, parse_threads
from simrun.localizer import DEFAULT_MODEL, Localizer, choose_threads, require_side
from simrun.progress import Advance, progress
from simrun.sources import Source
from simrun.sources.options import SourceOptions
from simrun.sources.registry import open_camera, open_demo, open_source

_log = logging.getLogger(__name__)


def bench(
    settings: BenchSettings,
    *,
    clocks: Clocks | None = None,
    read_state: Callable[[], Machine] = read_machine,
) -> None:
    """Measure, print and write what the options ask for.

    Args:
        settings: the options.
        clocks: time; the computer's own if not given.
        read_state: how the computer is doing.

    Raises:
        UsageError: an option has an impossible value, or a record cannot be compared.
        ModelError, SourceError, OutputError: as their names say.
    """
    if settings.json is not None and settings.json != "-":
        refuse_existing(Path(settings.json), overwrite=settings.overwrite)
    bundle = load_bundle(settings.model or DEFAULT_MODEL)
    others = {path: read_record(path) for path in settings.compare or []}
    for path, other in others.items():
        require_comparable(other, path, bundle.sha256)
    record = _measure(settings, bundle, clocks or Clocks(), read_state)
    if settings.json is not None:
        write_record(record, settings.json)
    # Standard output is the record's where it goes there.
    aside = settings.json == "-"
    typer.echo(to_table(record), err=aside)
    if settings.markdown:
        typer.echo("\n" + to_markdown(record), err=aside)
    for path, other in others.items():
        typer.echo("\n" + to_ratios(compare(record, other, path), Path(path).name), err=aside)


def _measure(
    settings: BenchSettings, bundle: Bundle, clocks: Clocks, read_state: Callable[[], Machine]
) -> dict[str, Any]:
    localizers, probes = _localizers(settings, bundle)
    with ExitStack() as stack:
        series = _series(settings, localizers, clocks, stack)
        before, load = read_state(), os.getloadavg()[0]
        with progress("per cent measured", 100) as advance:
            measure(
                series,
                frames=None if settings.seconds else settings.frames or DEFAULT_FRAMES,
                seconds=settings.seconds,
                warmup=settings.warmup,
                on_turn=_per_cent(advance),
            )
        conditions = Conditions(
            before=before,
            after=read_state(),
            load=(load, os.getloadavg()[0]),
            peak_memory_mib=read_peak_memory_mib(),
            warmup=settings.warmup,
            probes=probes,
        )
    _warn(conditions)
    return make_record(next(iter(localizers.values())), series, conditions)


def _per_cent(advance: Advance) -> Callable[[float], None]:
    """From the share done in all to the steps of a display in hundreds."""
    shown = 0

    def on_turn(share: float) -> None:
        nonlocal shown
        steps, shown = round(100 * share) - shown, round(100 * share)
        advance(steps)

    return on_turn


def _warn(conditions: Conditions) -> None:
    """Say what makes the figures worse than the computer is."""
    for trouble in conditions.after.throttling:
        _log.warning("%s: the figures are those of a computer that is held back", trouble)
    load, cores = conditions.load[0], conditions.before.cores
    if load > cores:
        _log.warning(
            "load %.1f on %d cores before the measurement: others use them too, so wall times are "
            "too long; CPU times suffer less",
            load,
            cores,
        )


def _localizers(
    settings: BenchSettings, bundle: Bundle
) -> tuple[dict[tuple[int, int], Localizer], dict[int, ThreadProbe]]:
    """A localizer for each side and number of threads, and how `auto` was decided."""
    sides = split_list(settings.side or [str(bundle.meta.side)], parse_side)
    threads = split_list(settings.threads or ["1"], parse_threads)
    localizers: dict[tuple[int, int], Localizer] = {}
    probes: dict[int, ThreadProbe] = {}
    for side in sides:
        require_side(side)
        if None in threads:
            probes[side] = choose_threads(bundle, side, settings.provider)
        for count in (probes[side].threads if n is None else n for n in threads):
            localizers[side, count] = Localizer(
                bundle,
                side=side,
                classify=settings.classify,
                engine_config=EngineConfig(count, settings.provider),
            )
    return localizers, probes


def _series(
    settings: BenchSettings,
    localizers: Mapping[tuple[int, int], Localizer],
    clocks: Clocks,
    stack: ExitStack,
) -> list[Series]:
    """A series for each localizer and pace; all see the same frames, but for a camera's."""
    open_it = _opener(settings, colour=next(iter(localizers.values())).meta.channels > 1)
    feed = Feed(open_it)
    stack.callback(feed.close)
    paces = [None] if settings.paced is None else [None, settings.paced]
    series: list[Series] = []
    for (side, threads), localizer in localizers.items():
        for pace in paces:
            if series and not feed.live:
                feed = Feed(open_it)
                stack.callback(feed.close)
            series.append(Series(WayToRun(side, threads, pace), localizer, feed, clocks))
    return series


def _opener(settings: BenchSettings, *, colour: bool) -> Callable[[], Source]:
    """What opens the source; a camera as a run has it that shows no pictures."""
    source, camera = settings.source, settings.camera
    if source is not None:
        return lambda: open_source(source)
    if camera is not None:
        return lambda: open_camera(camera, SourceOptions(colour=colour))
    return open_demo
