"""What a benchmark sets for its whole process is set back after a test."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from simrun.progress import progress


@pytest.fixture(autouse=True)
def _level_of_progress() -> Iterator[None]:
    """A benchmark tells how far it is; other programs keep the level of their own log."""
    log = logging.getLogger(progress.__module__)
    level = log.level
    yield
    log.setLevel(level)
