"""What every script of figures does alike, and that the page shows the records in git."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks.harness import benchmark as harness
from benchmarks.harness.benchmark import (
    ROOT,
    Benchmark,
    circumstances,
    in_turns,
    public_command,
    table,
)
from benchmarks.harness.markers import RESULTS
from benchmarks.harness.record import Record, Samples, raw_file, read_record

SCRIPTS = [
    *("accuracy.any_network", "accuracy.class_maps", "accuracy.flicker", "accuracy.peers.peers"),
    *("accuracy.weightings", "arm.count", "endurance.fuzz", "endurance.fuzz_http"),
    *("endurance.page", "endurance.soak", "speed.ablation.processes", "speed.ablation.__main__"),
    *("speed.call_cost", "speed.growth.__main__", "speed.startup"),
]


def the(script: str) -> Benchmark:
    found = importlib.import_module(f"benchmarks.{script}").BENCHMARK
    assert isinstance(found, Benchmark)
    return found


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_page_shows_what_the_record_in_git_says(script: str) -> None:
    one = the(script)
    text = one.to_markdown(read_record(one.record_file))
    shown = f"<!-- {one.markers}:begin -->\n{text}\n<!-- {one.markers}:end -->"
    assert shown in RESULTS.read_text(encoding="utf-8")


def numbers(value: Any) -> Iterator[int]:
    """Lengths of the lists of numbers in a document."""
    if isinstance(value, dict):
        for one in value.values():
            yield from numbers(one)
    if isinstance(value, list):
        yield sum(isinstance(one, float) for one in value)
        for one in value:
            yield from numbers(one)


def test_no_record_in_git_has_raw_samples() -> None:
    files = [path for path in (ROOT / "benchmarks").rglob("*.json") if ".raw." not in path.name]
    longest = {path.name: max(numbers(read_record(path)), default=0) for path in files}
    assert len(longest) > len(SCRIPTS)
    assert {name: length for name, length in longest.items() if length > 12} == {}


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A page with markers in a folder that stands for the checkout; what was measured."""
    page = tmp_path / "RESULTS.md"
    page.write_text("<!-- x:begin -->\nold\n<!-- x:end -->\n", encoding="utf-8")
    monkeypatch.setattr(harness, "RESULTS", page)
    monkeypatch.setattr(harness, "ROOT", tmp_path)
    monkeypatch.setitem(sys.modules, "benchmarks.toy", ModuleType("benchmarks.toy", "Toy."))
    (tmp_path / "benchmarks").mkdir()
    return []


def toy(calls: list[str], **more: Any) -> Benchmark:
    def measure(options: argparse.Namespace) -> dict[str, Any]:
        calls.append(options.what)
        return {"ms": Samples([1.0, 2.0, 3.0]), "parts": {options.what: 1}}

    def to_markdown(record: Record) -> str:
        return f"{record['ms']['median']} ms of {', '.join(record['parts'])}"

    measure.__module__ = "benchmarks.toy"
    return Benchmark(
        measure,
        to_markdown,
        lambda parser: parser.add_argument("what"),
        markers="x",
        **more,
    )


def run(one: Benchmark, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["toy", *arguments])
    one.main()


def test_a_run_writes_the_record_the_samples_and_the_page(
    measured: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = toy(measured)
    run(one, monkeypatch, "/somewhere/photos/")
    record = read_record(tmp_path / "benchmarks" / "toy.json")
    assert record["command"] == "python -m benchmarks.toy photos"
    assert record["ms"] == {"lower": 1.5, "median": 2.0, "upper": 2.5, "n": 3}
    assert json.loads(raw_file(one.record_file).read_text())["ms"] == [1.0, 2.0, 3.0]
    page = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert page == "<!-- x:begin -->\n2.0 ms of /somewhere/photos/\n<!-- x:end -->\n"


def test_a_report_measures_nothing_and_writes_the_same_page(
    measured: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, page = toy(measured), tmp_path / "RESULTS.md"
    run(one, monkeypatch, "a")
    before = page.read_text(encoding="utf-8")
    page.write_text(before.replace("2.0", "9.9"), encoding="utf-8")
    run(one, monkeypatch, "--report")
    assert page.read_text(encoding="utf-8") == before
    assert measured == ["a"]


def test_a_run_with_out_leaves_page_and_record_alone(
    measured: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = toy(measured)
    run(one, monkeypatch, "a", "--out", str(tmp_path / "mine.json"))
    assert not one.record_file.exists()
    assert "old" in (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert read_record(tmp_path / "mine.json")["parts"] == {"a": 1}


def test_a_page_without_the_markers_is_refused_before_anything_is_measured(
    measured: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "RESULTS.md").write_text("no markers", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"toy: .*must have <!-- x:begin -->"):
        run(toy(measured), monkeypatch, "a")
    assert measured == []


def test_entries_that_a_run_did_not_measure_stay_where_asked(
    measured: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for what in ("a", "b"):
        run(toy(measured, kept="parts"), monkeypatch, what)
    assert read_record(tmp_path / "benchmarks" / "toy.json")["parts"] == {"a": 1, "b": 1}
    run(toy(measured), monkeypatch, "c")
    assert read_record(tmp_path / "benchmarks" / "toy.json")["parts"] == {"c": 1}


def test_a_fault_is_told_after_everything_is_written_and_ends_with_1(
    measured: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    one = toy(measured, faults=lambda record: ["toy: too much"])
    with pytest.raises(SystemExit) as ended:
        run(one, monkeypatch, "a")
    assert ended.value.code == 1
    assert capsys.readouterr().err == "toy: too much\n"
    assert one.record_file.exists()


def test_every_round_has_everything_once_in_an_order_that_is_the_same_again() -> None:
    rounds = list(in_turns("abc", range(20)))
    assert [one for one, _ in rounds] == list(range(20))
    assert all(sorted(order) == ["a", "b", "c"] for _, order in rounds)
    assert len({tuple(order) for _, order in rounds}) > 1
    assert rounds == list(in_turns("abc", range(20)))


def test_a_command_tells_no_folders() -> None:
    words = ["/a/photos/", "--ours", "/b/x:640,320", "--side", "640"]
    wanted = "python -m benchmarks.x photos --ours x:640,320 --side 640"
    assert public_command("benchmarks.x", words) == wanted


def test_a_script_is_called_by_its_folder_where_it_is_the_folders_own() -> None:
    growth, peers, startup = (
        the(script) for script in ("speed.growth.__main__", "accuracy.peers.peers", "speed.startup")
    )
    assert growth.module == "benchmarks.speed.growth"
    assert growth.record_file == ROOT / "benchmarks/speed/growth/growth.json"
    assert peers.module == "benchmarks.accuracy.peers"
    assert peers.record_file == ROOT / "benchmarks/accuracy/peers/peers.json"
    assert startup.module == "benchmarks.speed.startup"
    assert startup.record_file == ROOT / "benchmarks/speed/startup.json"


def test_a_table_and_a_note_by_hand() -> None:
    assert table(["a", "b"], [[1, "x"]]) == "| a | b |\n|---|---|\n| 1 | x |"
    record = {"date": "2026-01-02", "machine": {"architecture": "arm64"}, "versions": {"python": 3}}
    assert circumstances(record) == "2026-01-02, arm64, Python 3"
