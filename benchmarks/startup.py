"""How long a command takes to answer, against a bare interpreter in the same interleaved run.

python benchmarks/startup.py            # writes benchmarks/startup.json, prints a table
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

ROUNDS = 15
OUT = Path(__file__).with_name("startup.json")
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "simrun --help": ["-m", "simrun", "--help"],
    "simtool --help": ["-m", "simtool", "--help"],
    "simrun models": ["-m", "simrun", "models"],
    "first result of one frame": ["-m", "simrun", "--demo", "--max-frames", "1"],
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


def quartiles(samples: list[float]) -> tuple[float, float]:
    """Lower and upper quartile."""
    low, _, high = statistics.quantiles(samples, n=4, method="inclusive")
    return round(low, 4), round(high, 4)


def main() -> None:
    """Run every command in turn, many times over, and compare medians."""
    samples: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, arguments in COMMANDS.items():
            samples[name].append(seconds(arguments))
    bare = statistics.median(samples["python -c pass"])
    record: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "rounds": ROUNDS,
        "seconds": samples,
        "median_s": {name: round(statistics.median(s), 4) for name, s in samples.items()},
        "quartiles_s": {name: quartiles(s) for name, s in samples.items()},
        "ratio_to_bare": {
            name: round(statistics.median(s) / bare, 2) for name, s in samples.items()
        },
    }
    OUT.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for name, value in record["median_s"].items():
        low, high = record["quartiles_s"][name]
        times = f"{record['ratio_to_bare'][name]:5.1f} x a bare python"
        print(f"{name:28} {value:7.3f} s ({low:.3f} to {high:.3f})   {times}")


if __name__ == "__main__":
    main()
