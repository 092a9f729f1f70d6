"""Damaged bundles, pictures and clips by the ten thousand: what becomes of them, and of memory.

nice python -m benchmarks.endurance.fuzz --examples 10000    # writes fuzz.json

That many pictures, clips and bundles; there are four kinds of damage to bundles, which share the
number. The same inputs and rules as tests/simrun/test_fuzz.py, which tries a hundred of each. Exits
with 1 where an input gave anything but a result or one line, or where memory grew by more than
`MOST_GROWTH_MB` between the first tenth of the examples and the end.
"""

from __future__ import annotations

import argparse
import base64
import time
from collections import Counter
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, seed, settings

from benchmarks.harness.benchmark import Benchmark, follow, heading, table
from benchmarks.harness.record import Record
from tests.simrun.fuzz.inputs import inputs
from tests.simrun.fuzz.worker import EXPECTED, Input, Outcome, Worker

MOST_GROWTH_MB: Final = 20.0
"""Room for what FFmpeg's decoders set up when they are first used."""
_KINDS_OF_BUNDLES: Final = sum("ModelError" in words for words in EXPECTED.values())
_MOST_KEPT: Final = 20
"""Bad inputs that are written down."""


class Tally:
    """Counts what becomes of the inputs of one kind."""

    def __init__(self, kind: str, examples: int) -> None:
        """Expect so many examples."""
        self._kind, self._warm_at = kind, max(1, examples // 10)
        self.words: Counter[str] = Counter()
        self.bad: list[dict[str, str]] = []
        self.slowest_s = 0.0
        self._resident: list[tuple[int, int]] = []

    def add(self, example: Input, outcome: Outcome, seconds: float) -> None:
        """Count one."""
        self.words[outcome.word] += 1
        self.slowest_s = max(self.slowest_s, seconds)
        self._resident.append((self.words.total(), outcome.resident_bytes))
        if outcome.word not in EXPECTED[self._kind] and len(self.bad) < _MOST_KEPT:
            data = base64.b64encode(example.data).decode()
            self.bad.append({"outcome": outcome.word, "detail": outcome.detail, "data": data})

    def growth_mb(self) -> tuple[float, float]:
        """Resident memory after the first tenth of the examples and at the end, in MB."""
        warm = next(size for count, size in self._resident if count >= self._warm_at and size)
        last = next(size for _, size in reversed(self._resident) if size)
        return warm / 1e6, last / 1e6


def try_kind(kind: str, examples: int, seed_number: int) -> dict[str, Any]:
    """Try that many inputs of a kind in a process of its own."""
    tally, worker = Tally(kind, examples), Worker()

    @seed(seed_number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs()[kind])
    def attempt(example: Input) -> None:
        start = time.perf_counter()
        outcome = worker.attempt(example)
        tally.add(example, outcome, time.perf_counter() - start)

    start = time.perf_counter()
    attempt()
    seconds = time.perf_counter() - start
    worker.close()
    warm_mb, end_mb = tally.growth_mb()
    return {
        "examples": tally.words.total(),
        "outcomes": dict(tally.words),
        "seconds": round(seconds, 1),
        "slowest_ms": round(tally.slowest_s * 1000, 1),
        "resident_warm_mb": round(warm_mb, 1),
        "resident_end_mb": round(end_mb, 1),
        "bad": tally.bad,
    }


def count_wrong(kind: str, found: Record) -> int:
    """Inputs that gave neither a result nor a refusal."""
    words: dict[str, int] = found["outcomes"]
    return int(found["examples"]) - sum(words.get(word, 0) for word in EXPECTED[kind])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("--examples", type=int, default=10_000, help="pictures, clips, bundles")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--kind", action="append", choices=list(EXPECTED), help="redo this one only"
    )


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Try every kind."""
    kinds = {}
    for kind in follow(options.kind or list(EXPECTED), "kind"):
        share = _KINDS_OF_BUNDLES if "ModelError" in EXPECTED[kind] else 1
        kinds[kind] = try_kind(kind, options.examples // share, options.seed)
    return {"examples": options.examples, "seed": options.seed, "kinds": kinds}


def to_markdown(record: Record) -> str:
    """A line a kind."""
    rows = []
    for kind, found in record["kinds"].items():
        works, wrong = found["outcomes"].get("works", 0), count_wrong(kind, found)
        counts = [kind, found["examples"], works, found["examples"] - works - wrong, wrong]
        memory = [found[name] for name in ("resident_warm_mb", "resident_end_mb")]
        rows.append([*counts, round(found["slowest_ms"]), *memory])
    heads = ["kind", "inputs", "work", "refused in a line", "else", "slowest ms"]
    note = heading(record, f"seed {record['seed']} gives the same inputs again")
    return f"{note}\n\n{table([*heads, 'MB after 1/10', 'MB at the end'], rows)}"


def faults(record: Record) -> list[str]:
    """Kinds with an input that gave anything else, or with memory that grew."""
    return [
        f"fuzz: {kind}: {wrong} inputs gave something else, memory grew by {growth:.1f} MB"
        for kind, found in record["kinds"].items()
        for wrong in [count_wrong(kind, found)]
        for growth in [found["resident_end_mb"] - found["resident_warm_mb"]]
        if wrong or growth > MOST_GROWTH_MB
    ]


BENCHMARK: Final = Benchmark(
    measure, to_markdown, add_arguments, markers="fuzz", faults=faults, kept="kinds"
)

if __name__ == "__main__":
    BENCHMARK.main()
