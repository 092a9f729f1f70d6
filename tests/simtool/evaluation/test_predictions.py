"""JSON lines as several starts of a run leave them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simrun.errors import SourceError
from simtool.evaluation.predictions import read_predictions

HEADER = {"schema": "simrun/1", "model": "strokes", "model_sha256": "ab"}


def row(file: str, total_ms: float = 1.0) -> dict[str, Any]:
    return {"frame": 0, "file": file, "regions": [], "latency_ms": {"total": total_ms}}


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def test_a_later_start_takes_the_place_of_an_earlier(tmp_path: Path) -> None:
    bad = {"frame": 1, "file": "b.png", "error": "b.png is empty"}
    path = write(
        tmp_path / "r.jsonl", HEADER, row("a.png", 1), bad, HEADER, row("b.png", 2), row("c.png", 3)
    )
    predictions = read_predictions(path)
    assert list(predictions.quads) == ["a.png", "b.png", "c.png"]
    assert (predictions.errors, predictions.latency_ms) == ({}, (1, 2, 3))
    assert predictions.model_sha256 == "ab"


def test_a_picture_has_one_line_a_start(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", HEADER, row("a.png"), row("x/a.png"))
    with pytest.raises(SourceError, match=r"line 3: a second line for a.png"):
        read_predictions(path)


def test_runs_of_two_models_are_not_mixed(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", HEADER, row("a.png"), {**HEADER, "model_sha256": "cd"})
    with pytest.raises(SourceError, match="line 3: a run of another model"):
        read_predictions(path)


def test_a_name_may_hold_other_ends_of_line(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", HEADER, row("a\u2028b\x85c.png"))
    assert list(read_predictions(path).quads) == ["a\u2028b\x85c.png"]
