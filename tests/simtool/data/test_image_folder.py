from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from simrun.errors import SourceError
from simtool.data.image_folder import ImageFolder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for name in ("box", "disc"):
        (tmp_path / name / "more").mkdir(parents=True)
        for place in ("0.png", "more/1.png"):
            picture = random.integers(0, 256, (9, 12, 3), np.uint8)
            cv2.imwrite(str(tmp_path / name / place), picture)
    return tmp_path


def opened(root: Path) -> ImageFolder:
    return ImageFolder.open(root, 8, "rgb").readable()


def test_hidden_files_and_folders_are_no_pictures(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = opened(root)
    for place in (".0.png", "._0.png", ".ipynb_checkpoints/0.png", "__MACOSX/0.png", "more/.x.png"):
        path = root / "box" / place
        path.parent.mkdir(exist_ok=True)
        shutil.copy(root / "box" / "0.png", path)
    (root / ".git" / "x").mkdir(parents=True)
    with caplog.at_level(logging.INFO, "simtool"):
        after = opened(root)
    assert after.files == before.files
    assert after.sha256 == before.sha256
    assert "4 pictures; left alone: " in caplog.text
    assert "4 hidden" in caplog.text


@pytest.mark.parametrize("kind", ["rubbish", "empty", "cut", "link", "folder", "pipe", "no rights"])
def test_what_cannot_be_read_is_counted_and_the_rest_goes_on(
    kind: str, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = root / "box" / "x.png"
    whole = (root / "box" / "0.png").read_bytes()
    if kind in ("rubbish", "empty", "cut"):
        bad.write_bytes({"rubbish": b"Mac OS X", "empty": b"", "cut": whole[:-40]}[kind])
    elif kind == "link":
        bad.symlink_to("nowhere")
    elif kind == "folder":
        bad.mkdir()
    elif kind == "pipe":
        os.mkfifo(bad)
    else:
        bad.symlink_to("/proc/self/mem")
    with caplog.at_level(logging.INFO, "simtool"):
        folder = opened(root)
    assert [path.name for path in folder.files] == ["0.png", "1.png"] * 2
    assert folder.labels.tolist() == [0, 0, 1, 1]
    assert ("they cannot be read: 1, the first: " in caplog.text) == (kind != "folder")
    folder.tensors(np.arange(4))


def test_other_kinds_are_counted_in_a_line(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a.txt", "b.txt", "c.heic", "README"):
        (root / "disc" / name).write_text("x")
    with caplog.at_level(logging.INFO, "simtool"):
        opened(root)
    (line,) = [m for m in caplog.messages if "left alone" in m]
    assert "4 pictures; left alone: 2 .txt" in line
    assert "1 .heic" in line
    assert "HEIC" in line


def test_a_class_without_a_readable_picture_is_named(root: Path) -> None:
    for path in (root / "disc").rglob("*.png"):
        path.write_bytes(b"x")
    with pytest.raises(
        SourceError, match=r"no picture of class 'disc' that can be read; the first"
    ):
        opened(root)


def test_pictures_lie_in_memory_as_a_training_loop_has_them(root: Path) -> None:
    images, _ = opened(root).tensors(np.arange(3))
    assert images.is_contiguous()
    images.view(3, -1)
