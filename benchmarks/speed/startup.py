"""How long a command takes to answer, against a bare interpreter in the same interleaved run.

    python -m benchmarks.speed.startup

Writes startup.json beside this file and the table of RESULTS.md.
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.harness.console import make_parser, one_line_errors
from benchmarks.harness.publish import replace_between, require_markers
from benchmarks.harness.quartiles import quartiles

ROUNDS = 15
OUT = Path(__file__).with_name("startup.json")
RESULTS = Path(__file__).parents[1] / "RESULTS.md"
MARKERS = "startup"
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "simrun --help": ["-m", "simrun", "--help"],
    "simtool --help": ["-m", "simtool", "--help"],
    "simrun models": ["-m", "simrun", "models"],
    "simrun --demo --max-frames 1": ["-m", "simrun", "--demo", "--max-frames", "1"],
}


def seconds(arguments: list[str]) -> float:
    """Wall time of one process."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - start


@one_line_errors("startup")
def main() -> None:
    """Run every command in turn, many times over, and compare medians."""
    make_parser(__doc__).parse_args()
    require_markers(RESULTS, MARKERS)
    samples: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, arguments in COMMANDS.items():
            samples[name].append(seconds(arguments))
    record: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "rounds": ROUNDS,
        "seconds": samples,
    }
    OUT.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    text = to_markdown(record)
    replace_between(RESULTS, MARKERS, text)
    print(text)


def to_markdown(record: dict[str, Any]) -> str:
    """The table of a record."""
    lines = [
        f"`python -m benchmarks.speed.startup` ({record['date']}, {record['machine']}, Python "
        f"{record['python']}; medians of {record['rounds']} rounds in turns)",
        "",
        "| command | seconds (quartiles) | times a bare interpreter |",
        "|---|---|---|",
    ]
    bare = statistics.median(record["seconds"]["python -c pass"])
    for name, samples in record["seconds"].items():
        of = quartiles(samples)
        times = f"{of['median']:.3f} ({of['lower']:.3f} to {of['upper']:.3f})"
        lines.append(f"| `{name}` | {times} | {of['median'] / bare:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
