"""Median and quartiles, of few samples too, and what of a record git keeps."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.harness.record import (
    Samples,
    quartiles,
    raw_file,
    read_record,
    spread,
    to_text,
    write_record,
)


def test_quartiles_by_hand() -> None:
    assert quartiles([5, 1, 4, 2, 3]) == {"lower": 2, "median": 3, "upper": 4, "n": 5}
    assert quartiles([7]) == {"lower": 7, "median": 7, "upper": 7, "n": 1}
    assert spread(quartiles([5, 1, 4, 2, 3])) == "3.00 (2.00 to 4.00)"


def test_the_median_does_not_follow_one_slow_call() -> None:
    assert quartiles([1, 2, 3, 4, 1000])["median"] == 3


def test_a_record_has_quartiles_and_the_file_beside_it_every_sample(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    measured = {"date": "2026-01-01", "rows": [{"ms": Samples([3.0, 1.0, 2.0]), "size": (4, 5)}]}
    record = write_record(measured, file)
    assert record == read_record(file)
    assert record["rows"][0] == {"ms": quartiles([1, 2, 3]), "size": [4, 5]}
    assert raw_file(file).name == "x.raw.json"
    assert json.loads(raw_file(file).read_text())["rows"][0]["ms"] == [3.0, 1.0, 2.0]


def test_a_record_without_samples_has_no_file_beside_it(tmp_path: Path) -> None:
    write_record({"a": 1}, tmp_path / "x.json")
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_what_fits_is_on_one_line_and_the_text_is_json() -> None:
    record = {"short": {"a": [1, 2]}, "long": [{"x": "y" * 60}, {"x": "z" * 60}], "none": []}
    text = to_text(record)
    assert json.loads(text) == record
    assert ' "short": {"a": [1, 2]},' in text.splitlines()
    assert max(map(len, text.splitlines())) < 80
