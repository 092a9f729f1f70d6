"""The command `simrun`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from simrun.console import run_app
from simrun.errors import SourceError, UsageError

if TYPE_CHECKING:
    from simrun.pipeline import Localizer
    from simrun.runner import Tally
    from simrun.sinks import Sink
    from simrun.sources import Source

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

_EPILOG: Final = """Examples: simrun --camera 0 --jsonl -; simrun --source photos/ --save out/;
simrun --demo --save demo.mp4. Exit codes: 0 done, 2 usage, 3 model, 4 source, 5 output,
130 interrupted."""

_LINE_EVERY: Final = 100
"""Frames between two lines of progress where there is no terminal."""


@app.callback(invoke_without_command=True, epilog=_EPILOG)
def simrun(
    context: typer.Context,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="A picture, a folder, a glob, a video file, or the word samples."
        ),
    ] = None,
    camera: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Number N of the camera /dev/videoN.")
    ] = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="A built-in scene, no camera needed.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME|DIR", help="A shipped model's name or a bundle's folder."),
    ] = None,
    jsonl: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|-", help="Write a JSON line a frame to this file, or - for stdout."
        ),
    ] = None,
    csv: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write a CSV row a region to this file.")
    ] = None,
    save: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|F.mp4", help="Write overlays: a folder of pictures, or a clip F.mp4."
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace outputs that are there already.")
    ] = False,
    side: Annotated[
        int | None,
        typer.Option(metavar="PX", help="Working size: longer side in pixels; smaller is faster."),
    ] = None,
    threads: Annotated[int, typer.Option(metavar="N", help="Threads of the network.")] = 1,
    provider: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Execution provider of ONNX Runtime; the CPU if not given."
        ),
    ] = None,
    classify: Annotated[
        bool, typer.Option("--classify/--no-classify", help="Read the regions that were found.")
    ] = True,
    max_frames: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Stop after this many frames.")
    ] = None,
    debug: Annotated[
        bool, typer.Option("--debug", help="Log everything; show tracebacks of errors.")
    ] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Find and read text in pictures, videos and cameras.

    Results go to standard output or to files, everything else to standard error. A camera is read
    as fast as it delivers and the latest frame wins; files are read frame by frame. Without any
    output option the results are printed as JSON lines.
    """
    if version:
        _print_version()
        return
    if context.invoked_subcommand is not None:
        return
    open_it = _one_source(source, camera, demo)
    from simrun.pipeline import DEFAULT_MODEL, Localizer

    localizer = Localizer.load(model or DEFAULT_MODEL, side, threads, provider, classify=classify)
    stream = open_it()
    sinks = _open_sinks(localizer, stream, jsonl, csv, save, overwrite=overwrite)
    # A bar between lines of results on the same terminal would be in their way.
    mixed = sys.stdout.isatty() and (jsonl == "-" or not (jsonl or csv or save))
    _run(stream, localizer, sinks, max_frames, show_bar=sys.stderr.isatty() and not mixed)


@app.command()
def models() -> None:
    """List the models that are found by name. Example: simrun models."""
    from simrun.bundle import list_models, load_bundle

    for folder in list_models():
        meta = load_bundle(folder).meta
        typer.echo(
            f"{meta.name:16} side {meta.side}, stride {meta.stride}, "
            f"{len(meta.classes)} classes ({meta.classes[0]}..{meta.classes[-1]}), "
            f"weighting {meta.weighting.get('method', '?')}"
        )


def main() -> None:
    """Entry point of the command `simrun`."""
    run_app(app, "simrun")


def _print_version() -> None:
    from simrun import __version__

    typer.echo(f"simrun {__version__}")


def _one_source(source: str | None, camera: int | None, demo: bool) -> Callable[[], Source]:
    """Exactly one of the three ways to name a source, opened later."""
    if (source is not None) + (camera is not None) + demo != 1:
        raise UsageError("name one source: --source PATH, --camera N or --demo (see simrun --help)")
    from simrun.sources import open_camera, open_demo, open_source

    if source is not None:
        return lambda: open_source(source)
    if camera is not None:
        return lambda: open_camera(camera)
    return open_demo


def _open_sinks(
    localizer: Localizer,
    source: Source,
    jsonl: str | None,
    csv: str | None,
    save: str | None,
    *,
    overwrite: bool,
) -> list[Sink]:
    from simrun.sinks import StreamInfo
    from simrun.sinks.jsonl import JsonlSink
    from simrun.sinks.save import open_save
    from simrun.sinks.table import CsvSink

    if jsonl is None and csv is None and save is None:
        jsonl = "-"
    info = StreamInfo(localizer.meta.name, localizer.bundle.sha256, source.name, source.rate)
    sinks: list[Sink] = []
    try:
        if jsonl is not None:
            sinks.append(JsonlSink(jsonl, info, overwrite=overwrite))
        if csv is not None:
            sinks.append(CsvSink(csv, overwrite=overwrite))
        if save is not None:
            sinks.append(open_save(save, info, overwrite=overwrite))
    except BaseException:
        for sink in sinks:
            sink.close()
        source.close()
        raise
    return sinks


def _run(
    source: Source,
    localizer: Localizer,
    sinks: list[Sink],
    max_frames: int | None,
    *,
    show_bar: bool,
) -> None:
    from simrun.runner import run

    length = source.length if max_frames is None else min(max_frames, source.length or max_frames)
    try:
        with _progress(length, show_bar=show_bar) as on_frame:
            tally = run(source, localizer, sinks, max_frames=max_frames, on_frame=on_frame)
    except KeyboardInterrupt:
        typer.echo("simrun: interrupted; what was written is complete", err=True)
        raise
    if tally.frames:
        typer.echo(
            f"simrun: {tally.frames} frames, {tally.regions} regions, "
            f"{tally.busy_ms / tally.frames:.1f} ms a frame",
            err=True,
        )
    if tally.bad:
        raise SourceError(
            f"{tally.bad} of {tally.frames + tally.bad} could not be read; see the lines above"
        )


@contextmanager
def _progress(length: int | None, *, show_bar: bool) -> Iterator[Callable[[Tally], None]]:
    """A bar, or a line now and then; always on standard error."""
    if show_bar and length and length > 1:
        with typer.progressbar(length=length, label="frames", file=sys.stderr) as bar:
            yield lambda _: bar.update(1)
        return

    def line(tally: Tally) -> None:
        if tally.frames and tally.frames % _LINE_EVERY == 0:
            of = f" of {length}" if length else ""
            typer.echo(f"simrun: {tally.frames}{of} frames", err=True)

    yield line
