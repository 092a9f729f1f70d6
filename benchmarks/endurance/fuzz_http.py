"""Malformed requests against the page: no traceback, no hang, nothing left behind.

    python -m benchmarks.endurance.fuzz_http [EXAMPLES]    # writes fuzz_http.json

The requests are those of tests/simrun/sinks/web/test_fuzz.py, 10,000 of them if not told
otherwise, half against a page with a token. The page runs in a process of its own, so that its
memory is not that of the fuzzing. Exits with 1 where anything is wrong; that wrong tokens came is
said in the page's log, and is not.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from hypothesis import HealthCheck, given, settings

from benchmarks.endurance.held import Held, open_files
from benchmarks.harness.benchmark import Benchmark, heading, table
from benchmarks.harness.console import one_line_errors
from benchmarks.harness.record import Record
from simrun.cli.console import setup_logging
from simrun.sinks.web.connection import Limits
from tests.simrun.malformed import Attempt, attempts, survive
from tests.simrun.web import open_page, request, until

_SERVE: Final = "--page"
_TOKEN: Final = "correct-horse-battery"
_WARM_UP: Final = 500
_COUNTED: Final = re.compile(r"warning: page: (a wrong token|\d+ wrong tokens), the last from \S+")
"""What the page is to say of the wrong tokens among the requests."""


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Fuzz a page without and one with a token."""
    runs = [_run(token, options.examples // 2) for token in ("", _TOKEN)]
    return {"examples": options.examples, "runs": runs}


def to_markdown(record: Record) -> str:
    """A row a page."""
    rows = [
        [
            "with a token" if run["token"] else "open",
            run["sent"],
            len(unexpected(run["log"])),
            f"{run['slowest_s']:.2f}",
            f"{run['files']:+d}, {run['threads']:+d}",
            " to ".join(f"{size:.1f}" for size in run["resident_mb"]),
        ]
        for run in record["runs"]
    ]
    heads = ["page", "malformed requests", "unexpected lines of its log", "slowest answer, s"]
    note = heading(record, "the page in a process of its own")
    return f"{note}\n\n{table([*heads, 'files, threads left', 'resident MB'], rows)}"


def faults(record: Record) -> list[str]:
    """Pages that said something or kept a file."""
    return [
        f"fuzz_http: {run['files']} files left; {'; '.join(lines)}"
        for run in record["runs"]
        for lines in [unexpected(run["log"])]
        if lines or run["files"] > 0
    ]


def unexpected(log: str) -> list[str]:
    """Lines of the page's log, but for those that count wrong tokens."""
    return [line for line in log.splitlines() if not _COUNTED.fullmatch(line)]


def _serve(token: str | None) -> None:
    """Be the page until the standard input ends; the log goes to standard error."""
    with open_page(token=token, limits=Limits(head_s=0.02, linger_s=0.05)) as page:
        # From here on only: where the page is, is told at its start.
        setup_logging(debug=True)
        page.show()
        print(page.port, flush=True)
        sys.stdin.read()


def _run(token: str, examples: int) -> dict[str, Any]:
    with _page_process(token) as (process, port):
        fuzz = _fuzz(process.pid, port, examples)
        assert process.poll() is None, "the page ended"
    return {"token": bool(token)} | fuzz | {"log": process.communicate()[1]}


@contextmanager
def _page_process(token: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.endurance.fuzz_http", _SERVE, token],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    yield process, int(process.stdout.readline())
    process.stdin.close()
    process.stdin = None


def _fuzz(pid: int, port: int, examples: int) -> dict[str, Any]:
    """Counts of one run against one page."""
    slowest = 0.0
    answers: Counter[str] = Counter()

    def send(attempt: Attempt) -> None:
        nonlocal slowest
        start = time.perf_counter()
        answers[str(survive(port, attempt))] += 1
        slowest = max(slowest, time.perf_counter() - start)

    # Whatever is made at its first use is made now: the encoder's thread, its buffers.
    for path in ("/", "/stream.mjpg", "/snapshot.jpg", "/events", "/metrics"):
        survive(port, Attempt((request(path), b""), ends=False, listens=True))
    _given(send, _WARM_UP)
    answers.clear()
    before, start = Held.of(pid), time.perf_counter()
    _given(send, examples)
    took = time.perf_counter() - start
    until(lambda: open_files(pid) <= before.files, "every connection to be closed")
    after = Held.of(pid)
    return {
        "sent": answers.total(),
        "answers": dict(sorted(answers.items())),
        "seconds": round(took, 1),
        "slowest_s": round(slowest, 3),
        "files": after.files - before.files,
        "threads": after.threads - before.threads,
        "resident_mb": [before.resident_mb, after.resident_mb],
    }


def _given(send: Callable[[Attempt], None], examples: int) -> None:
    @settings(
        max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(attempts())
    def fuzz(attempt: Attempt) -> None:
        send(attempt)

    fuzz()


BENCHMARK: Final = Benchmark(
    measure,
    to_markdown,
    lambda parser: parser.add_argument("examples", type=int, nargs="?", default=10_000),
    markers="fuzz-http",
    faults=faults,
)

if __name__ == "__main__":
    if sys.argv[1:2] == [_SERVE]:
        with one_line_errors("fuzz_http"):
            _serve(sys.argv[2] or None)
    else:
        BENCHMARK.main()
