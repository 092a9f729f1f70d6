"""Streams that FFmpeg reads, from an ffmpeg that sends them over TCP on loopback."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import cv2
import pytest

from simrun.errors import SourceError
from simrun.sources import Counted, Frame, SourceOptions
from simrun.sources import filled as filled_module
from simrun.sources.registry import open_source
from tests.simrun.live_fakes import picture

FFMPEG = shutil.which("ffmpeg")
PATIENCE_S = 30.0
pytestmark = pytest.mark.skipif(FFMPEG is None, reason="needs ffmpeg (apt install ffmpeg)")

Send = Callable[..., str]


@pytest.fixture
def material(tmp_path: Path) -> Path:
    """A second of grey levels that go up."""
    path = tmp_path / "material.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (64, 48))
    for i in range(25):
        writer.write(picture(20 + 8 * i, size=(48, 64)))
    writer.release()
    return path


@pytest.fixture
def send(material: Path, tmp_path: Path) -> Iterator[Send]:
    """Send the material for ever, one encoding after the other; the URL where it can be had."""
    running: list[subprocess.Popen[bytes]] = []

    def start(*encodings: list[str]) -> str:
        parts = []
        for number, arguments in enumerate(encodings):
            parts.append(tmp_path / f"{number}.ts")
            command = [str(FFMPEG), "-v", "error", "-i", str(material), *arguments]
            subprocess.run([*command, str(parts[-1])], check=True, timeout=PATIENCE_S)
        whole = tmp_path / "whole.ts"
        whole.write_bytes(b"".join(part.read_bytes() for part in parts))
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = int(free.getsockname()[1])
        command = [str(FFMPEG), "-v", "error", "-re", "-stream_loop", "-1", "-i", str(whole)]
        command += ["-c", "copy", "-f", "mpegts", f"tcp://127.0.0.1:{port}?listen=1"]
        running.append(subprocess.Popen(command))
        return f"tcp://127.0.0.1:{port}"

    yield start
    for process in running:
        process.kill()
        process.wait(PATIENCE_S)


@pytest.fixture(params=["av", "opencv"])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name: str = request.param
    if name == "av":
        pytest.importorskip("av")
    monkeypatch.setattr("simrun.sources.devices.network.has_av", lambda: name == "av")
    return name


OPTIONS = SourceOptions(wait_s=PATIENCE_S, give_up_s=PATIENCE_S)
PLAIN = ["-c:v", "libx264", "-g", "5", "-bf", "0", "-pix_fmt", "yuv420p"]
INTERLACED = ["-c:v", "mpeg2video", "-g", "5", "-flags", "+ildct+ilme"]


def test_frames_come_and_go_up(reader: str, send: Send) -> None:
    source = open_source(send(PLAIN), OPTIONS)
    frames = [f for f in islice(source, 8) if isinstance(f, Frame)]
    assert isinstance(source, Counted)
    stats = source.stats()
    source.close()
    assert len({round(float(f.image.mean())) for f in frames}) > 2
    assert all(f.image.shape == (48, 64, 3) for f in frames)
    assert stats is not None
    assert "64x48" in stats.description
    assert stats.bad == 0


def test_of_an_interlaced_stream_the_picture_or_an_error(reader: str, send: Send) -> None:
    url = send(INTERLACED)
    if reader == "opencv" and filled_module.may_stay_unfilled():
        with pytest.raises(SourceError, match="interlaced"):
            open_source(url, OPTIONS)
        return
    source = open_source(url, OPTIONS)
    frames = [f for f in islice(source, 5) if isinstance(f, Frame)]
    source.close()
    assert len({round(float(f.image.mean())) for f in frames}) > 1


def test_a_stream_that_changes_its_size(send: Send) -> None:
    pytest.importorskip("av")
    source = open_source(send([*PLAIN, "-s", "64x48"], [*PLAIN, "-s", "96x64"]), OPTIONS)
    shapes = {f.image.shape for f in islice(source, 80) if isinstance(f, Frame)}
    source.close()
    assert shapes == {(48, 64, 3), (64, 96, 3)}
