"""How long a command takes to answer, against a bare interpreter in the same interleaved run.

    python -m benchmarks.speed.startup

Writes startup.json beside this file and the table of RESULTS.md.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from typing import Any, Final

from benchmarks.harness.benchmark import Benchmark, heading, in_turns, table
from benchmarks.harness.record import Record, Samples, spread

COMMANDS: Final = {
    "python -c pass": ["-c", "pass"],
    "simrun --help": ["-m", "simrun", "--help"],
    "simtool --help": ["-m", "simtool", "--help"],
    "simrun models": ["-m", "simrun", "models"],
    "simrun --demo --max-frames 1": ["-m", "simrun", "--demo", "--max-frames", "1"],
}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Wall time of every command, many times over in turns."""
    samples = {name: Samples() for name in COMMANDS}
    for _, names in in_turns(list(COMMANDS), range(options.rounds)):
        for name in names:
            samples[name].append(seconds(COMMANDS[name]))
    return {"seconds": samples}


def seconds(arguments: list[str]) -> float:
    """Wall time of one process."""
    start = time.perf_counter()
    quiet = subprocess.DEVNULL
    subprocess.run([sys.executable, *arguments], check=True, stdout=quiet, stderr=quiet)
    return time.perf_counter() - start


def to_markdown(record: Record) -> str:
    """The table of a record."""
    times = record["seconds"]
    bare = times["python -c pass"]
    rows = [
        (f"`{name}`", spread(of, 3), f"{of['median'] / bare['median']:.1f}")
        for name, of in times.items()
    ]
    heads = ("command", "seconds (quartiles)", "times a bare interpreter")
    note = heading(record, f"medians of {bare['n']} rounds in turns")
    return f"{note}\n\n{table(heads, rows)}"


BENCHMARK: Final = Benchmark(
    measure,
    to_markdown,
    lambda parser: parser.add_argument("--rounds", type=int, default=15),
    markers="startup",
)

if __name__ == "__main__":
    BENCHMARK.main()
