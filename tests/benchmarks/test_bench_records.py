"""The records of `simrun bench` and their table."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from benchmarks.harness.record import raw_file
from benchmarks.speed.bench_records import RECORDS, files, keep_figures, table

RESULTS = RECORDS.parent / "RESULTS.md"


def test_results_show_the_records_that_are_there() -> None:
    assert table(RECORDS) in RESULTS.read_text(encoding="utf-8")


def test_records_of_several_machines_are_one_table(tmp_path: Path) -> None:
    record = next(RECORDS.glob("*.json"))
    shutil.copy(record, tmp_path / "a.json")
    one = table(tmp_path).splitlines()
    shutil.copy(record, tmp_path / "b.json")
    assert table(tmp_path).splitlines() == [*one[:2], *one[2:], *one[2:]]


def test_the_samples_of_a_record_go_beside_it_and_its_row_stays(tmp_path: Path) -> None:
    file = tmp_path / "board.json"
    record = json.loads(files(RECORDS)[0].read_text(encoding="utf-8"))
    for result in record["results"]:
        result["samples"] = {"total": [1.0, 2.0]}
    file.write_text(json.dumps(record), encoding="utf-8")
    before = table(tmp_path)
    keep_figures(file)
    assert "samples" not in file.read_text(encoding="utf-8")
    assert json.loads(raw_file(file).read_text(encoding="utf-8")) == record
    assert table(tmp_path) == before
    keep_figures(file)
    assert files(tmp_path) == [file]
    assert json.loads(raw_file(file).read_text(encoding="utf-8")) == record
