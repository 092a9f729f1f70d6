"""The window: keys and its cross end the run; without windows it says what to do."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from simrun.errors import OutputError, UsageError
from simrun.result import Latency, Result
from simrun.sinks import window
from simrun.sinks.window import TITLE, WindowSink, has_gui, require_gui
from simrun.sources import BadFrame, Frame

FRAME = Frame(np.full((480, 640, 3), 90, np.uint8), 0, 0.0)
RESULT = Result(640, 480, (), Latency())


class FakeGui:
    """Windows as Qt's behave: a closed one is not just invisible, asking for it fails."""

    def __init__(self, keys: dict[int, int] | None = None, closed_at: int | None = None) -> None:
        self.keys = keys or {}
        self.closed_at = closed_at
        self.windows: set[str] = set()
        self.sizes: list[tuple[int, int]] = []
        self.shown = 0
        self.opened = 0

    def namedWindow(self, name: str, flags: int) -> None:
        self.windows.add(name)
        self.opened += 1

    def resizeWindow(self, name: str, width: int, height: int) -> None:
        self.sizes.append((width, height))

    def imshow(self, name: str, picture: Any) -> None:
        assert picture.shape[2] == 3
        if name not in self.windows:
            self.namedWindow(name, 0)
        self.shown += 1

    def waitKey(self, delay_ms: int) -> int:
        assert delay_ms > 0, "0 would wait for ever"
        if self.shown == self.closed_at:
            self.windows.clear()
        return self.keys.get(self.shown, -1)

    def getWindowProperty(self, name: str, prop: int) -> float:
        if name not in self.windows:
            raise cv2.error("NULL guiReceiver")
        return 1.0

    def destroyWindow(self, name: str) -> None:
        self.windows.remove(name)


def show(gui: FakeGui, frames: int) -> int:
    """Write that many frames; how often the end was asked for."""
    asked: list[int] = []
    sink = WindowSink(lambda: asked.append(1), gui=gui)
    for _ in range(frames):
        sink.write(FRAME, RESULT)
    sink.close()
    sink.close()
    assert gui.windows == set()
    return len(asked)


def test_frames_are_shown_in_one_window_that_is_closed_at_the_end() -> None:
    gui = FakeGui()
    assert show(gui, 5) == 0
    assert (gui.shown, gui.opened) == (5, 1)


@pytest.mark.parametrize("key", [ord("q"), ord("Q"), 27, ord("q") | 0x100000])
def test_a_key_ends_the_run_once(key: int) -> None:
    gui = FakeGui(keys={3: key})
    assert show(gui, 6) == 1
    assert (gui.shown, gui.opened) == (3, 1)


@pytest.mark.parametrize("key", [ord("x"), 255, -1])
def test_other_keys_do_nothing(key: int) -> None:
    assert show(FakeGui(keys={3: key}), 6) == 0


def test_a_closed_window_ends_the_run_and_does_not_come_back() -> None:
    gui = FakeGui(closed_at=2)
    assert show(gui, 6) == 1
    assert (gui.shown, gui.opened) == (2, 1)


def test_a_hidden_window_counts_as_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    gui = FakeGui()
    monkeypatch.setattr(gui, "getWindowProperty", lambda name, prop: 0.0)
    asked: list[int] = []
    WindowSink(lambda: asked.append(1), gui=gui).write(FRAME, RESULT)
    assert asked == [1]


def test_the_window_fits_the_screen_and_keeps_the_frame() -> None:
    gui = FakeGui()
    sink = WindowSink(lambda: None, gui=gui)
    large = Frame(np.zeros((1080, 1920, 3), np.uint8), 0, 0.0)
    sink.write(large, Result(1920, 1080, (), Latency()))
    assert gui.sizes == [(1280, 720)]
    sink.write_bad(BadFrame(1, None, "cut short"))
    assert (gui.shown, gui.windows) == (1, {TITLE})


def test_a_window_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    gui = FakeGui()

    def fail(name: str, picture: Any) -> None:
        raise cv2.error("no more colours")

    monkeypatch.setattr(gui, "imshow", fail)
    with pytest.raises(OutputError, match="the window failed: no more colours"):
        WindowSink(lambda: None, gui=gui).write(FRAME, RESULT)


def test_build_information_tells_of_windows() -> None:
    assert not has_gui("  GUI:                           NONE\n  Media I/O: \n")
    assert not has_gui("General configuration\n")
    assert has_gui("  GUI:                           QT5\n    QT:       YES\n")
    assert has_gui("\n  GUI: \n    GTK+:                        YES (ver 3.24)\n")


def test_without_windows_the_extra_and_the_page_are_named() -> None:
    with pytest.raises(UsageError, match=r"pip install 'similarnet\[gui\]'.*--serve"):
        require_gui(build=lambda: "  GUI:   NONE", probe=lambda: pytest.fail("no need to probe"))


def test_without_a_display_it_says_why() -> None:
    with pytest.raises(UsageError, match=r"cannot open a window: no display; .*DISPLAY.*--serve"):
        require_gui(build=lambda: "  GUI:   QT5", probe=lambda: "no display")
    require_gui(build=lambda: "  GUI:   QT5", probe=lambda: None)


@pytest.mark.skipif(has_gui(cv2.getBuildInformation()), reason="this OpenCV has windows")
def test_the_headless_opencv_is_recognised() -> None:
    with pytest.raises(UsageError, match="this one has none"):
        WindowSink(lambda: None)
    # What a build with windows would say is said by the probe, in one line.
    reason = window._probe()
    assert reason
    assert "not implemented" in reason
    assert "\n" not in reason
