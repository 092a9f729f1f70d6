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
import json
import platform
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.simrun.fuzz.inputs import inputs
from tests.simrun.fuzz.worker import EXPECTED, Input, Outcome, Worker

OUT: Final = Path(__file__).with_suffix(".json")
MOST_GROWTH_MB: Final = 20.0
"""Room for what FFmpeg's decoders set up when they are first used."""
COLUMNS: Final = (
    *("kind", "inputs", "works", "refused", "else"),
    *("seconds", "slowest ms", "MB at 1/10", "MB at end"),
)
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
        self.slowest_s, self.slowest = 0.0, b""
        self._resident: list[tuple[int, int]] = []

    def add(self, example: Input, outcome: Outcome, seconds: float) -> None:
        """Count one."""
        self.words[outcome.word] += 1
        if seconds > self.slowest_s:
            self.slowest_s, self.slowest = seconds, example.data
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
        "slowest": base64.b64encode(tally.slowest[:4096]).decode(),
        "bad": tally.bad,
    }


def count_wrong(kind: str, found: dict[str, Any]) -> int:
    """Inputs that gave neither a result nor a refusal."""
    words: dict[str, int] = found["outcomes"]
    return int(found["examples"]) - sum(words.get(word, 0) for word in EXPECTED[kind])


def to_row(kind: str, found: dict[str, Any]) -> str:
    """A line of the table."""
    works, wrong = found["outcomes"].get("works", 0), count_wrong(kind, found)
    refused = found["examples"] - works - wrong
    counts = (kind, found["examples"], works, refused, wrong)
    costs = [found[name] for name in ("seconds", "slowest_ms", "resident_warm_mb")]
    return f"| {' | '.join(map(str, (*counts, *costs, found['resident_end_mb'])))} |"


def main() -> int:
    """Try every kind; 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=10_000, help="pictures, clips, bundles")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--kind", action="append", choices=list(EXPECTED), help="redo this one only"
    )
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    kinds: dict[str, dict[str, Any]] = {}
    failed = False
    print(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|")
    for kind in options.kind or EXPECTED:
        share = _KINDS_OF_BUNDLES if "ModelError" in EXPECTED[kind] else 1
        found = kinds[kind] = try_kind(kind, options.examples // share, options.seed)
        growth = found["resident_end_mb"] - found["resident_warm_mb"]
        failed |= count_wrong(kind, found) > 0 or growth > MOST_GROWTH_MB
        print(to_row(kind, found), flush=True)
    if options.kind and options.out.exists():
        kinds = json.loads(options.out.read_text(encoding="utf-8"))["kinds"] | kinds
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "examples": options.examples,
        "seed": options.seed,
        "kinds": kinds,
    }
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
