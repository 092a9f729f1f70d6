"""A track's label follows what is read, and not every misreading."""

from __future__ import annotations

import itertools

import pytest

from simrun.tracking.consensus import Consensus

Reading = tuple[str | None, float | None]


FRAME_S = 1 / 30


def labels(*readings: Reading, frame_s: float = FRAME_S) -> list[str | None]:
    consensus = Consensus()
    return [consensus.add(*reading, frame_s)[0] for reading in readings]


def test_what_is_read_at_first_is_the_label_at_once() -> None:
    assert Consensus().add("12", 0.7, FRAME_S) == ("12", pytest.approx(0.7))
    assert Consensus().add(None, None, FRAME_S) == (None, None)


def test_one_misreading_that_is_less_sure_does_not_show() -> None:
    assert labels(("12", 0.95), ("12", 0.95), ("72", 0.8), ("12", 0.95)) == ["12"] * 4
    assert labels(("12", 0.95), ("12", 0.95), (None, None), ("12", 0.95)) == ["12"] * 4


def test_readings_of_slow_frames_are_soon_old() -> None:
    readings = [("12", 0.95), ("12", 0.95), ("13", 0.6)]
    assert labels(*readings, frame_s=0.1) == ["12"] * 3
    assert labels(*readings, frame_s=0.5) == ["12", "12", "13"]
    assert labels(*readings[:2], (None, None), frame_s=0.5)[-1] is None


def test_a_new_text_that_is_as_sure_shows_at_once() -> None:
    assert labels(*[("12", 0.95)] * 9, ("13", 0.95)) == ["12"] * 9 + ["13"]


@pytest.mark.parametrize(
    ("old", "new"),
    list(itertools.product([0.6, 0.9, 0.99, 1.0], [0.61, 0.8, 1.0])),
)
def test_a_changed_number_shows_within_two_frames(old: float, new: float) -> None:
    assert labels(*[("12", old)] * 99, *[("13", new)] * 2)[-1] == "13"


@pytest.mark.parametrize("old", [0.6, 0.9, 1.0])
def test_a_text_that_went_is_gone_within_two_frames(old: float) -> None:
    assert labels(*[("12", old)] * 99, *[(None, None)] * 2)[-1] is None


def test_the_score_is_the_mean_probability_of_the_label_over_the_last_frames() -> None:
    consensus = Consensus()
    consensus.add("12", 0.9, FRAME_S)
    assert consensus.add("12", 0.7, FRAME_S)[1] == pytest.approx((0.7 + 0.4 * 0.9) / 1.4)
    assert consensus.add("13", 0.5, FRAME_S) == (
        "12",
        pytest.approx((0.4 * 0.7 + 0.16 * 0.9) / 1.56),
    )


def test_flicker_between_many_texts_is_forgotten() -> None:
    consensus = Consensus()
    for i in range(1000):
        consensus.add(str(i), 0.9, FRAME_S)
    assert len(consensus._counts) < 20
    assert len(consensus._scores) < 20
