"""Malformed requests against the page: no traceback, no hang, nothing left behind.

    python -m benchmarks.fuzz_http [EXAMPLES]

The requests are those of tests/simrun/test_web_fuzz.py, 10,000 of them if not told otherwise; half
against a page with a token. Exits with 1 where anything is wrong.
"""

from __future__ import annotations

import gc
import json
import logging
import sys
import threading
import time
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings

from simrun.web.connection import Limits
from tests.simrun.malformed import Attempt, attempts, survive
from tests.simrun.web import Page, open_files, open_page, until

_TOKENS = (None, "correct-horse-battery")


class Failures(logging.Handler):
    """Keeps every warning and error."""

    def __init__(self) -> None:
        """None yet."""
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self.lines.append(record.getMessage())


def main() -> None:
    """Fuzz and print one JSON object."""
    examples = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    failures = Failures()
    logging.getLogger().addHandler(failures)
    record: dict[str, Any] = {"examples": examples, "runs": []}
    for token in _TOKENS:
        with open_page(token=token, limits=Limits(head_s=0.02, linger_s=0.05)) as page:
            page.show()
            record["runs"].append({"token": token is not None} | _fuzz(page, examples // 2))
    record["log"] = failures.lines
    print(json.dumps(record, indent=1))
    clean = not failures.lines and all(run["files"] <= 0 for run in record["runs"])
    sys.exit(0 if clean else 1)


def _fuzz(page: Page, examples: int) -> dict[str, Any]:
    """Counts of one run against one page."""
    slowest = 0.0
    answers: Counter[str] = Counter()

    @settings(
        max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(attempts())
    def fuzz(attempt: Attempt) -> None:
        nonlocal slowest
        start = time.perf_counter()
        answers[str(survive(page, attempt))] += 1
        slowest = max(slowest, time.perf_counter() - start)

    for _ in range(200):
        survive(page, Attempt((b"GET / HTTP/1.1\r\n\r\n",), True, True))
    files, threads, memory = open_files(), threading.active_count(), _resident_mb()
    start = time.perf_counter()
    fuzz()
    until(lambda: open_files() <= files, "every connection to be closed")
    gc.collect()
    return {
        "sent": answers.total(),
        "answers": dict(sorted(answers.items())),
        "seconds": round(time.perf_counter() - start, 1),
        "slowest_s": round(slowest, 3),
        "files": open_files() - files,
        "threads": threading.active_count() - threads,
        "resident_mb": [round(memory, 1), round(_resident_mb(), 1)],
    }


def _resident_mb() -> float:
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * 4096 / 1e6


if __name__ == "__main__":
    main()
