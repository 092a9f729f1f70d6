"""Overlays in a window of the desktop."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any, Final, Protocol, cast

import cv2

from simrun.errors import OutputGoneError, UsageError
from simrun.result import Result
from simrun.sinks.overlay import draw_overlay
from simrun.sources.base import BadFrame, Frame

TITLE: Final = "simrun"
_QUIT_KEYS: Final = frozenset({ord("q"), ord("Q"), 27})
_MAX_SIDE: Final = 1280
"""Larger frames are shown shrunk; the window can be resized."""
_PROBE: Final = """
import sys, cv2
try:
    cv2.namedWindow("simrun")
    cv2.destroyAllWindows()
except cv2.error as error:
    sys.exit(error.err or str(error))
"""
_PROBE_S: Final = 30.0
"""Time to open a window; on a small computer OpenCV alone takes seconds to load."""


class Gui(Protocol):
    """The part of `cv2` that is used."""

    def namedWindow(self, name: str, flags: int) -> None:  # noqa: N802 - OpenCV's name
        """Make a window."""
        ...

    def resizeWindow(self, name: str, width: int, height: int) -> None:  # noqa: N802
        """Give a window a size in pixels."""
        ...

    def imshow(self, name: str, picture: Any) -> None:  # noqa: ANN401
        """Show a picture."""
        ...

    def waitKey(self, delay_ms: int) -> int:  # noqa: N802
        """Handle events for so long; the key, or -1."""
        ...

    def getWindowProperty(self, name: str, prop: int) -> float:  # noqa: N802
        """A property; below 1 of a window that was closed."""
        ...

    def destroyWindow(self, name: str) -> None:  # noqa: N802
        """Close a window."""
        ...


class WindowSink:
    """Shows each frame; `q`, Esc or closing the window asks the run to end.

    Keys and clicks are taken when a frame is written, so between frames that are far apart the
    window does not answer. All calls must come from one thread, on most desktops the main one.
    """

    def __init__(self, on_quit: Callable[[], None], *, gui: Gui | None = None) -> None:
        """Make sure that windows can be opened; the first frame opens one.

        Args:
            on_quit: called once, when the user wants to end. It must not block.
            gui: stands in for OpenCV's windows.

        Raises:
            UsageError: OpenCV has no windows here, or the display does not open any.
        """
        if gui is None:
            require_gui()
            gui = cast(Gui, cv2)
        self._gui = gui
        self._on_quit = on_quit
        self._open = self._done = False

    def write(self, frame: Frame, result: Result) -> None:
        """Show one frame; after the end was asked for nothing is shown any more.

        Raises:
            OutputGoneError: the window went wrong.
        """
        if self._done:
            return
        try:
            if not self._open:
                self._open_window(result)
            self._gui.imshow(TITLE, draw_overlay(frame.image, result))
            key = self._gui.waitKey(1)
        except cv2.error as error:
            raise OutputGoneError(f"the window failed: {error.err or error}") from error
        # The click on its cross takes effect in waitKey.
        self._open = self._is_there()
        if key & 0xFF in _QUIT_KEYS or not self._open:
            self.close()
            self._on_quit()

    def write_bad(self, frame: BadFrame) -> None:
        """The last good frame stays."""

    def close(self) -> None:
        """Close the window."""
        self._done = True
        if self._open and self._is_there():
            self._gui.destroyWindow(TITLE)
        self._open = False

    def _is_there(self) -> bool:
        try:
            return self._gui.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) >= 1
        except cv2.error:
            # What Qt says of the last window, once it is closed.
            return False

    def _open_window(self, result: Result) -> None:
        flags = cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL
        self._gui.namedWindow(TITLE, flags)
        self._open = True
        scale = min(1.0, _MAX_SIDE / max(result.width, result.height))
        self._gui.resizeWindow(TITLE, round(result.width * scale), round(result.height * scale))


def require_gui(
    build: Callable[[], str] = cv2.getBuildInformation,
    probe: Callable[[], str | None] | None = None,
) -> None:
    """Make sure that OpenCV can open a window.

    Args:
        build: OpenCV's own description.
        probe: opens a window; None, or what went wrong.

    Raises:
        UsageError: this OpenCV was built without windows, or none opens.
    """
    if not has_gui(build()):
        raise UsageError(
            "--show needs an OpenCV with windows, and this one has none: pip install "
            "'similarnet[gui]' (if it is there: pip install --force-reinstall --no-deps "
            "opencv-python), or use --serve and a browser"
        )
    if reason := (probe or _probe)():
        raise UsageError(
            f"--show cannot open a window: {reason}; start it on a desktop with DISPLAY set, or "
            "use --serve and a browser"
        )


def has_gui(build_information: str) -> bool:
    """Whether OpenCV's build information names a window system."""
    found = re.search(r"^\s*GUI:\s*(\S+)", build_information, re.MULTILINE)
    return found is not None and found[1].upper() != "NONE"


def _probe() -> str | None:
    """Open a window in a process of its own: Qt aborts the one that has no display."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE], capture_output=True, text=True, timeout=_PROBE_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return None
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return lines[0] if lines else f"the attempt ended with code {done.returncode}"
