"""How many threads are chosen."""

from __future__ import annotations

import itertools
import logging

import cv2
import numpy as np
import pytest

from simrun.bundle.load import Bundle, load_bundle
from simrun.cli.run import load_localizer
from simrun.config.schema import Settings
from simrun.errors import UsageError
from simrun.inference.threads import (
    CANDIDATES,
    ThreadProbe,
    choose,
    parse_threads,
    time_in_turns,
)
from simrun.localizer import Localizer, choose_threads
from tests.simrun.conftest import STROKES


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({1: [10, 10, 11]}, 1),
        ({1: [10, 10, 11], 2: [6, 6, 7], 4: [4, 4, 5]}, 4),
        ({1: [10, 10, 11], 2: [6, 6, 7], 4: [12, 13, 14]}, 2),
        ({1: [10, 10, 11], 2: [20, 21, 22], 4: [5, 5, 6]}, 4),
        # Faster by less than 5 %, however steady.
        ({1: [10, 10, 10], 2: [9.6, 9.6, 9.6]}, 1),
        # Faster by a third in the median, but the quartiles overlap.
        ({1: [6, 9, 12], 2: [5, 6, 11]}, 1),
    ],
)
def test_the_fastest_wins_and_of_those_that_tie_the_fewest(
    times: dict[int, list[float]], expected: int
) -> None:
    assert choose(times) == expected


def test_runs_take_turns_and_the_first_of_each_is_not_counted() -> None:
    calls: list[str] = []
    now = [0.0]

    def run(name: str, seconds: float) -> None:
        # A first run that allocates, and a machine that slows down halfway.
        now[0] += 100 * seconds if name not in calls else seconds
        calls.append(name)

    runs = {1: lambda: run("one", 0.01), 2: lambda: run("two", 0.02)}
    times = time_in_turns(runs, clock=lambda: now[0])
    assert calls == ["one", "two"] * 10
    assert times[1] == pytest.approx([0.01] * 9)
    assert times[2] == pytest.approx([0.02] * 9)


def test_a_slow_network_is_probed_for_three_rounds_only() -> None:
    seconds = itertools.count()
    times = time_in_turns({1: lambda: None, 2: lambda: None}, clock=lambda: float(next(seconds)))
    assert [len(values) for values in times.values()] == [3, 3]


def test_the_choice_on_this_machine_is_measured_and_logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simrun.inference.threads.usable_cores", lambda: 2)
    with caplog.at_level(logging.INFO, "simrun"):
        probe = choose_threads(load_bundle(STROKES), 320)
    assert list(probe.times_s) == [threads for threads in CANDIDATES if threads <= 2]
    assert probe.threads in probe.times_s
    assert f"threads auto: {probe.threads} (median of the network by threads, 1: " in caplog.text
    assert "2 cores" in caplog.text


def test_a_localizer_without_a_number_of_threads_takes_what_the_probe_chose(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sides: list[int] = []

    def probe(_: Bundle, side: int, provider: str | None) -> ThreadProbe:
        assert provider is None
        sides.append(side)
        return ThreadProbe(3, {})

    monkeypatch.setattr("simrun.localizer.choose_threads", probe)
    assert Localizer.load(STROKES, side=160, threads=None).threads == 3
    assert Localizer.load(STROKES, threads=None).threads == 3
    with pytest.raises(UsageError, match="--side is 5"):
        Localizer.load(STROKES, side=5, threads=None)
    assert sides == [160, load_bundle(STROKES).meta.side]


@pytest.mark.parametrize(("text", "expected"), [("3", 3), ("auto", None)])
def test_threads_are_a_number_or_auto(text: str, expected: int | None) -> None:
    assert parse_threads(text) == expected


@pytest.mark.parametrize("text", ["0", "-1", "fast", "", "1.5", "257", "9" * 5000, "²"])
def test_other_words_are_named(text: str) -> None:
    with pytest.raises(
        UsageError, match=f"--threads is {text[:40]}; it must be 1 to 256, or the word"
    ):
        parse_threads(text)


@pytest.mark.usefixtures("opencv_threads")
@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_command_gives_opencv_as_many_threads_as_the_network(threads: str) -> None:
    cv2.setNumThreads(3)
    localizer = load_localizer(Settings(model=str(STROKES), threads=threads))
    assert cv2.getNumThreads() == localizer.threads == int(threads)


@pytest.mark.usefixtures("opencv_threads")
def test_a_localizer_in_somebody_elses_program_leaves_opencv_alone() -> None:
    cv2.setNumThreads(3)
    Localizer.load(STROKES, side=160)(np.zeros((120, 160), np.uint8))
    assert cv2.getNumThreads() == 3
