from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from simrun.errors import SourceError
from simtool.data.annotations import ANNOTATIONS_FILE, load_annotations


@pytest.mark.parametrize("file", ["../secret.png", "a/../../secret.png", "/etc/hostname"])
def test_pictures_are_below_the_folder(file: str, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"x")
    folder = tmp_path / "data"
    (folder / "a").mkdir(parents=True)
    image = {"file": file, "width": 4, "height": 4, "regions": []}
    (folder / ANNOTATIONS_FILE).write_text(json.dumps({"images": [image]}))
    with pytest.raises(SourceError, match="must be a path below the data's folder"):
        load_annotations(folder)


def test_annotations_that_are_no_file_of_bearable_depth(tmp_path: Path) -> None:
    path = tmp_path / ANNOTATIONS_FILE
    path.write_text("[" * 200_000)
    with pytest.raises(SourceError, match="nested too deeply"):
        load_annotations(tmp_path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(SourceError, match="no regular file"):
        load_annotations(tmp_path)
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(SourceError, match="no regular file"):
        load_annotations(tmp_path)
