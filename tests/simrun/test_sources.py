"""Pictures, clips, the demo and scripted cameras."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from simrun.errors import SourceError
from simrun.sources import BadFrame, Frame, open_camera, open_demo, open_source
from simrun.sources.camera import CameraSource, LatestSlot
from simrun.sources.demo import LENGTH


def picture(value: int = 50) -> np.ndarray:
    return np.full((24, 32, 3), value, np.uint8)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (64, 48))
    for i in range(12):
        writer.write(np.full((48, 64, 3), 20 * i, np.uint8))
    writer.release()
    return path


class TestPictures:
    def test_a_folder_is_read_by_name_and_a_bad_picture_does_not_end_it(
        self, tmp_path: Path
    ) -> None:
        cv2.imwrite(str(tmp_path / "a.png"), picture(10))
        (tmp_path / "b.png").write_bytes(b"")
        cv2.imwrite(str(tmp_path / "c.jpg"), picture(30))
        (tmp_path / "notes.txt").write_text("not a picture")
        source = open_source(str(tmp_path))
        first, second, third = source
        assert source.length == 3
        assert isinstance(first, Frame)
        assert isinstance(second, BadFrame)
        assert isinstance(third, Frame)
        assert "b.png is empty" in second.error
        assert (first.index, second.index, third.index) == (0, 1, 2)
        assert third.file == str(tmp_path / "c.jpg")

    def test_one_bad_picture_alone_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "b.png").write_bytes(b"")
        with pytest.raises(SourceError, match="is empty"):
            list(open_source(str(tmp_path / "b.png")))

    def test_a_glob_goes_into_subfolders(self, tmp_path: Path) -> None:
        (tmp_path / "deep" / "er").mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "deep" / "er" / "x.png"), picture())
        cv2.imwrite(str(tmp_path / "y.png"), picture())
        assert len(list(open_source(str(tmp_path / "**" / "*.png")))) == 2
        with pytest.raises(SourceError, match="no file matches"):
            open_source(str(tmp_path / "*.gif"))

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("missing.png", "no such file or folder"),
            ("", "no pictures in"),
            ("odd.xyz", "cannot tell what"),
        ],
    )
    def test_what_is_no_source(self, tmp_path: Path, name: str, message: str) -> None:
        (tmp_path / "odd.xyz").write_text("?")
        with pytest.raises(SourceError, match=message):
            open_source(str(tmp_path / name))

    def test_closing_ends_the_iteration(self, tmp_path: Path) -> None:
        for name in "ab":
            cv2.imwrite(str(tmp_path / f"{name}.png"), picture())
        source = open_source(str(tmp_path))
        frames = iter(source)
        next(frames)
        source.close()
        assert list(frames) == []


class TestClip:
    def test_every_frame_comes_with_its_time(self, clip: Path) -> None:
        source = open_source(str(clip))
        frames = list(source)
        source.close()
        assert [frame.index for frame in frames] == list(range(12))
        assert all(isinstance(frame, Frame) for frame in frames)
        assert frames[7].time_s == pytest.approx(0.7)
        assert (source.length, source.rate) == (12, 10.0)

    def test_a_clip_cut_short_says_so_after_its_last_frame(self, clip: Path) -> None:
        content = clip.read_bytes()
        clip.write_bytes(content[: len(content) // 2])
        try:
            *frames, last = open_source(str(clip))
        except SourceError as error:
            assert "cut short" in str(error)  # noqa: PT017 - OpenCV versions differ in which it is
        else:
            assert isinstance(last, BadFrame)
            assert "cut short" in last.error
            assert 0 < len(frames) < 12

    @pytest.mark.parametrize(
        ("content", "message"), [(b"", "is empty"), (b"x" * 999, "not a video")]
    )
    def test_what_is_no_clip(self, tmp_path: Path, content: bytes, message: str) -> None:
        path = tmp_path / "bad.mp4"
        path.write_bytes(content)
        with pytest.raises(SourceError, match=message):
            open_source(str(path))


def test_the_demo_moves_and_ends() -> None:
    frames = list(open_demo())
    assert len(frames) == LENGTH
    assert all(isinstance(f, Frame) and f.image.shape == (480, 640, 3) for f in frames)
    assert not np.array_equal(frames[0].image, frames[20].image)


class ScriptedCapture:
    """A camera that reads from a script: arrays are frames, None is a failed read, events are
    waited for, and the end of the script blocks until the camera is released."""

    def __init__(self, script: Iterable[Any], *, opens: bool = True) -> None:
        self.script = iter(script)
        self.opens = opens
        self.settings: dict[int, float] = {}
        self.done = threading.Event()
        self.released = threading.Event()

    def isOpened(self) -> bool:
        return self.opens

    def set(self, prop: int, value: float) -> bool:
        self.settings[prop] = value
        return True

    def get(self, prop: int) -> float:
        return {cv2.CAP_PROP_FPS: 25.0}.get(prop, 0.0)

    def read(self) -> tuple[bool, Any]:
        for item in self.script:
            if isinstance(item, threading.Event):
                item.wait(5)
                continue
            return item is not None, item
        self.done.set()
        self.released.wait(0.05)
        return False, None

    def release(self) -> None:
        self.released.set()


@pytest.fixture
def camera() -> Iterable[Callable[..., tuple[CameraSource, ScriptedCapture]]]:
    opened: list[CameraSource] = []

    def open_scripted(
        script: Iterable[Any], **options: Any
    ) -> tuple[CameraSource, ScriptedCapture]:
        capture = ScriptedCapture(script)
        source = CameraSource(0, open_capture=lambda _: capture, **options)
        opened.append(source)
        return source, capture

    yield open_scripted
    for source in opened:
        source.close()


class TestCamera:
    def test_the_latest_frame_wins(self, camera: Callable[..., Any]) -> None:
        source, capture = camera([picture(i) for i in range(5)])
        assert capture.done.wait(5)
        frame = next(iter(source))
        assert frame.image[0, 0, 0] == 4
        assert frame.index == 4

    def test_no_frame_is_given_twice(self, camera: Callable[..., Any]) -> None:
        go_on = threading.Event()
        source, _ = camera([picture(1), go_on, picture(2)])
        frames = iter(source)
        first = next(frames)
        go_on.set()
        second = next(frames)
        assert (first.image[0, 0, 0], second.image[0, 0, 0]) == (1, 2)

    def test_single_failed_and_empty_reads_are_passed_over(
        self, camera: Callable[..., Any]
    ) -> None:
        empty = np.zeros((0, 0, 3), np.uint8)
        source, _ = camera([None, empty, None, picture(9)])
        assert next(iter(source)).image[0, 0, 0] == 9

    def test_a_changed_size_is_just_another_frame(self, camera: Callable[..., Any]) -> None:
        go_on = threading.Event()
        source, _ = camera([picture(), go_on, np.zeros((48, 64, 3), np.uint8)])
        frames = iter(source)
        assert next(frames).image.shape == (24, 32, 3)
        go_on.set()
        assert next(frames).image.shape == (48, 64, 3)

    def test_a_camera_that_is_unplugged_is_an_error(self, camera: Callable[..., Any]) -> None:
        source, capture = camera([None] * 40)
        with pytest.raises(SourceError, match="is it plugged in"):
            next(iter(source))
        assert capture.released.wait(5)

    def test_a_camera_that_hangs_is_an_error(self, camera: Callable[..., Any]) -> None:
        never = threading.Event()
        source, _ = camera([never], stall_s=0.01)
        with pytest.raises(SourceError, match=r"no frame for 0\.01 s"):
            next(iter(source))
        never.set()

    def test_mjpg_and_a_short_queue_are_asked_for(self, camera: Callable[..., Any]) -> None:
        source, capture = camera([picture()])
        assert capture.settings[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"MJPG")
        assert capture.settings[cv2.CAP_PROP_BUFFERSIZE] == 1
        assert source.rate == 25.0

    def test_a_camera_that_is_not_there_says_what_is(self) -> None:
        with pytest.raises(SourceError, match=r"no camera /dev/video97"):
            open_camera("97")

    def test_closing_ends_the_iteration_and_lets_go(self, camera: Callable[..., Any]) -> None:
        source, capture = camera([picture()])
        source.close()
        assert list(source) == []
        assert capture.released.is_set()


def test_a_slot_keeps_only_the_newest() -> None:
    slot = LatestSlot()
    slot.put(picture(1), 0, 0.0)
    slot.put(picture(2), 1, 0.1)
    taken = slot.take(0)
    assert taken is not None
    assert taken[1] == 1
    with pytest.raises(TimeoutError):
        slot.take(0)
    slot.close()
    assert slot.take(0) is None
