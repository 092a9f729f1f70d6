"""Raspberry Pi cameras: a fake `rpicam-vid` on the PATH and a fake picamera2."""

from __future__ import annotations

import logging
import os
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simrun.errors import SourceError, UsageError
from simrun.sources import Frame, SourceOptions
from simrun.sources.devices.base import DeviceUnusableError
from simrun.sources.devices.picam import PicamDevice
from simrun.sources.devices.rpicam import RpicamDevice
from simrun.sources.options import Size
from simrun.sources.registry import open_camera

PATIENCE_S = 10.0

FAKE = """#!{python}
import os, sys
arguments = sys.argv[1:]
width, height = (int(arguments[arguments.index(name) + 1]) for name in ("--width", "--height"))
stride = -(-width // 128) * 128  # as on a Raspberry Pi 5
print("\\n".join(arguments), file=open({folder!r} + "/arguments", "w"))
print(os.getpid(), file=open({folder!r} + "/pid", "w"))
def frame(value):
    row = bytes([value]) * width + b"\\xee" * (stride - width)
    return row * height + b"\\x80" * (stride * height // 2)
out = sys.stdout.buffer
{body}
"""

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a program with this body, and nothing else, on the PATH."""

    def put(body: str, name: str = "rpicam-vid") -> Path:
        path = tmp_path / name
        path.write_text(FAKE.format(python=sys.executable, folder=str(tmp_path), body=body))
        path.chmod(0o755)
        return tmp_path

    monkeypatch.setenv("PATH", str(tmp_path))
    return put


class TestRpicam:
    def test_a_width_is_asked_for_that_has_no_padding(
        self, install: Install, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        folder = install("for i in range(3): out.write(frame(10 * i))")
        stream = RpicamDevice(SourceOptions(size=Size(100, 50), fps=12)).open()
        images = [shot.image for shot in (stream.read() for _ in range(3)) if shot]
        stream.close()
        assert [image.shape for image in images] == [(50, 128)] * 3
        assert [set(image.ravel().tolist()) for image in images] == [{0}, {10}, {20}]
        assert "multiple of 128: 128x50" in caplog.text
        assert stream.description.startswith("128x50 YUV420 at 12 frames/s")
        arguments = (folder / "arguments").read_text().split()
        assert "--nopreview" in arguments
        assert arguments[arguments.index("--codec") + 1] == "yuv420"
        assert arguments[arguments.index("--framerate") + 1] == "12"
        assert arguments[-2:] == ["--output", "-"]

    def test_the_older_name_is_found(self, install: Install) -> None:
        install("out.write(frame(7))", name="libcamera-vid")
        stream = RpicamDevice(SourceOptions()).open()
        shot = stream.read()
        stream.close()
        assert shot is not None
        assert shot.image.shape == (480, 640)

    def test_not_installed_names_the_package(self, install: Install) -> None:
        with pytest.raises(DeviceUnusableError, match="apt install rpicam-apps"):
            open_camera("rpicam")

    def test_the_last_line_of_its_log_is_the_reason(self, install: Install) -> None:
        install(
            "print('INFO libcamera v0.5', file=sys.stderr)\n"
            "print('ERROR: *** no cameras available ***\\n', file=sys.stderr)\n"
            "sys.exit(255)"
        )
        with pytest.raises(
            SourceError, match=r"rpicam ended, status 255: ERROR: \*\*\* no cameras available"
        ):
            open_camera("rpicam")

    def test_a_frame_cut_short_is_not_passed_on(self, install: Install) -> None:
        install("out.write(frame(1)); out.write(frame(2)[:5000])")
        stream = RpicamDevice(SourceOptions(size=Size(128, 64))).open()
        assert stream.read() is not None
        with pytest.raises(SourceError, match=r"in the middle of a frame \(5000 of 12288 bytes\)"):
            stream.read()
        stream.close()

    def test_a_long_log_does_not_block_it(self, install: Install) -> None:
        install("sys.stderr.write('x' * 300000 + '\\n'); sys.stderr.flush(); out.write(frame(3))")
        stream = RpicamDevice(SourceOptions()).open()
        assert stream.read() is not None
        stream.close()

    def test_no_process_stays_behind_when_it_is_closed_while_it_hangs(
        self, install: Install
    ) -> None:
        folder = install(
            "import signal\n"
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            "out.write(frame(9)); out.flush(); signal.pause()"
        )
        source = open_camera("rpicam", SourceOptions(size=Size(128, 64)))
        frame = next(iter(source))
        assert isinstance(frame, Frame)
        start = time.monotonic()
        source.close()
        assert time.monotonic() - start < PATIENCE_S
        pid = int((folder / "pid").read_text())
        with pytest.raises(ProcessLookupError):  # neither running nor a zombie
            os.kill(pid, 0)

    def test_an_odd_size_is_refused(self) -> None:
        with pytest.raises(UsageError, match="even sides only, not 641x480"):
            open_camera("rpicam", SourceOptions(size=Size(641, 480)))

    def test_a_program_that_dies_is_started_again(self, install: Install, tmp_path: Path) -> None:
        install(
            "import pathlib\n"
            f"again = pathlib.Path({str(tmp_path / 'again')!r})\n"
            "value = 2 if again.exists() else 1\n"
            "again.touch(); out.write(frame(value))"
        )
        source = open_camera("rpicam", SourceOptions(size=Size(128, 64), give_up_s=PATIENCE_S))
        frames = iter(source)
        values = [next(frames).image[0, 0] for _ in range(2)]  # type: ignore[union-attr]
        source.close()
        assert values == [1, 2]


class FakePicamera2:
    """The part of `picamera2.Picamera2` that is used; rows are padded by 24 bytes."""

    cameras: list[dict[str, str]] = [{"Model": "imx708"}]  # noqa: RUF012 - as picamera2 has it
    error: Exception | None = None
    made: list[FakePicamera2] = []  # noqa: RUF012

    def __init__(self) -> None:
        if self.error is not None:
            raise self.error
        self.asked: dict[str, Any] = {}
        self.calls: list[str] = []
        self.made.append(self)

    @classmethod
    def global_camera_info(cls) -> list[dict[str, str]]:
        return cls.cameras

    def create_video_configuration(self, **asked: Any) -> dict[str, Any]:
        return asked

    def configure(self, asked: dict[str, Any]) -> None:
        self.asked = asked

    def camera_configuration(self) -> dict[str, Any]:
        return self.asked

    def start(self) -> None:
        self.calls.append("start")

    def stop(self) -> None:
        self.calls.append("stop")

    def close(self) -> None:
        self.calls.append("close")

    def capture_request(self) -> FakePicamera2:
        self.calls.append("request")
        return self

    def make_array(self, name: str) -> np.ndarray:
        width, height = self.asked[name]["size"]
        array = np.full((height * 3 // 2, width + 24), 0xEE, np.uint8)
        array[:height, :width] = 77
        return array

    def get_metadata(self) -> dict[str, int]:
        return {"SensorTimestamp": int((time.clock_gettime(time.CLOCK_BOOTTIME) - 0.05) * 1e9)}

    def release(self) -> None:
        self.calls.append("release")


@pytest.fixture
def picamera2(monkeypatch: pytest.MonkeyPatch) -> type[FakePicamera2]:
    """A fresh fake in place of the package."""
    fake = type("Picamera2", (FakePicamera2,), {"made": []})
    module = types.ModuleType("picamera2")
    module.Picamera2 = fake  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "picamera2", module)
    return fake


class TestPicam:
    def test_the_grey_plane_without_its_padding(self, picamera2: type[FakePicamera2]) -> None:
        stream = PicamDevice(SourceOptions(size=Size(320, 240), fps=20)).open()
        shot = stream.read()
        stream.close()
        assert shot is not None
        assert shot.image.shape == (240, 320)
        assert (shot.image == 77).all()
        camera = picamera2.made[0]
        assert camera.asked["lores"] == {"size": (320, 240), "format": "YUV420"}
        assert camera.asked["controls"] == {"FrameRate": 20}
        assert camera.calls == ["start", "request", "release", "stop", "close"]

    def test_the_sensors_clock_goes_on_while_the_machine_sleeps(
        self, picamera2: type[FakePicamera2], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock_of = time.clock_gettime
        monkeypatch.setattr(time, "clock_gettime", lambda clock: clock_of(clock) + 5000)
        shot = PicamDevice(SourceOptions()).open().read()
        assert picamera2.made
        assert shot is not None
        assert shot.stamp_s is not None
        assert time.monotonic() - shot.stamp_s == pytest.approx(0.05, abs=2)

    def test_no_camera(self, picamera2: type[FakePicamera2]) -> None:
        picamera2.cameras = []
        with pytest.raises(SourceError, match="check the ribbon cable"):
            open_camera("picam")

    def test_a_camera_in_use(self, picamera2: type[FakePicamera2]) -> None:
        picamera2.error = RuntimeError("Camera __init__ sequence\n did not complete.")
        with pytest.raises(SourceError, match=r"another program uses it: Camera .* not complete\."):
            open_camera("picam")

    def test_frames_come_through_the_live_source(self, picamera2: type[FakePicamera2]) -> None:
        source = open_camera("picam", SourceOptions(frozen_s=0))
        frame = next(iter(source))
        source.close()
        assert isinstance(frame, Frame)
        assert frame.capture_s > 0.04
        assert picamera2.made[0].calls[-2:] == ["stop", "close"]

    @pytest.mark.parametrize(
        ("code", "message"),
        [
            ("raise ModuleNotFoundError('no', name='libcamera')", "--system-site-packages"),
            ("raise ModuleNotFoundError('no', name='simplejpeg')", "no module simplejpeg"),
            ("raise ImportError('libcamera.so.0.5: cannot open')", r"libcamera\.so\.0\.5"),
            (
                "raise ValueError('numpy.dtype size changed, may indicate binary incompatibility')",
                "built for another NumPy .*use --camera rpicam",
            ),
        ],
    )
    def test_a_package_that_cannot_be_imported(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, message: str
    ) -> None:
        (tmp_path / "picamera2.py").write_text(code)
        monkeypatch.delitem(sys.modules, "picamera2", raising=False)
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(DeviceUnusableError, match=message):
            open_camera("picam")

    def test_a_package_that_is_not_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "path", [])
        monkeypatch.delitem(sys.modules, "picamera2", raising=False)
        with pytest.raises(DeviceUnusableError, match="apt install python3-picamera2"):
            open_camera("picam")
