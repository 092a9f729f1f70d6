"""Fewer frames: a stride and a limit to the rate."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from simrun.errors import UsageError
from simrun.sources import BadFrame, Frame, SourceOptions
from simrun.sources.options import PixelFormat, RawFormat, Size, parse_raw, parse_size
from simrun.sources.registry import open_demo, open_source
from simrun.sources.throttle import PacedSource, StrideSource
from simrun.stats import SourceStats
from tests.simrun.live_fakes import FakeClock, picture


class FakeCamera:
    """A live source that gives a frame every `period_s`, until it is closed; time is a clock's."""

    name = "cam"
    live = True
    length: int | None = None

    def __init__(
        self, clock: FakeClock, period_s: float, indices: Sequence[int] = range(60)
    ) -> None:
        self.rate: float | None = 1 / period_s
        self.clock = clock
        self.period_s = period_s
        self.indices = indices
        self.closed = False
        self.taken: list[float] = []

    def __iter__(self) -> Iterator[Frame | BadFrame]:
        for index in self.indices:
            if self.closed:
                return
            self.clock.now_s += self.period_s
            self.taken.append(self.clock.now_s)
            yield Frame(picture(), index, self.clock.now_s)

    def close(self) -> None:
        self.closed = True

    def stats(self) -> SourceStats:
        return SourceStats("open", hung=3)


def indices(frames: Iterator[Frame | BadFrame]) -> list[int]:
    return [frame.index for frame in frames]


class TestStride:
    def test_every_nth_frame_of_a_file(self) -> None:
        source = open_demo(SourceOptions(stride=40))
        assert indices(iter(source)) == [0, 40, 80, 120]
        assert (source.length, source.rate) == (4, 0.75)

    def test_a_live_source_that_dropped_frames_needs_no_more_dropped(self) -> None:
        camera = FakeCamera(FakeClock(), 0.1, indices=(0, 2, 5, 6, 7, 11))
        assert indices(iter(StrideSource(camera, 3))) == [0, 5, 11]

    def test_what_cannot_be_read_is_told_all_the_same(self, tmp_path: Path) -> None:
        for name in "abcd":
            cv2.imwrite(str(tmp_path / f"{name}.png"), picture())
        (tmp_path / "b.png").write_bytes(b"")
        frames = list(open_source(str(tmp_path), SourceOptions(stride=3)))
        assert [type(frame) for frame in frames] == [Frame, BadFrame, Frame]
        assert indices(iter(frames)) == [0, 1, 3]


class TestMaxFps:
    def test_a_fast_camera_is_slowed_down(self) -> None:
        clock = FakeClock()
        camera = FakeCamera(clock, 0.01)
        source = PacedSource(camera, 4, clock=clock)
        list(source)
        assert np.diff(camera.taken) == pytest.approx(0.25, abs=0.011)
        assert camera.taken[-1] - camera.taken[0] == pytest.approx(59 * 0.25, abs=0.02)
        assert source.rate == 4

    def test_a_slow_camera_is_left_alone(self) -> None:
        clock = FakeClock()
        source = PacedSource(FakeCamera(clock, 0.5), 10, clock=clock)
        list(source)
        assert clock.pauses == []
        assert source.rate == 2

    def test_lost_time_is_not_made_up_for(self) -> None:
        clock = FakeClock()
        camera = FakeCamera(clock, 0.001, range(10))
        frames = iter(PacedSource(camera, 1, clock=clock))
        next(frames)
        clock.now_s += 100
        list(frames)
        assert min(np.diff(camera.taken)) > 0.99

    def test_closing_ends_it_during_the_wait(self) -> None:
        clock = FakeClock()
        camera = FakeCamera(clock, 0.001)
        source = PacedSource(camera, 1, clock=clock)
        frames = iter(source)
        next(frames)
        before_s = clock.now_s
        clock.on_pause = source.close
        assert list(frames) == []
        assert (len(clock.pauses), clock.now_s) == (1, before_s)
        assert camera.closed

    def test_counters_shine_through(self) -> None:
        camera = FakeCamera(FakeClock(), 1)
        stats = StrideSource(PacedSource(camera, 1), 2).stats()
        assert stats is not None
        assert stats.hung == 3
        assert StrideSource(open_demo(), 2).stats() is None

    def test_files_are_not_paced_and_that_is_said(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        source = open_demo(SourceOptions(max_fps=1))
        assert not isinstance(source, PacedSource)
        assert "demo is read frame by frame: --max-fps has no effect on it" in caplog.text


class TestOptions:
    def test_sizes(self) -> None:
        assert parse_size("640x480") == Size(640, 480)
        assert str(parse_size("1920X1080")) == "1920x1080"

    @pytest.mark.parametrize(
        "text", ["", "640", "640x", "x480", "0x4", "640*480", "-1x4", "99999x1"]
    )
    def test_what_is_no_size(self, text: str) -> None:
        with pytest.raises(UsageError, match="size"):
            parse_size(text)

    @pytest.mark.parametrize(
        ("text", "pixels", "count"),
        [
            ("8x4", "gray", 32),
            ("8x4:gray", "gray", 32),
            ("8x4:BGR", "bgr", 96),
            ("8x4:rgb", "rgb", 96),
            ("8x4:yuv420", "yuv420", 48),
        ],
    )
    def test_raw_formats(self, text: str, pixels: PixelFormat, count: int) -> None:
        raw = parse_raw(text)
        assert raw == RawFormat(Size(8, 4), pixels)
        assert raw.frame_bytes == count

    @pytest.mark.parametrize(
        ("text", "message"), [("8x4:nv12", "one of gray, bgr"), ("7x4:yuv420", "even sides")]
    )
    def test_what_is_no_raw_format(self, text: str, message: str) -> None:
        with pytest.raises(UsageError, match=message):
            parse_raw(text)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"wait_s": -1.0},
            {"wait_s": float("nan")},
            {"give_up_s": 0.0},
            {"stall_s": 0.0},
            {"stall_s": float("inf")},
            {"frozen_s": -1.0},
            {"fps": 0.0},
            {"max_fps": float("nan")},
            {"stride": 0},
        ],
    )
    def test_numbers_that_make_no_sense(self, wrong: dict[str, float]) -> None:
        (name,) = wrong
        with pytest.raises(UsageError, match=name):
            SourceOptions(**wrong)  # type: ignore[arg-type]
