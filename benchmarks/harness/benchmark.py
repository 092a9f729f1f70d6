"""A measurement from its command line to its table: a script says what it measures and shows."""

from __future__ import annotations

import argparse
import logging
import os
import platform
import random
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, TypeVar

from benchmarks.harness.console import make_parser, one_line_errors
from benchmarks.harness.markers import RESULTS, replace_between, require_markers
from benchmarks.harness.record import Record, read_record, write_record
from simrun.diagnostics.machine import read_machine
from simrun.progress import progress

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final = ("numpy", "opencv-python-headless", "onnxruntime")
"""What most figures depend on."""

Thing = TypeVar("Thing")
Round = TypeVar("Round")


@dataclass(frozen=True)
class Benchmark:
    """One script of figures.

    Its record lies beside it as JSON, and its table between markers of RESULTS.md. With `--out
    FILE` both are left alone and the record is written there; `--report` measures nothing and
    makes table and plot of the record that is there.
    """

    measure: Callable[[argparse.Namespace], Record]
    """The record, without its circumstances; series of values are `Samples`. Its module is the
    script, whose docstring is the help."""
    to_markdown: Callable[[Record], str]
    """The table of a record as it is read back."""
    arguments: Callable[[argparse.ArgumentParser], object] = lambda _: None
    """Adds the script's own arguments."""
    markers: str | None = None
    """Name of the markers of RESULTS.md; None prints the table alone."""
    plot: tuple[str, Callable[[Record, Path], None]] | None = None
    """Name of a picture beside the record, and what draws it."""
    faults: Callable[[Record], Sequence[str]] = lambda _: ()
    """What of the record must not be, a line each: the script then ends with 1."""
    kept: str | None = None
    """Part of the record that holds entries by name: those that a run has not measured stay."""
    versions: Sequence[str] = PACKAGES
    """Packages whose versions are written down."""

    @property
    def module(self) -> str:
        """What follows `python -m`."""
        *folders, name = self._script
        return ".".join(folders if name in ("__main__", folders[-1]) else self._script)

    @property
    def record_file(self) -> Path:
        """The record in git."""
        return ROOT.joinpath(*self._script[:-1], f"{self.module.rpartition('.')[2]}.json")

    @property
    def _script(self) -> list[str]:
        spec = sys.modules[self.measure.__module__].__spec__
        return (self.measure.__module__ if spec is None else spec.name).split(".")

    def main(self) -> None:
        """Run the command line; ends with 1 where a fault is found, or in one line."""
        logging.basicConfig(format="%(message)s")
        logging.getLogger(progress.__module__).setLevel(logging.INFO)
        with one_line_errors(self.module.rpartition(".")[2]):
            faults = self._run()
        for fault in faults:
            print(fault, file=sys.stderr)
        if faults:
            sys.exit(1)

    def _run(self) -> Sequence[str]:
        common = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        common.add_argument("--out", type=Path, help="write the record there, and nothing else")
        common.add_argument("--report", action="store_true", help="measure nothing, write again")
        parser = make_parser(sys.modules[self.measure.__module__].__doc__, common)
        self.arguments(parser)
        chosen, _ = common.parse_known_args()
        file: Path = chosen.out or self.record_file
        if chosen.report:
            record: Record = read_record(file)
        else:
            options = parser.parse_args()
            if self.markers and not chosen.out:
                require_markers(RESULTS, self.markers)
            load = os.getloadavg()[0]
            measured = dict(self.measure(options))
            measured = self._circumstances(load) | measured
            record = write_record(self._with_kept(measured, file), file)
        if self.plot:
            self.plot[1](record, file.with_name(self.plot[0]))
        text = self.to_markdown(record)
        if self.markers and not chosen.out:
            replace_between(RESULTS, self.markers, text)
        print(text)
        return self.faults(record)

    def _circumstances(self, load: float) -> dict[str, Any]:
        machine = read_machine()
        return {
            "date": datetime.now(UTC).date().isoformat(),
            "command": public_command(self.module, sys.argv[1:]),
            "machine": {
                "processor": machine.cpu or machine.architecture,
                "architecture": machine.architecture,
                "cores": machine.cores,
            },
            "load": [round(load, 1), round(os.getloadavg()[0], 1)],
            "versions": {
                "python": platform.python_version(),
                **{name: version(name) for name in self.versions},
            },
        }

    def _with_kept(self, measured: dict[str, Any], file: Path) -> dict[str, Any]:
        if self.kept is None or not file.exists():
            return measured
        former = read_record(file)[self.kept]
        return measured | {self.kept: former | measured[self.kept]}


def public_command(module: str, arguments: Sequence[str]) -> str:
    """A command with the names of files and folders, not where they lie here."""
    names = (one.rstrip("/").rpartition("/")[2] for one in arguments)
    return shlex.join(["python", "-m", module, *names])


def circumstances(record: Record) -> str:
    """Date, processor and versions as a table's note has them; what a record lacks is left out."""
    machine = record.get("machine", {})
    versions = record.get("versions", {}).items()
    words = [record["date"], machine.get("processor") or machine.get("architecture")]
    words += [f"{'Python' if name == 'python' else name} {number}" for name, number in versions]
    return ", ".join(word for word in words if word)


def heading(record: Record, note: str) -> str:
    """The command, its circumstances, and what else stands above a table."""
    return f"`{record['command']}` ({circumstances(record)}; {note})"


def table(heads: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    lines = [f"| {' | '.join(map(str, cells))} |" for cells in (heads, *rows)]
    return "\n".join([lines[0], "|---" * len(heads) + "|", *lines[1:]])


def in_turns(
    things: Sequence[Thing], rounds: Sequence[Round], what: str = "round", seed: int = 0
) -> Iterator[tuple[Round, list[Thing]]]:
    """Each round with all things in random order, so that nothing falls on one of them alone."""
    order = random.Random(seed)
    for one in follow(rounds, what):
        yield one, order.sample(things, len(things))


def follow(things: Sequence[Thing], what: str) -> Iterator[Thing]:
    """The things, and how many are done on standard error."""
    with progress(what, len(things)) as advance:
        for thing in things:
            yield thing
            advance(1)
