"""How many threads pay: a short probe of the network on this machine.

Scheduling costs more than it gains for small networks, so that one thread is often the fastest, and
which number is depends on the working size and on the board.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from simrun.errors import UsageError
from simrun.inference.session import MAX_THREADS, Engine, EngineConfig

_log = logging.getLogger(__name__)

AUTO: Final = "auto"
CANDIDATES: Final = (1, 2, 4)

_LEAST_GAIN: Final = 0.05
"""Share of the time that more threads must save: each of them is a core that others lack."""
_DIGITS: Final = 9
_SHOWN: Final = 40
"""Characters of a wrong value that a message repeats."""
_ROUNDS: Final = 9
_LEAST_ROUNDS: Final = 3
_BUDGET_S: Final = 1.5
"""Seconds after which no new round begins: a large image on a slow board takes long enough."""


@dataclass(frozen=True)
class ThreadProbe:
    """What was measured, and what follows from it."""

    threads: int
    """The number that was chosen."""
    times_s: Mapping[int, tuple[float, ...]]
    """Wall time of each run of the network, by number of threads."""

    def describe(self) -> str:
        """The choice and its reason in one line."""
        times = ", ".join(
            f"{threads}: {float(np.median(times)) * 1000:.2f} ms"
            for threads, times in self.times_s.items()
        )
        return f"threads auto: {self.threads} (median of the network by threads, {times})"


def parse_threads(text: str) -> int | None:
    """The number of threads in `N`; None for `auto`.

    Raises:
        UsageError: it is neither.
    """
    if text == AUTO:
        return None
    if text.isdecimal() and len(text) <= _DIGITS and 1 <= int(text) <= MAX_THREADS:
        return int(text)
    raise UsageError(
        f"--threads is {text[:_SHOWN]}; it must be 1 to {MAX_THREADS}, or the word {AUTO}"
    )


def limit_opencv(threads: int) -> None:
    """Let OpenCV use that many threads, those of the network, in the whole process.

    Left alone it wakes one for every core and every small picture. A frame of a camera then takes
    more than half as much processor time again, and comes no sooner.
    """
    cv2.setNumThreads(threads)


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def probe_threads(
    graph: bytes, batch: NDArray[np.uint8], provider: str | None, *, what: str
) -> ThreadProbe:
    """Measure 1, 2 and 4 threads, as far as there are cores, and choose.

    Args:
        graph: the ONNX file's content.
        batch: (N, C, H, W) uint8, of the size that the graph is going to run on.
        provider: execution provider; None takes the CPU.
        what: the file's name, for messages.

    Raises:
        UsageError: the provider is not there.
        ModelError: the graph does not load or run.
    """
    cores = usable_cores()
    engines = {
        threads: Engine(graph, EngineConfig(threads, provider), what=what)
        for threads in CANDIDATES
        if threads <= cores
    }
    times = time_in_turns({n: partial(engine.run, batch) for n, engine in engines.items()})
    probe = ThreadProbe(choose(times), times)
    _log.info("%s, %d cores", probe.describe(), cores)
    return probe


def time_in_turns(
    runs: Mapping[int, Callable[[], object]], clock: Callable[[], float] = time.perf_counter
) -> dict[int, tuple[float, ...]]:
    """Wall times in seconds of several functions, called in turns.

    The first call of each is not counted: it allocates. At least 3 rounds, at most 9.
    """
    for run in runs.values():
        run()
    times: dict[int, list[float]] = {key: [] for key in runs}
    begin = clock()
    for done in range(_ROUNDS):
        if done >= _LEAST_ROUNDS and clock() - begin > _BUDGET_S:
            break
        for key, run in runs.items():
            start = clock()
            run()
            times[key].append(clock() - start)
    return {key: tuple(values) for key, values in times.items()}


def choose(times_s: Mapping[int, Sequence[float]]) -> int:
    """The number of threads to use: the fastest, and of those that tie the fewest.

    More threads win only where they save at least 5 % of the median, and their slower quartile is
    below the faster quartile of the fewer: anything less is noise.
    """
    fewest, *more = sorted(times_s)
    chosen = fewest
    for threads in more:
        if _is_faster(times_s[threads], times_s[chosen]):
            chosen = threads
    return chosen


def _is_faster(these: Sequence[float], those: Sequence[float]) -> bool:
    low, middle = np.quantile(those, (0.25, 0.5))
    own, high = np.quantile(these, (0.5, 0.75))
    return bool(own < (1 - _LEAST_GAIN) * middle and high < low)
