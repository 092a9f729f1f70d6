"""What is written is complete, or the failure is told."""

from __future__ import annotations

import csv
import json
import os
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from simrun import __version__
from simrun.errors import OutputError
from simrun.files import Existing
from simrun.result import Latency, Region, Result, iso_time
from simrun.sinks.csv_file import CsvSink
from simrun.sinks.jsonl import JsonlSink
from simrun.sinks.registry import StreamInfo
from simrun.sinks.rotation import Rotation
from simrun.sinks.save import ClipSink, PictureSink, open_save
from simrun.sources import BadFrame, Frame

STARTED_S = 1_796_037_300.0
INFO = StreamInfo("strokes", "ab" * 32, "demo", 10.0, STARTED_S)
FRAME = Frame(np.full((48, 64, 3), 90, np.uint8), 3, 0.25, file="pics/a,b.png")
QUAD = ((1.0, 2.0), (11.04, 2.0), (11.0, 7.0), (1.0, 7.0))
RESULT = Result(
    width=64,
    height=48,
    regions=(Region(QUAD, 0.87654321, "42", 0.5), Region(QUAD, 0.5)),
    latency_ms=Latency(1, 2, 3, 4, 5, 15),
    frame=3,
    file="pics/a,b.png",
    time_s=0.25,
    taken_s=STARTED_S + 2.5,
)
BAD = BadFrame(4, "pics/c.png", "pics/c.png is empty (0 bytes)", STARTED_S + 3)


def test_json_lines_have_the_documented_form(tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    sink = JsonlSink(str(target), INFO)
    sink.write(FRAME, RESULT)
    sink.write_bad(BAD)
    sink.close()
    header, line, bad = (json.loads(text) for text in target.read_text().splitlines())
    assert header == {
        "schema": "simrun/1",
        "version": __version__,
        "started": iso_time(STARTED_S),
        "model": "strokes",
        "model_sha256": "ab" * 32,
        "source": "demo",
    }
    assert line == {
        "frame": 3,
        "file": "pics/a,b.png",
        "time": iso_time(STARTED_S + 2.5),
        "time_s": 0.25,
        "width": 64,
        "height": 48,
        "regions": [
            {
                "quad": [[1, 2], [11, 2], [11, 7], [1, 7]],
                "box": [1, 2, 11, 7],
                "score": 0.8765,
                "label": "42",
                "label_score": 0.5,
                "track": None,
            },
            {
                "quad": [[1, 2], [11, 2], [11, 7], [1, 7]],
                "box": [1, 2, 11, 7],
                "score": 0.5,
                "label": None,
                "label_score": None,
                "track": None,
            },
        ],
        "latency_ms": {
            "capture": 1,
            "preprocess": 2,
            "infer": 3,
            "regions": 4,
            "classify": 5,
            "total": 15,
        },
    }
    assert bad == {
        "frame": 4,
        "file": "pics/c.png",
        "time": iso_time(STARTED_S + 3),
        "error": BAD.error,
    }


def test_csv_has_a_row_a_region_and_keeps_empty_and_bad_frames(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    sink = CsvSink(str(target), INFO)
    sink.write(FRAME, RESULT)
    sink.write(FRAME, replace(RESULT, regions=()))
    sink.write_bad(BAD)
    sink.close()
    with target.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == ["42", "", "", ""]
    assert [row["score"] for row in rows] == ["0.8765", "0.5", "", ""]
    assert rows[0]["file"] == "pics/a,b.png"
    assert (rows[0]["x1"], rows[0]["bottom"], rows[0]["total_ms"]) == ("11.0", "7.0", "15")
    assert (rows[3]["frame"], rows[3]["error"]) == ("4", BAD.error)
    assert [row["started"] for row in rows] == [iso_time(STARTED_S)] * 4
    assert [row["time"] for row in rows] == [iso_time(STARTED_S + d) for d in (2.5, 2.5, 2.5, 3)]


def test_a_label_or_a_name_is_never_a_formula(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    labels = ("=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-x", "\t=1", "-12", "+4.5", "a-b", "x\ny")
    sink = CsvSink(str(target), INFO)
    for label in labels:
        region = Region(QUAD, 0.5, label)
        sink.write(FRAME, replace(RESULT, regions=(region,), file="=evil.png"))
    sink.close()
    with target.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["file"] for row in rows} == {"'=evil.png"}
    assert [row["label"] for row in rows] == [
        *("'=1+1", "'@SUM(A1)", "'+cmd|' /C calc'!A0", "'-x", "'\\x09=1"),
        *("-12", "+4.5", "a-b", "x\\x0ay"),
    ]


def test_names_of_other_bytes_are_escaped(tmp_path: Path) -> None:
    jsonl, rows = tmp_path / "out.jsonl", tmp_path / "out.csv"
    name = os.fsdecode(b"pics/caf\xe9.png")
    for sink in (JsonlSink(str(jsonl), INFO), CsvSink(str(rows), INFO)):
        sink.write(replace(FRAME, file=name), replace(RESULT, file=name))
        sink.write_bad(replace(BAD, file=name, error=f"{name} is empty"))
        sink.close()
    lines = [json.loads(line) for line in jsonl.read_text("utf-8").splitlines()]
    escaped = "pics/caf\\xe9.png"
    assert [line.get("file") for line in lines] == [None, escaped, escaped]
    assert lines[2]["error"] == f"{escaped} is empty"
    assert rows.read_text("utf-8").count(escaped) == 4


def test_a_full_disk_is_told() -> None:
    sink_target = "/dev/full"
    if not Path(sink_target).exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(OutputError, match="cannot write /dev/full: No space left"):
        JsonlSink(sink_target, INFO, Existing.OVERWRITE)
    with pytest.raises(OutputError, match="No space left"):
        CsvSink(sink_target, INFO, Existing.OVERWRITE)


def test_what_is_there_is_kept_unless_told_otherwise(tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    target.write_text("precious")
    with pytest.raises(
        OutputError, match=r"there already; name another or add --append or --overwrite"
    ):
        JsonlSink(str(target), INFO)
    with pytest.raises(
        OutputError, match=r"there already; name another or add --append or --overwrite"
    ):
        CsvSink(str(target), INFO)
    with pytest.raises(OutputError, match="a folder that is not empty"):
        PictureSink(tmp_path)
    assert target.read_text() == "precious"
    JsonlSink(str(target), INFO, Existing.OVERWRITE).close()
    assert "schema" in target.read_text()


def test_a_target_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for make in (
        lambda: JsonlSink(str(tmp_path / "none" / "x.jsonl"), INFO),
        lambda: PictureSink(tmp_path / "file" / "folder"),
        lambda: ClipSink(tmp_path / "file" / "clip.mp4", 10.0),
    ):
        with pytest.raises(OutputError, match="cannot write"):
            make()


def test_pictures_are_named_after_their_files_and_none_is_lost(tmp_path: Path) -> None:
    sink = open_save(str(tmp_path / "out"), INFO)
    sink.write(FRAME, RESULT)
    sink.write(replace(FRAME, file="other/a,b.jpg"), RESULT)
    sink.write(replace(FRAME, file=None), RESULT)
    sink.close()
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["a,b-2.jpg", "a,b.jpg", "frame-000003.jpg"]
    overlay = cv2.imread(str(tmp_path / "out" / "a,b.jpg"))
    assert overlay.shape == (48, 64, 3)
    assert np.abs(overlay.astype(int) - 90).max() > 60


def test_pictures_of_a_camera_leave_nothing_in_memory(tmp_path: Path) -> None:
    sink = PictureSink(tmp_path / "out")
    for index in range(5):
        sink.write(replace(FRAME, file=None, index=index), RESULT)
    assert len(list((tmp_path / "out").iterdir())) == 5
    assert not sink._used


def frames_in(path: Path) -> int:
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    count = 0
    while capture.read()[0]:
        count += 1
    return count


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "avi"])
def test_a_clip_holds_every_frame(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"clip.{suffix}"
    sink = open_save(str(target), INFO)
    for _ in range(5):
        sink.write(FRAME, RESULT)
    sink.write(replace(FRAME, image=np.zeros((20, 99), np.uint8)), RESULT)
    sink.close()
    sink.close()
    assert frames_in(target) == 6
    capture = cv2.VideoCapture(str(target), cv2.CAP_FFMPEG)
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(10)
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


@pytest.mark.parametrize("suffix", ["mkv", "avi"])
def test_a_clip_in_the_making_can_be_read_if_the_run_is_killed(tmp_path: Path, suffix: str) -> None:
    target, copy = tmp_path / f"clip.{suffix}", tmp_path / f"copy.{suffix}"
    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    sink = open_save(str(target), INFO)
    for step in range(150):
        sink.write(replace(FRAME, image=np.roll(noise, step, 1)), RESULT)
    copy.write_bytes(target.read_bytes())  # as it lies there when nobody completes it
    sink.close()
    assert frames_in(copy) >= 75


def test_of_a_clip_that_lost_frames_what_is_left_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "clip.avi"
    sink = ClipSink(target, 10.0)
    for _ in range(5):
        sink.write(FRAME, RESULT)
    release = cv2.VideoWriter.release

    class CutShort:
        def release(self) -> None:
            release(writer)
            os.truncate(target, 7000)

    writer = sink._writer
    monkeypatch.setattr(sink, "_writer", CutShort())
    with pytest.raises(OutputError, match=r"not all of 5 frames reached .*; what did is kept"):
        sink.close()
    assert 0 < frames_in(target) < 5


class Disk:
    """Stands in for `os.statvfs`."""

    f_frsize, f_bavail, f_flag = 4096, 1 << 20, 0


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(os, "statvfs", lambda _: disk)
    return disk


@pytest.mark.parametrize(
    ("trouble", "message"),
    [({"f_bavail": 1000}, "less than 6 MiB are free"), ({"f_flag": os.ST_RDONLY}, "read only")],
)
def test_a_clip_ends_before_the_disk_does_and_another_begins_once_there_is_room(
    tmp_path: Path, disk: Disk, trouble: dict[str, int], message: str
) -> None:
    target = tmp_path / "clip.mkv"
    sink = ClipSink(target, 10.0)
    for _ in range(5):
        sink.write(FRAME, RESULT)
    vars(disk).update(trouble)
    for _ in range(2):
        with pytest.raises(OutputError, match=message):
            sink.write(FRAME, RESULT)
    assert frames_in(target) == 5
    vars(disk).clear()
    sink.write(FRAME, RESULT)
    sink.close()
    assert (frames_in(tmp_path / "clip.000001.mkv"), frames_in(target)) == (5, 1)


def test_a_start_keeps_the_clips_of_those_before(tmp_path: Path) -> None:
    target = tmp_path / "clip.mkv"
    for count in (3, 2, 1):
        sink = ClipSink(target, 10.0, Existing.APPEND)
        for _ in range(count):
            sink.write(FRAME, RESULT)
        sink.close()
    counts = {path.name: frames_in(path) for path in tmp_path.iterdir()}
    assert counts == {"clip.000001.mkv": 3, "clip.000002.mkv": 2, "clip.mkv": 1}
    ClipSink(target, 10.0, Existing.OVERWRITE).write(FRAME, RESULT)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_clip_that_is_renamed_or_deleted_is_followed_by_another(tmp_path: Path) -> None:
    target, moved = tmp_path / "clip.mkv", tmp_path / "moved.mkv"
    sink = ClipSink(target, 10.0)
    sink.write(FRAME, RESULT)
    target.rename(moved)
    sink.write(FRAME, RESULT)
    target.unlink()
    for _ in range(2):
        sink.write(FRAME, RESULT)
    sink.reopen()
    sink.write(FRAME, RESULT)
    sink.close()
    counts = {path.name: frames_in(path) for path in tmp_path.iterdir()}
    assert counts == {"moved.mkv": 1, "clip.000001.mkv": 2, "clip.mkv": 1}


def test_clips_are_rotated_by_size(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    sink = ClipSink(tmp_path / "clip.avi", 10.0, rotation=Rotation(1 << 20, keep=2))
    for step in range(60):
        sink.write(replace(FRAME, image=np.roll(noise, step, 1)), RESULT)
    sink.close()
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert len(sizes) == 3
    assert "clip.avi" in sizes
    assert max(sizes.values()) < 2 << 20


def test_pictures_of_starts_do_not_replace_one_another(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    for started_s in (STARTED_S, STARTED_S, STARTED_S - 3600):  # the clock stands, then jumps back
        info = replace(INFO, started_s=started_s)
        sink = open_save(str(folder), info, Existing.APPEND)
        sink.write(replace(FRAME, file=None), RESULT)
        sink.close()
    assert sorted(path.name for path in folder.iterdir()) == [
        "20261130T101500Z-frame-000003.jpg",
        "20261130T111500Z-frame-000003.jpg",
        "20261130T111500Z.2-frame-000003.jpg",
    ]


@pytest.mark.parametrize("existing", [Existing.APPEND, Existing.OVERWRITE])
@pytest.mark.parametrize("name", ["clip.mkv", "folder"])
def test_two_runs_never_write_one_clip_or_folder(
    tmp_path: Path, name: str, existing: Existing
) -> None:
    target = str(tmp_path / name)
    first = open_save(target, INFO)
    first.write(FRAME, RESULT)
    with pytest.raises(OutputError, match="is being written by another run"):
        open_save(target, INFO, existing).write(FRAME, RESULT)
    first.write(replace(FRAME, file="b.png"), RESULT)
    first.close()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    second = open_save(target, INFO, existing)
    second.write(FRAME, RESULT)
    second.close()


def test_the_longest_names_have_overlays_too(tmp_path: Path) -> None:
    name = "\u00e9" * 125
    with closing(PictureSink(tmp_path, Existing.APPEND)) as sink:
        for _ in range(2):
            sink.write(replace(FRAME, file=f"{name}.jpg"), RESULT)
    assert len(list(tmp_path.glob("*.jpg"))) == 2


def test_what_a_killed_run_left_of_a_picture_goes(tmp_path: Path) -> None:
    for name in ("frame-000001.jpg", "frame-000002.jpg.part", "mine.part"):
        (tmp_path / name).touch()
    PictureSink(tmp_path, Existing.APPEND).close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frame-000001.jpg", "mine.part"]


def test_folders_of_pictures_are_rotated_by_size(tmp_path: Path) -> None:
    sink = PictureSink(tmp_path / "out", rotation=Rotation(4000, keep=2))
    for index in range(40):
        sink.write(replace(FRAME, file=None, index=index), RESULT)
    folders = sorted(tmp_path.iterdir())
    assert len(folders) == 3
    for folder in folders:
        assert 0 < sum(path.stat().st_size for path in folder.iterdir()) <= 4000
    assert (tmp_path / "out" / "frame-000039.jpg").exists()


def test_a_clip_without_frames_leaves_nothing(tmp_path: Path) -> None:
    sink = open_save(str(tmp_path / "clip.mp4"), INFO)
    sink.write_bad(BAD)
    sink.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", [JsonlSink, CsvSink])
def test_a_last_line_without_its_end_is_kept(
    tmp_path: Path, kind: type[JsonlSink] | type[CsvSink]
) -> None:
    path = tmp_path / "results"
    for _ in range(2):
        with closing(kind(str(path), INFO, Existing.APPEND)) as sink:
            sink.write(FRAME, RESULT)
        content = path.read_bytes()
        assert content.endswith(b"\n")
        path.write_bytes(content.rstrip(b"\r\n"))
    lines = content.splitlines()
    assert len(lines) == {JsonlSink: 4, CsvSink: 1 + 2 * len(RESULT.regions)}[kind]


@pytest.mark.parametrize("kind", [JsonlSink, CsvSink])
def test_what_a_power_cut_filled_with_nuls_is_cut_off(
    tmp_path: Path, kind: type[JsonlSink] | type[CsvSink]
) -> None:
    path = tmp_path / "results"
    for _ in range(2):
        with closing(kind(str(path), INFO, Existing.APPEND)) as sink:
            sink.write(FRAME, RESULT)
        assert b"\0" not in path.read_bytes()
        with path.open("ab") as file:
            file.write(bytes(4096))
