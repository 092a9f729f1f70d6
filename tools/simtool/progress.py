"""A progress bar on a terminal, nothing elsewhere: the log's plain lines are there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[int], None]
"""Report that many further steps as done."""


@contextmanager
def progress(what: str, total: int) -> Iterator[Advance]:
    """Show a bar of `total` steps on stderr, where that is a terminal.

    Log lines appear above the bar. Rich is imported only for a terminal.
    """
    if not sys.stderr.isatty():
        yield lambda steps: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda steps: bar.advance(task, steps)
