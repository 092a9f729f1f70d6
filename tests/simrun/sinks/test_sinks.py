"""What is written is complete, or the failure is told."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from simrun.errors import OutputError
from simrun.result import Latency, Region, Result
from simrun.sinks.csv_file import CsvSink
from simrun.sinks.jsonl import JsonlSink
from simrun.sinks.registry import StreamInfo
from simrun.sinks.save import ClipSink, PictureSink, open_save
from simrun.sources import BadFrame, Frame

INFO = StreamInfo("strokes", "ab" * 32, "demo", 10.0)
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
)
BAD = BadFrame(4, "pics/c.png", "pics/c.png is empty (0 bytes)")


def test_json_lines_have_the_documented_form(tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    sink = JsonlSink(str(target), INFO)
    sink.write(FRAME, RESULT)
    sink.write_bad(BAD)
    sink.close()
    header, line, bad = (json.loads(text) for text in target.read_text().splitlines())
    assert header == {
        "schema": "simrun/1",
        "model": "strokes",
        "model_sha256": "ab" * 32,
        "source": "demo",
    }
    assert line == {
        "frame": 3,
        "file": "pics/a,b.png",
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
    assert bad == {"frame": 4, "file": "pics/c.png", "error": BAD.error}


def test_csv_has_a_row_a_region_and_keeps_empty_and_bad_frames(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    sink = CsvSink(str(target))
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


def test_a_full_disk_is_told() -> None:
    sink_target = "/dev/full"
    if not Path(sink_target).exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(OutputError, match="cannot write /dev/full: No space left"):
        JsonlSink(sink_target, INFO, overwrite=True)
    with pytest.raises(OutputError, match="No space left"):
        CsvSink(sink_target, overwrite=True)


def test_what_is_there_is_kept_unless_told_otherwise(tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    target.write_text("precious")
    with pytest.raises(OutputError, match=r"there already; name another or add --overwrite"):
        JsonlSink(str(target), INFO)
    with pytest.raises(OutputError, match=r"there already; name another or add --overwrite"):
        CsvSink(str(target))
    with pytest.raises(OutputError, match="a folder that is not empty"):
        PictureSink(tmp_path)
    assert target.read_text() == "precious"
    JsonlSink(str(target), INFO, overwrite=True).close()
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


@pytest.mark.parametrize("suffix", ["mp4", "avi"])
def test_a_clip_holds_every_frame_and_appears_when_complete(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"clip.{suffix}"
    sink = open_save(str(target), INFO)
    for _ in range(5):
        sink.write(FRAME, RESULT)
    sink.write(replace(FRAME, image=np.zeros((20, 99), np.uint8)), RESULT)
    assert not target.exists()
    sink.close()
    sink.close()
    capture = cv2.VideoCapture(str(target), cv2.CAP_FFMPEG)
    count = 0
    while capture.read()[0]:
        count += 1
    assert count == 6
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(10)
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_a_clip_that_lost_frames_on_the_way_to_the_disk_is_no_clip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = ClipSink(tmp_path / "clip.avi", 10.0)
    for _ in range(5):
        sink.write(FRAME, RESULT)
    part = tmp_path / ".clip.part.avi"
    release = cv2.VideoWriter.release

    class CutShort:
        def release(self) -> None:
            release(writer)
            part.write_bytes(part.read_bytes()[:6000])

    writer = sink._writer
    monkeypatch.setattr(sink, "_writer", CutShort())
    with pytest.raises(OutputError, match="not all of 5 frames reached the disk"):
        sink.close()
    assert list(tmp_path.iterdir()) == []


def test_a_clip_without_frames_leaves_nothing(tmp_path: Path) -> None:
    sink = open_save(str(tmp_path / "clip.mp4"), INFO)
    sink.write_bad(BAD)
    sink.close()
    assert list(tmp_path.iterdir()) == []
