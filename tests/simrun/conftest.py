"""Fixtures for the runtime's tests."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from simrun.cli.app import main
from simrun.images.read import Image

Run = Callable[..., tuple[int, str, str]]

STROKES = Path(__file__).parents[1] / "fixtures" / "strokes"


@pytest.fixture
def strokes(tmp_path: Path) -> Path:
    """A copy of the strokes bundle that a test may damage."""
    return Path(shutil.copytree(STROKES, tmp_path / "strokes"))


@pytest.fixture
def edit_metadata(strokes: Path) -> Callable[..., Path]:
    """Change fields of the bundle's model.json; a value of `...` takes the field away."""

    def edit(**changes: object) -> Path:
        path = strokes / "model.json"
        data = json.loads(path.read_text()) | changes
        path.write_text(json.dumps({k: v for k, v in data.items() if v is not ...}))
        return strokes

    return edit


@pytest.fixture
def bars() -> Image:
    """(240, 320) frame with a horizontal bar at the left and a vertical bar at the right."""
    frame = np.full((240, 320), 10, np.uint8)
    frame[100:108, 40:80] = 240
    frame[60:100, 240:248] = 240
    return frame


@pytest.fixture
def bars_file(tmp_path: Path, bars: Image) -> Path:
    """The frame with two bars as a PNG file."""
    path = tmp_path / "bars.png"
    assert cv2.imwrite(str(path), bars)
    return path


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Keep the developer's own configuration away from the tests."""
    for name in [name for name in os.environ if name.startswith("SIMRUN_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "nowhere"))


@pytest.fixture
def opencv_threads() -> Iterator[None]:
    """OpenCV's number of threads afterwards is what it was before."""
    before = cv2.getNumThreads()
    yield
    cv2.setNumThreads(before)


@pytest.fixture
def simrun(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process: exit code, stdout, stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["simrun", *map(str, arguments)])
        code: object = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code
        out, err = capsys.readouterr()
        return int(str(code or 0)), out, err

    return run
