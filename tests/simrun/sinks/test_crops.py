"""Crops: upright, the best of each track, never too many."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from simrun.errors import OutputError, UsageError
from simrun.files import Existing
from simrun.images.read import Image
from simrun.result import Latency, Region, Result
from simrun.sinks.crops import CropsSink
from simrun.sources import BadFrame, Frame

QUAD = ((20.0, 20.0), (60.0, 20.0), (60.0, 30.0), (20.0, 30.0))


def frame(index: int = 0, shade: int = 90) -> Frame:
    return Frame(np.full((80, 100, 3), shade, np.uint8), index, index / 10)


def result(*regions: Region) -> Result:
    return Result(100, 80, regions, Latency())


def track(
    number: int | None, score: float, label: str | None = None, *, held: bool = False
) -> Region:
    return Region(QUAD, score, label, track=number, held=held)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def shade(path: Path) -> float:
    return float(cv2.imread(str(path)).mean())


def test_a_tilted_region_is_cut_out_upright_in_colour(tmp_path: Path) -> None:
    picture = np.full((200, 200, 3), 40, np.uint8)
    # A blue half and a red half along the text, which climbs by 30 degrees.
    cos, sin = np.cos(np.pi / 6), -np.sin(np.pi / 6)
    along, across = np.array([cos, sin]), np.array([-sin, cos])
    start = np.array([60.0, 120.0])
    corners = [start, start + 80 * along, start + 80 * along + 20 * across, start + 20 * across]
    middle = start + 40 * along, start + 40 * along + 20 * across
    left, right = (
        np.array([corners[0], *middle, corners[3]]),
        np.array([middle[0], corners[1], corners[2], middle[1]]),
    )
    cv2.fillConvexPoly(picture, left.round().astype(np.int32), (255, 0, 0))
    cv2.fillConvexPoly(picture, right.round().astype(np.int32), (0, 0, 255))
    quad = tuple((float(x), float(y)) for x, y in corners)
    CropsSink(tmp_path / "crops").write(
        Frame(picture, 0, 0.0),
        result(Region(quad, 0.9, track=0)),  # type: ignore[arg-type]
    )
    crop = cv2.imread(str(tmp_path / "crops" / "track-000000.jpg"))
    assert crop.shape == (30, 90, 3)
    blue, red = crop[8:22, 10:40].mean(axis=(0, 1)), crop[8:22, 50:80].mean(axis=(0, 1))
    assert blue == pytest.approx([255, 0, 0], abs=25)
    assert red == pytest.approx([0, 0, 255], abs=25)


def test_a_track_has_the_crop_of_its_best_score(tmp_path: Path) -> None:
    sink = CropsSink(tmp_path / "crops")
    scores = [(100, 0.50, "EX1T"), (120, 0.80, "EXIT"), (140, 0.70, "EXlT"), (160, 0.815, "EXIT")]
    for grey, score, label in scores:
        sink.write(frame(shade=grey), result(track(7, score, label)))
    sink.close()
    assert names(tmp_path / "crops") == ["track-000007-EXIT.jpg"]
    assert shade(tmp_path / "crops" / "track-000007-EXIT.jpg") == pytest.approx(120, abs=2)


def test_a_slowly_rising_score_costs_few_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[int] = []
    monkeypatch.setattr(os, "fsync", writes.append)
    sink = CropsSink(tmp_path / "crops")
    for step in range(1001):
        sink.write(frame(), result(track(0, step / 1000)))
    assert 45 <= len(writes) <= 51


def test_without_tracks_every_region_of_every_frame(tmp_path: Path) -> None:
    sink = CropsSink(tmp_path / "crops")
    for index in (3, 4):
        sink.write(frame(index), result(track(None, 0.9, "A"), track(None, 0.8)))
    assert names(tmp_path / "crops") == [
        "frame-000003-0-A.jpg",
        "frame-000003-1.jpg",
        "frame-000004-0-A.jpg",
        "frame-000004-1.jpg",
    ]


def test_what_is_held_or_bad_is_not_cut_out(tmp_path: Path) -> None:
    sink = CropsSink(tmp_path / "crops")
    sink.write(frame(), result(track(0, 0.9, held=True)))
    sink.write_bad(BadFrame(1, None, "cut short"))
    assert names(tmp_path / "crops") == []


@pytest.mark.parametrize(
    ("label", "suffix"),
    [
        ("../../etc/passwd", "-etc_passwd"),
        ("a b:c*?", "-a_b_c"),
        ("NUL\x00\n", "-NUL"),
        ("...", ""),
        ("出口", "-出口"),
        ("x" * 500, "-" + "x" * 40),
        (None, ""),
    ],
)
def test_labels_are_safe_in_names(tmp_path: Path, label: str | None, suffix: str) -> None:
    CropsSink(tmp_path / "crops").write(frame(), result(track(1, 0.9, label)))
    assert names(tmp_path / "crops") == [f"track-000001{suffix}.jpg"]
    assert names(tmp_path) == ["crops"]


def test_the_oldest_go_when_there_are_too_many(tmp_path: Path) -> None:
    sink = CropsSink(tmp_path / "crops", keep=3)
    for number in range(3):
        sink.write(frame(), result(track(number, 0.5)))
    sink.write(frame(), result(track(0, 0.9)))
    sink.write(frame(), result(track(3, 0.5), track(4, 0.5)))
    assert names(tmp_path / "crops") == [f"track-{n:06d}.jpg" for n in (0, 3, 4)]


def test_crops_of_an_earlier_run_count_and_go_first(tmp_path: Path) -> None:
    folder = tmp_path / "crops"
    first = CropsSink(folder)
    for number in range(3):
        first.write(frame(), result(track(number, 0.9, "OLD")))
        os.utime(folder / f"track-{number:06d}-OLD.jpg", (1000 - number, 1000 - number))
    (folder / "notes.txt").write_text("mine")
    first.close()
    with pytest.raises(OutputError, match="a folder that is not empty"):
        CropsSink(folder)
    again = CropsSink(folder, Existing.OVERWRITE, keep=3)
    again.write(frame(), result(track(0, 0.3, "NEW")))
    assert names(folder) == [
        "notes.txt",
        "track-000000-NEW.jpg",
        "track-000001-OLD.jpg",
        "track-000002-OLD.jpg",
    ]
    again.write(frame(), result(track(3, 0.3)))
    # Number 2 was the oldest by its time.
    assert names(folder) == [
        "notes.txt",
        "track-000000-NEW.jpg",
        "track-000001-OLD.jpg",
        "track-000003.jpg",
    ]


def test_regions_at_the_edge_and_grey_frames(tmp_path: Path) -> None:
    sink = CropsSink(tmp_path / "crops")
    grey: Image = np.full((80, 100), 90, np.uint8)
    outside = ((-30.0, -5.0), (30.0, -5.0), (30.0, 5.0), (-30.0, 5.0))
    flat = ((5.0, 5.0), (5.0, 5.0), (5.0, 5.0), (5.0, 5.0))
    regions = [Region(outside, 0.9, track=0), Region(flat, 0.9, track=1)]
    sink.write(Frame(grey, 0, 0.0), result(*regions))
    assert shade(tmp_path / "crops" / "track-000000.jpg") == pytest.approx(90, abs=2)
    assert len(names(tmp_path / "crops")) == 2


def test_high_regions_are_shrunk(tmp_path: Path) -> None:
    picture = np.full((2000, 1000, 3), 90, np.uint8)
    quad = ((100.0, 100.0), (900.0, 100.0), (900.0, 1900.0), (100.0, 1900.0))
    CropsSink(tmp_path / "crops").write(Frame(picture, 0, 0.0), result(Region(quad, 0.9, track=0)))
    assert cv2.imread(str(tmp_path / "crops" / "track-000000.jpg")).shape[0] == 256


def test_a_full_disk_is_told_and_leaves_the_crop_that_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = CropsSink(tmp_path / "crops")
    sink.write(frame(), result(track(0, 0.5, "A")))

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OutputError, match=r"cannot write .*track-000000-B.jpg: No space left"):
            sink.write(frame(), result(track(0, 0.9, "B")))
    assert names(tmp_path / "crops") == ["track-000000-A.jpg"]
    sink.write(frame(), result(track(0, 0.9, "B")))
    assert names(tmp_path / "crops") == ["track-000000-B.jpg"]


def test_a_start_never_uses_the_name_of_an_earlier_crop(tmp_path: Path) -> None:
    folder = tmp_path / "crops"
    for started_s in (1_796_037_300.0, 1_796_037_300.9, 1_796_033_700.0):
        sink = CropsSink(folder, Existing.APPEND, started_s=started_s)
        sink.write(frame(), result(track(0, 0.9, "A"), track(None, 0.9)))
        sink.close()
    assert names(folder) == [
        "20261130T101500Z-frame-000000-1.jpg",
        "20261130T101500Z-track-000000-A.jpg",
        "20261130T111500Z-frame-000000-1.jpg",
        "20261130T111500Z-track-000000-A.jpg",
        "20261130T111500Z.2-frame-000000-1.jpg",
        "20261130T111500Z.2-track-000000-A.jpg",
    ]
    last = CropsSink(folder, Existing.APPEND, started_s=1_796_050_000.0, keep=2)
    last.write(frame(), result(track(0, 0.9, "A")))
    assert len(names(folder)) == 2


def test_a_folder_that_was_taken_away_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "crops"
    sink = CropsSink(folder)
    folder.rmdir()
    sink.write(frame(), result(track(0, 0.9)))
    assert names(folder) == ["track-000000.jpg"]


def test_nothing_can_be_kept_in_less_than_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="0 crops cannot be kept"):
        CropsSink(tmp_path / "crops", keep=0)


def test_other_regions_of_a_frame_keep_theirs(tmp_path: Path) -> None:
    sink = CropsSink(tmp_path / "crops")
    other = replace(track(1, 0.9), quad=((0.0, 0.0), (9.0, 0.0), (9.0, 9.0), (0.0, 9.0)))
    sink.write(frame(), result(track(0, 0.5), other))
    sink.write(frame(shade=200), result(other, track(0, 0.9)))
    assert shade(tmp_path / "crops" / "track-000000.jpg") == pytest.approx(200, abs=2)
    assert shade(tmp_path / "crops" / "track-000001.jpg") == pytest.approx(90, abs=2)


def test_two_runs_never_write_one_folder(tmp_path: Path) -> None:
    first = CropsSink(tmp_path / "crops")
    with pytest.raises(OutputError, match="is being written by another run"):
        CropsSink(tmp_path / "crops", Existing.APPEND)
    first.close()
    CropsSink(tmp_path / "crops", Existing.APPEND).close()


def test_what_a_killed_run_left_of_a_crop_goes(tmp_path: Path) -> None:
    for name in (".track-000001-A.jpg.x7_q2", ".mine.jpg.bak", "track-000002.jpg"):
        (tmp_path / name).touch()
    CropsSink(tmp_path, Existing.APPEND).close()
    assert names(tmp_path) == [".mine.jpg.bak", "track-000002.jpg"]
