"""A graph, loaded and run by ONNX Runtime."""

from __future__ import annotations

import logging
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from simrun.bundle.load import load_bundle
from simrun.inference import session
from simrun.inference.session import Engine, EngineConfig

GRAPH = load_bundle("mnist-lenet").localizer
FRAME = np.random.default_rng(1).integers(0, 256, (1, 1, 480, 640), np.uint8)


def load() -> Engine:
    return Engine(GRAPH, EngineConfig(), what="localizer.onnx")


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_graphs_that_run_in_turns_use_the_same_memory() -> None:
    first, second = load(), load()
    first.run(FRAME)
    before_mb = resident_mb()
    second.run(FRAME)
    assert resident_mb() - before_mb < 8, "its layers take 24 of its own"


def test_graphs_that_run_at_once_do_not_disturb_each_other() -> None:
    alone = load().run(FRAME)
    engines = [load() for _ in range(4)]
    with ThreadPoolExecutor(len(engines)) as threads:
        together = list(threads.map(lambda i: engines[i % 4].run(FRAME), range(12)))
    for map_ in together:
        np.testing.assert_array_equal(map_, alone)


def test_an_arena_that_is_shared_already_serves(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("An allocator for this device has already been registered for sharing.")

    expected = load().run(FRAME)
    session._share_arena.cache_clear()
    monkeypatch.setattr("onnxruntime.create_and_register_allocator", refuse)
    with caplog.at_level(logging.DEBUG, "simrun.inference.session"):
        again = load()
    assert "already been registered" in caplog.text
    np.testing.assert_array_equal(again.run(FRAME), expected)
