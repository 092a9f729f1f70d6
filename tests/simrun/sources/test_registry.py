"""Pictures and the demo."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from simrun.errors import SourceError
from simrun.images.read import Note
from simrun.sources import BadFrame, Frame
from simrun.sources.demo import LENGTH, RATE, DemoStream
from simrun.sources.live.clock import SystemClock
from simrun.sources.registry import open_camera, open_demo, open_source
from tests.simrun.conftest import Run
from tests.simrun.live_fakes import picture


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

    def test_names_that_are_not_utf8_are_escaped_and_the_run_goes_on(
        self, tmp_path: Path, simrun: Run
    ) -> None:
        folder = os.fsencode(tmp_path) + b"/n\xff"
        os.mkdir(folder)  # noqa: PTH102 - bytes
        good = cv2.imencode(".png", picture())[1].tobytes()
        for name, content in ((b"a.png", good), (b"caf\xe9.png", good), (b"d\n\xe9.png", b"")):
            Path(os.fsdecode(folder + b"/" + name)).write_bytes(content)
        out, table = tmp_path / "o.jsonl", tmp_path / "o.csv"
        where = os.fsdecode(folder)
        code, _, err = simrun("--source", where, "--jsonl", out, "--csv", table)
        head, *lines = map(json.loads, out.read_text(encoding="utf-8").splitlines())
        assert code == 4
        assert head["source"] == f"{tmp_path}/n\\xff"
        assert [Path(line["file"]).name for line in lines] == [
            "a.png",
            "caf\\xe9.png",
            "d\n\\xe9.png",
        ]
        assert lines[2]["error"].endswith("d\\x0a\\xe9.png is empty (0 bytes)")
        assert "caf\\xe9.png" in table.read_text(encoding="utf-8")
        assert "d\\x0a\\xe9.png is empty" in err

    def test_odd_members_of_a_folder_end_nothing(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        cv2.imwrite(str(tmp_path / "a.png"), picture())
        os.mkfifo(tmp_path / "b.png")
        (tmp_path / "c.png").symlink_to("/dev/zero")
        (tmp_path / "d.png").symlink_to("nowhere")
        (tmp_path / "e.png").touch()
        os.truncate(tmp_path / "e.png", 8 << 30)
        (tmp_path / "f.png").mkdir()
        for name in ("._a.png", "notes.txt", "x.txt", "IMG_1.HEIC", "README"):
            (tmp_path / name).write_text("?")
        for suffix in (".jfif", ".jpe", ".JPG"):
            jpeg = cv2.imencode(".jpg", picture())[1].tobytes()
            (tmp_path / f"z{suffix}").write_bytes(jpeg)
        frames = list(open_source(str(tmp_path)))
        assert [Path(f.file or "").name for f in frames if isinstance(f, BadFrame)] == [
            f"{name}.png" for name in "bcde"
        ]
        assert sum(isinstance(f, Frame) for f in frames) == 4
        (line,) = [text for text in caplog.messages if "left alone" in text]
        assert "8 pictures; left alone: 2 .txt" in line
        for part in ("1 hidden", "1 folder", "1 .heic", "1 without a suffix", "pillow-heif"):
            assert part in line

    def test_what_is_said_of_a_picture_is_said_once_and_counted(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        deep = np.arange(600, dtype=np.uint16).reshape(20, 30)
        for name in "abc":
            cv2.imwrite(str(tmp_path / f"{name}.png"), deep)
        assert len(list(open_source(str(tmp_path)))) == 3
        assert [m.split(": ")[-2:] for m in caplog.messages if "stretched" in m] == [
            [str(tmp_path / "a.png"), str(Note.STRETCHED)],
            ["3 pictures in all", str(Note.STRETCHED)],
        ]

    @pytest.mark.parametrize("name", ["a.heic", "a.HEIF", "a.avif"])
    def test_heif_says_what_reads_it(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_bytes(b"?")
        with pytest.raises(SourceError, match="pillow-heif"):
            open_source(str(tmp_path / name))

    def test_closing_ends_the_iteration(self, tmp_path: Path) -> None:
        for name in "ab":
            cv2.imwrite(str(tmp_path / f"{name}.png"), picture())
        source = open_source(str(tmp_path))
        frames = iter(source)
        next(frames)
        source.close()
        assert list(frames) == []


def test_the_demo_moves_and_ends() -> None:
    frames = list(open_demo())
    assert len(frames) == LENGTH
    assert all(isinstance(f, Frame) and f.image.shape == (480, 640, 3) for f in frames)
    assert not np.array_equal(frames[0].image, frames[20].image)


def test_the_demo_camera_keeps_its_pace_and_has_no_end() -> None:
    class Clock(SystemClock):
        """Time passes by waiting only."""

        now_s = 10.0

        def now(self) -> float:
            return self.now_s

        def pause(self, stop: threading.Event, seconds: float) -> None:
            self.now_s += seconds

    clock = Clock()
    stream = DemoStream(clock)
    shots = [stream.read() for _ in range(2 * LENGTH)]
    assert clock.now_s == pytest.approx(10 + (2 * LENGTH - 1) / RATE)
    assert [shot.stamp_s for shot in shots[:2]] == pytest.approx([10, 10 + 1 / RATE])
    assert np.any(shots[0].image != shots[-1].image)
    stream.interrupt()
    with pytest.raises(SourceError):
        stream.read()


def test_the_demo_camera_is_a_live_source() -> None:
    source = open_camera("demo")
    try:
        assert source.live
        assert next(iter(source)).index >= 0
    finally:
        source.close()
