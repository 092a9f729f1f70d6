"""The records of `simrun bench` and their table."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks.speed.bench_records import RECORDS, table

RESULTS = RECORDS.parent / "RESULTS.md"


def test_results_show_the_records_that_are_there() -> None:
    assert table(RECORDS) in RESULTS.read_text(encoding="utf-8")


def test_records_of_several_machines_are_one_table(tmp_path: Path) -> None:
    record = next(RECORDS.glob("*.json"))
    shutil.copy(record, tmp_path / "a.json")
    one = table(tmp_path).splitlines()
    shutil.copy(record, tmp_path / "b.json")
    assert table(tmp_path).splitlines() == [*one[:2], *one[2:], *one[2:]]
