"""Damaged and hostile files give a result or one line, never a traceback, a crash or a hang.

This tries a hundred of each kind; `python -m benchmarks.endurance.fuzz` tries ten thousand.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings

from .fuzz.inputs import inputs
from .fuzz.worker import ATTEMPTS, EXPECTED, STROKES, Input, Worker


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.close()


@pytest.mark.parametrize("kind", inputs())
def test_a_result_or_one_line(worker: Worker, kind: str) -> None:
    @settings(
        max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(inputs()[kind])
    def attempt(example: Input) -> None:
        outcome = worker.attempt(example)
        assert outcome.word in EXPECTED[kind], outcome.detail

    attempt()


def test_every_kind_is_tried() -> None:
    assert inputs().keys() == ATTEMPTS.keys() == EXPECTED.keys()


def test_what_is_not_damaged_works(worker: Worker) -> None:
    graph = (STROKES / "localizer.onnx").read_bytes()
    metadata = (STROKES / "model.json").read_bytes()
    for example in (
        Input("damaged graph", "", graph),
        Input("sealed graph", "", graph),
        Input("metadata", "", metadata),
        Input("sealed metadata", "", metadata),
    ):
        outcome = worker.attempt(example)
        assert (outcome.word, outcome.detail) == ("works", "1 regions")


def test_a_crash_and_a_traceback_are_seen(worker: Worker) -> None:
    worker._process.kill()
    assert worker.attempt(Input("picture", ".png", b"")).word == "crash"
    assert worker.attempt(Input("picture", "/none/x", b"")).word == "traceback"
    assert worker.attempt(Input("picture", ".png", b"")).word == "SourceError"
