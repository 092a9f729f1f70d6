"""How far long work is: a bar on a terminal, a line of the log now and then elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_log = logging.getLogger(__name__)

LINE_EVERY_S: Final = 10.0
"""Between two lines where there is no terminal."""

Advance = Callable[[int], None]
"""Report that many further steps as done."""


@contextmanager
def progress(
    what: str,
    total: int | None,
    *,
    bar: bool = True,
    every_s: float = LINE_EVERY_S,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Advance]:
    """Show on stderr how many of `total` steps are done; log lines appear above the bar.

    Where the log is silent, as in all but one of several processes, nothing is shown.

    Args:
        what: names the steps.
        total: None where nobody knows it: there is no bar then.
        bar: false where other lines go to the same terminal.
        every_s: between two lines where there is no bar.
        clock: seconds.
    """
    if bar and total and total > 1 and sys.stderr.isatty() and _log.isEnabledFor(logging.INFO):
        with _bar(what, total) as advance:
            yield advance
        return
    done, told_s = 0, clock()

    def line(steps: int) -> None:
        nonlocal done, told_s
        done += steps
        now_s = clock()
        if now_s >= told_s + every_s:
            told_s = now_s
            _log.info("%s: %d%s", what, done, f" of {total}" if total else "")

    yield line


@contextmanager
def _bar(what: str, total: int) -> Iterator[Advance]:
    # Here, because it is of no use, and of some megabytes, where there is no terminal.
    from rich.console import Console
    from rich.progress import Progress

    # Standard output stays as it is: results may go there.
    shown = Progress(
        console=Console(stderr=True), transient=True, redirect_stdout=False, refresh_per_second=4
    )
    with shown:
        task = shown.add_task(what, total=total)
        yield lambda steps: shown.advance(task, steps)
