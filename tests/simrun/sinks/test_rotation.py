"""When outputs are set aside, under which names, and which of them go."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from simrun.errors import UsageError
from simrun.sinks.names import set_aside, start_prefix
from simrun.sinks.rotation import Rotation, Rotator, parse_rotation
from tests.simrun.clock import Clock


@pytest.mark.parametrize(
    ("text", "rotation"),
    [
        ("100M", Rotation(100 << 20, 7)),
        ("2G:3", Rotation(2 << 30, 3)),
        ("4096", Rotation(4096, 7)),
        ("64K:0", Rotation(64 << 10, 0)),
        ("daily", Rotation(None, 7)),
        ("daily:30", Rotation(None, 30)),
    ],
)
def test_what_can_be_asked_for(text: str, rotation: Rotation) -> None:
    assert parse_rotation(text) == rotation


@pytest.mark.parametrize(
    "text", ["", "weekly", "100m", "-1M", "1.5G", "daily:", "10M:x", "0", "99"]
)
def test_what_cannot(text: str) -> None:
    with pytest.raises(UsageError, match="--rotate is"):
        parse_rotation(text)


def test_a_later_day_is_due_and_an_earlier_is_not(tmp_path: Path) -> None:
    clock = Clock()
    clock.now = datetime(2026, 11, 30, 23, 59).timestamp()
    rotator = Rotator(tmp_path / "r", Rotation(None), clock)
    rotator.begun()
    assert not rotator.is_due(1 << 40)
    clock.now -= 86400
    assert not rotator.is_due(1)
    clock.now += 86400 + 120
    assert rotator.is_due(1)
    rotator.begun()
    assert not rotator.is_due(1)
    rotator.begun(clock.now - 86400)  # what is there was last written yesterday
    assert rotator.is_due(1)


def test_numbers_go_up_and_are_not_used_again(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    rotator = Rotator(path, Rotation(1, keep=2))
    for number in range(4):
        path.write_text(str(number))
        rotator.rotate()
    (tmp_path / "r.7.csv").write_text("somebody else's")
    files = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert files == {"r.000003.csv": "2", "r.000004.csv": "3", "r.7.csv": "somebody else's"}


def test_without_a_rotation_nothing_is_due_and_nothing_goes(tmp_path: Path) -> None:
    path = tmp_path / "r.mkv"
    rotator = Rotator(path, None)
    assert not rotator.is_due(1 << 50)
    for _ in range(9):
        path.touch()
        rotator.rotate()
    assert len(list(tmp_path.iterdir())) == 9


def test_starts_of_one_second_are_told_apart(tmp_path: Path) -> None:
    for expected in ("20261130T111500Z-", "20261130T111500Z.2-", "20261130T111500Z.3-"):
        prefix = start_prefix(tmp_path, 1_796_037_300.4)
        assert prefix == expected
        (tmp_path / f"{prefix}frame-000000.jpg").touch()


def test_a_name_with_marks_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a[1]+(x).jsonl"
    for _ in range(2):
        path.touch()
        last = set_aside(path)
    assert last.name == "a[1]+(x).000002.jsonl"
