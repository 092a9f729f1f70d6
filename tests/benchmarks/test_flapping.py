"""The soak's camera: it fails in every way, and not while it is told to hold still."""

from __future__ import annotations

import pytest

from benchmarks.endurance import flapping
from benchmarks.endurance.flapping import (
    SIZE,
    Failure,
    FlappingDevice,
    FlappingStream,
    open_flapping,
)
from simrun.errors import SourceError


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> FlappingDevice:
    """One whose frames come at once."""
    monkeypatch.setattr(flapping, "_RATE", 1e6)
    monkeypatch.setattr(flapping, "_BAD_RATE", 1e6)
    return FlappingDevice()


def test_a_camera_that_was_unplugged_gives_pictures_until_then(device: FlappingDevice) -> None:
    stream = FlappingStream(device, Failure.UNPLUGGED, reads=2)
    for _ in range(2):
        shot = stream.read()
        assert shot is not None
        assert shot.decoded().image.shape == (SIZE.height, SIZE.width, 3)
    with pytest.raises(SourceError, match="unplugged"):
        stream.read()


def test_it_sends_nothing_and_damage_and_the_same_again(device: FlappingDevice) -> None:
    assert FlappingStream(device, Failure.EMPTY, reads=0).read() is None
    damaged = FlappingStream(device, Failure.DAMAGED, reads=0).read()
    assert damaged is not None
    with pytest.raises(SourceError):
        damaged.decoded()
    frozen = FlappingStream(device, Failure.FROZEN, reads=1)
    first, second, third = (frozen.read() for _ in range(3))
    assert first is not None
    assert second is not None
    assert third is not None
    assert first.image is second.image is third.image
    device.steady.set()
    last = frozen.read()
    assert last is not None
    assert last.image is not first.image


def test_a_stalled_read_ends_once_it_is_interrupted(device: FlappingDevice) -> None:
    stream = FlappingStream(device, Failure.STALLED, reads=0)
    stream.interrupt()
    assert stream.read() is None


def test_it_does_not_begin_to_fail_while_it_is_to_be_steady(device: FlappingDevice) -> None:
    stream = FlappingStream(device, Failure.UNPLUGGED, reads=0)
    device.steady.set()
    assert stream.read() is not None
    device.steady.clear()
    with pytest.raises(SourceError):
        stream.read()


def test_the_live_source_opens_it_again(
    device: FlappingDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flapping, "_MOST_READS", 1)
    camera = open_flapping(device)
    try:
        for _ in camera:
            if camera.stats().reconnects >= 2:
                break
    finally:
        camera.close()
    assert camera.stats().captured >= 3
