"""Live sources: the latest frame, every fault, and what is done about it."""

from __future__ import annotations

import gc
import logging
import threading
import weakref
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import numpy as np
import pytest

from simrun.errors import SourceError
from simrun.images.read import Image
from simrun.sources import Frame
from simrun.sources.devices.base import DeviceUnusableError, Shot
from simrun.sources.live.capture import LatestSlot
from simrun.sources.live.clock import SystemClock
from simrun.sources.live.frozen import FrozenWatch
from simrun.sources.live.reconnect import CEILING_S, FLOOR_S, MAX_HUNG, Backoff, LiveSource
from simrun.sources.options import SourceOptions
from simrun.stats import State
from tests.simrun.live_fakes import (
    PATIENCE_S,
    Broken,
    Decoder,
    FakeClock,
    Mark,
    Opening,
    ScriptedDevice,
    picture,
)

Open = Callable[..., tuple[LiveSource, ScriptedDevice]]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def devices() -> Iterator[list[ScriptedDevice]]:
    made: list[ScriptedDevice] = []
    yield made
    for device in made:
        device.test_ends.set()


@pytest.fixture
def live(clock: FakeClock, devices: list[ScriptedDevice]) -> Iterator[Open]:
    """Open a source over a scripted device."""
    opened: list[LiveSource] = []

    def open_it(*openings: Opening, **options: Any) -> tuple[LiveSource, ScriptedDevice]:
        device = ScriptedDevice(clock, *openings)
        devices.append(device)
        source = LiveSource(device, SourceOptions(**options), clock=clock, random=Random(1))
        opened.append(source)
        return source, device

    yield open_it
    for source in opened:
        for device in devices:
            device.test_ends.set()
        source.close()


def values(source: LiveSource, count: int) -> list[int]:
    """The colours of the next frames."""
    frames = iter(source)
    return [int(next(frames).image[0, 0, 0]) for _ in range(count)]  # type: ignore[union-attr]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.message for r in caplog.records if r.levelno == logging.WARNING]


class LosingDevice:
    """Gives two pictures each time it is opened and then fails, in one of several ways."""

    name = "cam"

    def __init__(self, clock: FakeClock, openings: int) -> None:
        self.clock = clock
        self.left = openings
        self.pictures: list[weakref.ref[Image]] = []

    def open(self) -> LosingStream:
        self.left -= 1
        if self.left < 0:
            raise SourceError("cam is gone for good")
        return LosingStream(self)

    @property
    def alive(self) -> int:
        """Pictures that somebody still holds."""
        return sum(ref() is not None for ref in self.pictures)


class LosingStream:
    description = "FAKE"
    rate: float | None = None

    def __init__(self, device: LosingDevice) -> None:
        self.device = device
        self.given = 0
        self.let_go = threading.Event()

    def read(self) -> Shot:
        self.given += 1
        image = picture(self.device.left % 200 + self.given)
        self.device.pictures.append(weakref.ref(image))
        if self.given <= 2:
            self.device.clock.await_demand(self.let_go)
            return Shot(image)
        try:
            self._fail(image)
        except ValueError as error:
            raise SourceError("cam stopped giving frames") from error
        return Shot(image)

    def _fail(self, image: Image) -> None:
        raise ValueError(f"the driver failed at {image.shape}")

    def interrupt(self) -> None:
        self.device.clock.interrupt(self.let_go)

    def close(self) -> None:
        pass


def test_a_lost_connection_leaves_nothing_behind(clock: FakeClock) -> None:
    """Counted without the garbage collector, which comes by too rarely for pictures of 6 MB."""
    lost = 500
    device = LosingDevice(clock, lost)
    options = SourceOptions(give_up_s=1000.0, frozen_s=0)
    source = LiveSource(device, options, clock=clock, random=Random(1))
    frames, alive = iter(source), list[int]()
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(SourceError, match="gone for good"):
            alive.extend(device.alive for _ in frames)
    finally:
        gc.enable()
    assert source.stats().reconnects == lost - 1
    assert len(alive) >= lost
    assert max(alive) <= 8


class TestLatestFrame:
    def test_the_newest_frame_wins_and_the_others_are_counted(
        self, live: Open, clock: FakeClock
    ) -> None:
        clock.free_running = True
        source, _ = live([picture(i) for i in range(5)])
        assert clock.hangs.wait(PATIENCE_S)
        frame = next(iter(source))
        assert isinstance(frame, Frame)
        assert (frame.image[0, 0, 0], frame.index) == (4, 4)
        stats = source.stats()
        assert (stats.captured, stats.skipped, stats.state) == (5, 4, State.OPEN)

    def test_no_frame_is_given_twice(self, live: Open) -> None:
        source, _ = live([picture(1), picture(2), picture(3)])
        assert values(source, 3) == [1, 2, 3]
        assert source.stats().skipped == 0

    def test_age_is_counted_from_the_devices_own_time_stamp(
        self, live: Open, clock: FakeClock
    ) -> None:
        source, _ = live([clock.advance(2), Shot(picture(), stamp_s=1001.9)])
        frame = next(iter(source))
        assert isinstance(frame, Frame)
        assert frame.capture_s == pytest.approx(0.1)
        assert frame.time_s == pytest.approx(1.9)

    @pytest.mark.parametrize("stamp_s", [5000.0, 3.0])
    def test_a_time_stamp_of_another_clock_is_told_once_and_not_used(
        self, live: Open, clock: FakeClock, stamp_s: float, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        shots = [Shot(picture(i), stamp_s) for i in range(3)]
        source, _ = live([clock.advance(2), *shots])
        frames = iter(source)
        for _ in range(3):
            frame = next(frames)
            assert isinstance(frame, Frame)
            assert (frame.capture_s, frame.time_s) == (0.0, 2.0)
        assert caplog.text.count("such frames count from that") == 1

    def test_a_time_stamp_just_ahead_of_its_arrival_is_that_of_the_arrival(
        self, live: Open, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        source, _ = live([clock.advance(2), Shot(picture(), stamp_s=1002.01)])
        frame = next(iter(source))
        assert isinstance(frame, Frame)
        assert (frame.capture_s, frame.time_s) == (0.0, 2.0)
        assert "time stamp" not in caplog.text

    def test_a_frame_that_waited_in_the_slot_is_older(self, live: Open, clock: FakeClock) -> None:
        source, _ = live([picture()])
        clock.now_s += 3
        frame = next(iter(source))
        assert isinstance(frame, Frame)
        assert frame.capture_s == pytest.approx(3)

    def test_what_was_agreed_on_is_logged_and_told(
        self, live: Open, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        source, device = live([picture()])
        assert source.rate == 25.0
        assert source.name == device.name
        assert source.stats().description == "32x24 FAKE at 25 frames/s"
        assert "cam: 32x24 FAKE at 25 frames/s" in caplog.text


class TestStart:
    def test_a_missing_device_is_an_error_at_once(self, live: Open, clock: FakeClock) -> None:
        with pytest.raises(SourceError, match=r"^no camera cam$"):
            live()
        assert clock.pauses == []

    def test_a_device_that_comes_in_time_is_waited_for(
        self, live: Open, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        missing = [SourceError("no camera cam")] * 4
        source, device = live(*missing, [picture(8)], wait_s=30)
        assert values(source, 1) == [8]
        assert device.tries == 5
        assert len(clock.pauses) == 4
        assert warnings(caplog) == ["no camera cam; waiting for it since 0 s"]
        stats = source.stats()
        assert (stats.state, stats.reconnects, stats.error) == (State.OPEN, 0, None)

    def test_waiting_ends(self, live: Open, clock: FakeClock) -> None:
        with pytest.raises(SourceError, match=r"no camera cam \(waited 30 s\)"):
            live(wait_s=30)
        assert clock.now_s == pytest.approx(1030)

    def test_a_long_wait_says_so_now_and_then(
        self, live: Open, caplog: pytest.LogCaptureFixture
    ) -> None:
        with pytest.raises(SourceError):
            live(wait_s=3600)
        lines = [line for line in warnings(caplog) if "; waiting for it since" in line]
        assert 20 <= len(lines) <= 61

    def test_another_reason_is_said_at_once(
        self, live: Open, caplog: pytest.LogCaptureFixture
    ) -> None:
        live(SourceError("not there"), SourceError("no permission"), [picture()], wait_s=9)
        assert [line.split(";")[0] for line in warnings(caplog)] == ["not there", "no permission"]

    def test_what_can_never_work_is_not_waited_for(self, live: Open, clock: FakeClock) -> None:
        with pytest.raises(DeviceUnusableError, match="not installed"):
            live(DeviceUnusableError("not installed"), [picture()], wait_s=30)
        assert clock.pauses == []

    @pytest.mark.parametrize("opening", [Mark.HANG, [Mark.HANG]], ids=["open", "read"])
    def test_a_device_that_hangs_at_the_start_is_an_error(
        self, live: Open, opening: Opening
    ) -> None:
        with pytest.raises(SourceError, match="cam was opened and gave no frame for 15 s"):
            live(opening)

    def test_a_broken_driver_is_not_taken_for_an_absent_one(self, live: Open) -> None:
        with pytest.raises(ZeroDivisionError):
            live([ZeroDivisionError("a bug")], wait_s=30)


class TestOutage:
    def test_a_device_that_was_unplugged_comes_back(
        self, live: Open, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        gone = SourceError("no camera cam")
        source, device = live([picture(1), *[Mark.BAD] * 30], gone, gone, [picture(2)])
        assert values(source, 2) == [1, 2]
        stats = source.stats()
        assert (stats.bad, stats.reconnects, stats.stalls, stats.hung) == (30, 1, 0, 0)
        assert device.streams[0].closed.is_set()
        said = [r.message for r in caplog.records]
        assert said[1] == "cam stopped giving frames; it will be opened again"
        assert said[2] == "no camera cam; waiting for it since 1 s"
        assert said[3] == "cam: 32x24 FAKE at 25 frames/s"
        assert said[4].startswith("cam is back after ")
        assert len(said) == 5

    def test_frames_keep_counting_up(self, live: Open) -> None:
        source, _ = live([picture(), picture(), SourceError("died")], [picture()])
        frames = iter(source)
        assert [next(frames).index for _ in range(3)] == [0, 1, 2]

    def test_a_stream_that_dies_waits_longer_each_time(self, live: Open, clock: FakeClock) -> None:
        dies = [picture(), SourceError("connection refused")]
        source, _ = live(*[dies] * 12)
        values(source, 12)
        assert all(FLOOR_S <= pause <= CEILING_S for pause in clock.pauses)
        assert sum(clock.pauses[:3]) < 8
        assert min(clock.pauses[7:]) >= CEILING_S / 2
        assert source.stats().reconnects == 11

    def test_a_device_that_ran_for_a_while_is_soon_tried_again(
        self, live: Open, clock: FakeClock
    ) -> None:
        runs = [picture(1), clock.advance(60), picture(2), SourceError("died")]
        source, _ = live(*[runs] * 5)
        values(source, 10)
        assert max(clock.pauses) <= 2 * FLOOR_S

    def test_empty_and_broken_frames_are_counted_and_never_passed_on(self, live: Open) -> None:
        broken = [
            Broken(np.zeros((0, 0, 3), np.uint8)),
            Broken(np.zeros((24, 32, 4), np.uint8)),
            Broken(np.zeros((24, 32), np.uint16)),
        ]
        source, _ = live([Mark.BAD, *broken, picture(9), *[Mark.BAD] * 29, picture(8)])
        frames = iter(source)
        assert [next(frames).image[0, 0, 0] for _ in range(2)] == [9, 8]
        stats = source.stats()
        assert (stats.bad, stats.captured, stats.reconnects) == (33, 2, 0)

    def test_a_changed_size_is_just_another_frame_and_is_logged(
        self, live: Open, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        large = np.zeros((48, 64), np.uint8)
        source, _ = live([picture(), SourceError("died")], [large, large])
        frames = iter(source)
        assert [next(frames).image.shape for _ in range(3)] == [(24, 32, 3), (48, 64), (48, 64)]
        assert caplog.text.count("cam: frames are now 64x48 grey, not 32x24 colour") == 1

    def test_an_outage_can_be_limited(self, live: Open, clock: FakeClock) -> None:
        source, _ = live([picture(), SourceError("died")], give_up_s=20)
        frames = iter(source)
        next(frames)
        with pytest.raises(SourceError, match=r"no camera cam \(waited 20 s\)"):
            next(frames)
        stats = source.stats()
        assert (stats.state, stats.error) == (State.FAILED, "no camera cam")
        assert clock.now_s == pytest.approx(1020)

    def test_without_a_limit_it_waits_for_days(self, live: Open, clock: FakeClock) -> None:
        gone = [SourceError("no camera cam")] * 4500
        source, _ = live([picture(), SourceError("died")], *gone, [picture(7)])
        assert values(source, 2)[1] == 7
        assert clock.now_s > 1000 + 86400

    def test_stats_while_it_waits(self, live: Open, clock: FakeClock) -> None:
        source, _ = live([picture(1), SourceError("cam died")], [picture(2)])
        seen = []
        clock.on_pause = lambda: seen.append(source.stats())
        values(source, 2)
        assert [(s.state, s.error) for s in seen] == [(State.WAITING, "died")]


class TestStall:
    def test_a_read_that_blocks_is_left_behind(
        self, live: Open, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        source, device = live([picture(1), Mark.HANG], [picture(2)])
        assert values(source, 2) == [1, 2]
        stats = source.stats()
        assert (stats.stalls, stats.reconnects, stats.hung) == (1, 1, 1)
        assert clock.now_s == pytest.approx(1005 + clock.pauses[0])
        assert "cam gave no frame for 5 s; it will be opened again" in caplog.text
        assert not device.streams[0].closed.is_set()
        device.test_ends.set()
        assert device.streams[0].closed.wait(PATIENCE_S)

    def test_a_read_that_can_be_interrupted_is(self, live: Open) -> None:
        source, device = live([picture(1), Mark.HANG_CLOSABLE], [picture(2)])
        assert values(source, 2) == [1, 2]
        assert device.streams[0].closed.wait(PATIENCE_S)

    def test_a_thread_that_comes_back_late_changes_nothing(self, live: Open) -> None:
        late = [picture(1), Mark.HANG_CLOSABLE, picture(66), picture(67)]
        source, device = live(late, [picture(2), picture(3)])
        assert values(source, 3) == [1, 2, 3]
        assert device.streams[0].closed.wait(PATIENCE_S)
        assert source.stats().captured == 3

    def test_too_many_hung_threads_end_the_program(self, live: Open) -> None:
        source, _ = live(*[[picture(), Mark.HANG]] * (MAX_HUNG + 3))
        frames = iter(source)
        for _ in range(MAX_HUNG + 1):
            next(frames)
        with pytest.raises(SourceError, match=r"cam hangs: 5 reads never came back; restart"):
            next(frames)
        assert source.stats().state is State.FAILED

    def test_a_slow_consumer_is_no_stall(self, live: Open, clock: FakeClock) -> None:
        source, _ = live([picture(1), picture(2)])
        frames = iter(source)
        next(frames)
        clock.now_s += 100
        assert next(frames).image[0, 0, 0] == 2
        assert source.stats().stalls == 0

    def test_broken_frames_alone_are_a_stall_too(self, live: Open) -> None:
        source, _ = live([picture(1), *[Mark.BAD] * 9, Mark.HANG], [picture(2)])
        assert values(source, 2) == [1, 2]
        assert source.stats().stalls == 1


class TestDecoding:
    """Frames that come compressed."""

    def test_only_the_first_frame_and_those_that_are_taken_are_decoded(
        self, live: Open, clock: FakeClock
    ) -> None:
        clock.free_running = True
        decoder = Decoder()
        source, _ = live([decoder.shot(i) for i in range(5)])
        assert clock.hangs.wait(PATIENCE_S)
        frame = next(iter(source))
        assert isinstance(frame, Frame)
        assert (frame.image[0, 0, 0], frame.index) == (4, 4)
        assert decoder.asked == [0, 4]
        stats = source.stats()
        assert (stats.captured, stats.skipped, stats.bad) == (5, 4, 0)

    def test_the_age_of_a_frame_counts_its_decoding(self, live: Open, clock: FakeClock) -> None:
        def decode(data: Image) -> Image:
            clock.now_s += 0.25
            return picture(int(data[0, 0]))

        source, _ = live([picture(), Shot(np.ones((1, 1), np.uint8), 1000.0, decode)])
        frames = iter(source)
        next(frames)
        frame = next(frames)
        assert isinstance(frame, Frame)
        assert frame.capture_s == pytest.approx(0.25)
        assert frame.image[0, 0, 0] == 1

    def test_a_corrupt_frame_is_counted_and_the_next_one_waited_for(self, live: Open) -> None:
        decoder = Decoder()
        script = [decoder.shot(1), *decoder.corrupt(29), decoder.shot(2), *decoder.corrupt(29)]
        source, _ = live([*script, decoder.shot(3)])
        frames = iter(source)
        taken = [next(frames) for _ in range(3)]
        assert [frame.image[0, 0, 0] for frame in taken if isinstance(frame, Frame)] == [1, 2, 3]
        assert [frame.index for frame in taken] == [0, 30, 60]
        stats = source.stats()
        assert (stats.bad, stats.captured, stats.reconnects) == (58, 61, 0)

    def test_a_device_that_gives_nothing_but_corrupt_frames_is_gone(
        self, live: Open, caplog: pytest.LogCaptureFixture
    ) -> None:
        decoder = Decoder()
        source, device = live([decoder.shot(1), *decoder.corrupt(30)], [decoder.shot(2)])
        assert values(source, 2) == [1, 2]
        assert warnings(caplog)[0] == (
            "cam stopped giving frames: a corrupt frame; it will be opened again"
        )
        stats = source.stats()
        assert (stats.bad, stats.stalls, stats.reconnects) == (30, 0, 1)
        assert device.streams[0].closed.is_set()

    def test_a_camera_is_not_open_before_a_frame_was_decoded(
        self, live: Open, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        clock.free_running = True
        caplog.set_level(logging.INFO)
        with pytest.raises(SourceError, match=r"^cam stopped giving frames: a corrupt frame$"):
            live(Decoder().corrupt(30))
        assert "frames/s" not in caplog.text

    def test_corrupt_frames_at_the_start_are_passed_over(
        self, live: Open, clock: FakeClock
    ) -> None:
        clock.free_running = True
        decoder = Decoder()
        source, _ = live([*decoder.corrupt(29), decoder.shot(7)])
        assert values(source, 1) == [7]
        assert (source.stats().bad, source.stats().captured) == (29, 1)

    def test_a_stall_is_told_from_what_arrives_corrupt_or_not(
        self, live: Open, clock: FakeClock
    ) -> None:
        decoder = Decoder()
        slowly = [step for shot in decoder.corrupt(3) for step in (clock.advance(4), shot)]
        source, _ = live(
            [decoder.shot(1), *slowly, clock.advance(4), decoder.shot(2), *slowly, Mark.HANG],
            [decoder.shot(3)],
        )
        frames = iter(source)
        next(frames)
        next(frames)
        assert source.stats().stalls == 0
        next(frames)
        assert (source.stats().stalls, source.stats().reconnects) == (1, 1)


class TestFrozen:
    def test_the_same_picture_for_too_long_reopens_the_camera(
        self, live: Open, clock: FakeClock
    ) -> None:
        still = picture(1)
        stuck = [still, clock.advance(30), still, clock.advance(31), still, picture(66)]
        source, device = live(stuck, [picture(2)])
        assert values(source, 3) == [1, 1, 2]
        assert device.streams[0].closed.wait(PATIENCE_S)
        assert source.stats().stalls == 1

    def test_a_still_picture_is_told_once_and_reopened_less_often(
        self, live: Open, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        still = picture(1)
        minute = [clock.advance(61), still]
        source, device = live(
            [still, *minute], [still, *minute, *minute], [still, *minute * 4], [picture(2)]
        )
        assert values(source, 8)[-1] == 2
        assert device.tries == 4
        assert source.stats().stalls == 3
        assert caplog.text.count("perhaps it is a still one") == 1

    def test_it_can_be_turned_off(self, live: Open, clock: FakeClock) -> None:
        source, _ = live([picture(), clock.advance(9999), picture()], frozen_s=0)
        values(source, 2)
        assert source.stats().stalls == 0

    def test_a_change_anywhere_counts(self) -> None:
        watch = FrozenWatch("cam", 60)
        scene = np.zeros((480, 640), np.uint8)
        assert not watch.is_stuck(scene, 0)
        changed = scene.copy()
        changed[7, 5] = 1  # between the samples
        assert not watch.is_stuck(changed, 61)
        assert not watch.is_stuck(changed, 120)
        assert watch.is_stuck(changed.copy(), 122)

    def test_a_live_picture_after_the_reopening_sets_the_limit_back(self) -> None:
        watch = FrozenWatch("cam", 60)
        still, other = picture(1), picture(2)
        watch.is_stuck(still, 0)
        assert watch.is_stuck(still, 60)
        watch.reopened()
        assert not watch.is_stuck(still, 61)
        assert not watch.is_stuck(still, 180)
        assert watch.is_stuck(still, 181)
        watch.reopened()
        assert not watch.is_stuck(other, 182)
        assert watch.is_stuck(other, 242)

    def test_an_outage_breaks_the_run_of_same_pictures(self, live: Open, clock: FakeClock) -> None:
        still = picture(1)
        source, _ = live([still, clock.advance(40), still, SourceError("died")], [still, still])
        clock.on_pause = clock.advance(40)
        values(source, 4)
        assert source.stats().stalls == 0


class TestClose:
    def test_closing_ends_the_iteration_and_lets_go(self, live: Open) -> None:
        source, device = live([picture(), Mark.HANG_CLOSABLE])
        source.close()
        source.close()
        assert list(source) == []
        assert device.streams[0].closed.is_set()
        assert source.stats().state is State.CLOSED

    def test_closing_does_not_wait_for_a_thread_that_hangs(
        self, live: Open, clock: FakeClock
    ) -> None:
        source, device = live([picture(), Mark.HANG])
        assert clock.hangs.wait(PATIENCE_S)
        source.close()
        assert not device.streams[0].closed.is_set()
        assert list(source) == []

    def test_closing_from_another_thread_ends_a_wait_for_the_device(
        self, live: Open, clock: FakeClock
    ) -> None:
        source, device = live([picture(), SourceError("died")])
        clock.on_pause = source.close
        assert len(list(source)) == 1
        assert device.tries == 1

    def test_closing_from_another_thread_ends_a_wait_for_a_frame(
        self, devices: list[ScriptedDevice]
    ) -> None:
        waits = threading.Event()

        class Clock(SystemClock):
            """Says when somebody waits; the condition is held until they really do."""

            def wait(self, condition: threading.Condition, ready: Any, timeout_s: float) -> bool:
                waits.set()
                return super().wait(condition, ready, timeout_s)

        slow = FakeClock()
        slow.free_running = True
        # A read that came back would wake whoever waits, too.
        device = ScriptedDevice(slow, [picture(), Mark.HANG])
        devices.append(device)
        source = LiveSource(device, SourceOptions(stall_s=2 * PATIENCE_S), clock=Clock())
        frames = iter(source)
        next(frames)
        waits.clear()
        got: list[object] = []
        taker = threading.Thread(target=lambda: got.extend(frames), daemon=True)
        taker.start()
        assert waits.wait(PATIENCE_S)
        source.close()
        taker.join(PATIENCE_S)
        assert not taker.is_alive()
        assert got == []

    def test_an_interrupt_while_waiting_at_the_start_lets_go(
        self, live: Open, clock: FakeClock, devices: list[ScriptedDevice]
    ) -> None:
        def interrupt() -> None:
            raise KeyboardInterrupt

        clock.on_pause = interrupt
        with pytest.raises(KeyboardInterrupt):
            live(wait_s=30)
        assert devices[0].tries == 1


def test_the_backoff_doubles_within_its_bounds() -> None:
    backoff = Backoff(Random(3))
    waits = [backoff.next_s() for _ in range(200)]
    assert min(waits) >= FLOOR_S
    assert max(waits) <= CEILING_S
    assert waits[0] <= 2 * FLOOR_S
    assert len({round(wait, 3) for wait in waits[10:]}) > 100
    backoff.reset()
    assert backoff.next_s() <= 2 * FLOOR_S


def test_a_slot_keeps_only_the_newest() -> None:
    slot: LatestSlot[int] = LatestSlot(SystemClock())
    assert not slot.put(1)
    assert slot.put(2)
    slot.fail(SourceError("died"))
    assert slot.take(0) == 2
    with pytest.raises(SourceError, match="died"):
        slot.take(0)
    slot.close()
    assert slot.take(0) is None


def test_an_empty_slot_times_out() -> None:
    with pytest.raises(TimeoutError):
        LatestSlot(SystemClock()).take(0)
