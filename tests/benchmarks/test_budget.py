"""When the check of the instructions a frame may cost fails."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from benchmarks.arm import budget as module
from benchmarks.arm.budget import BUDGET, compare, main, measure, to_text
from benchmarks.arm.emulator import Emulator
from simrun.sources.demo import draw_scene


def counted(total: float, wheels: str = "onnxruntime-1.0", name: str = "m @ 640") -> dict[str, Any]:
    frames = {name: {"frame": {"total": total, "simd": 40.0}}}
    return {"core": "c", "unit": "u", "wheels": [wheels], "frames": frames}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Path]:
    """Run the program with an option, counts and a budget; gives back the budget's file."""
    path = tmp_path / "budget.json"
    monkeypatch.setattr(module, "BUDGET", path)

    def run_program(option: str, measured: Mapping[str, Any], budget: Mapping[str, Any]) -> Path:
        path.write_text(json.dumps(budget), encoding="utf-8")
        monkeypatch.setattr(module, "measure", lambda emulator: measured)
        monkeypatch.setattr(sys, "argv", ["budget", "folder", option])
        main()
        return path

    return run_program


@pytest.mark.parametrize("total", [50.0, 100.0, 102.0])
def test_what_costs_no_more_than_the_tolerance_passes(total: float) -> None:
    assert compare(counted(total), counted(100.0)) == []


def test_two_percent_more_fails_and_says_how_much() -> None:
    (fault,) = compare(counted(102.2), counted(100.0))
    assert fault.startswith("m @ 640 costs 102.2 M instructions, +2.2% on the budget's 100.0 M")


def test_other_wheels_are_not_compared() -> None:
    (fault,) = compare(counted(1.0, wheels="onnxruntime-2.0"), counted(100.0))
    assert "counted with onnxruntime-2.0; the budget is of onnxruntime-1.0" in fault


def test_a_model_without_a_budget_fails() -> None:
    assert len(compare(counted(1.0, name="new @ 640"), counted(100.0))) == 2


def test_the_budget_in_the_repository_covers_its_four_frames() -> None:
    budget = json.loads(BUDGET.read_text(encoding="utf-8"))
    assert compare(budget, budget) == []
    text = to_text(budget, budget)
    for name in ("scene-text @ 640", "scene-text @ 456", "scene-text @ 320", "mnist-lenet @ 640"):
        assert f"{name}: frame " in text


def test_a_check_within_the_budget_passes_and_leaves_its_file(
    run: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = run("--check", counted(99.0), counted(100.0))
    assert json.loads(path.read_text(encoding="utf-8")) == counted(100.0)
    assert capsys.readouterr().out.splitlines()[1] == "m @ 640: frame 99.00 (40.00); -1.00%"


def test_a_check_over_the_budget_fails_with_a_line_a_fault(run: Callable[..., Path]) -> None:
    with pytest.raises(SystemExit) as ended:
        run("--check", counted(1.0, name="new @ 640"), counted(100.0))
    lines = str(ended.value.code).splitlines()
    assert [line.split(" is ")[0] for line in lines] == ["budget: m @ 640", "budget: new @ 640"]


def test_an_update_over_the_budget_takes_todays_counts(
    run: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = run("--update", counted(200.0), counted(100.0))
    assert json.loads(path.read_text(encoding="utf-8")) == counted(200.0)
    assert capsys.readouterr().out.splitlines()[1] == "m @ 640: frame 200.00 (40.00); +0.00%"


def test_an_update_with_the_same_counts_leaves_the_file_in_the_repository_as_it_is(
    run: Callable[..., Path],
) -> None:
    same = BUDGET.read_text(encoding="utf-8")
    assert run("--update", json.loads(same), {}).read_text(encoding="utf-8") == same


def test_the_text_has_the_frame_first_and_its_change_on_the_budget() -> None:
    measured, budget = counted(110.0), counted(100.0)
    measured["frames"]["m @ 640"] = {
        "infer": {"total": 80.0, "simd": 30.0},
        "frame": {"total": 110.0, "simd": 40.0},
    }
    assert to_text(measured, budget).splitlines() == [
        "c, onnxruntime-1.0; u (SIMD)",
        "m @ 640: frame 110.00 (40.00), infer 80.00 (30.00); +10.00%",
    ]
    assert to_text(measured, counted(1.0, name="other")).endswith("; +0.00%")


def test_a_frame_of_the_demo_is_counted_with_its_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def count(
        emulator: Emulator, call: Mapping[str, Any], photos: Sequence[Path], stages: Sequence[str]
    ) -> dict[str, Any]:
        (photo,) = photos
        np.testing.assert_array_equal(cv2.imread(str(photo)), draw_scene(1.0))
        assert call["read"]
        assert stages[-1] == "classify"
        parts = {stage: {"total": 1.0} for stage in stages}
        return {"name": call["name"], "stages": parts, "call": {"total": 9.0}}

    monkeypatch.setattr(module, "count", count)
    measured = measure(Emulator(Path("nowhere"), "pi4"))
    assert measured["core"] == "cortex-a72"
    scene, digits = measured["frames"]["scene-text @ 456"], measured["frames"]["mnist-lenet @ 640"]
    assert list(scene) == list(digits) == ["preprocess", "infer", "regions", "classify", "frame"]
    assert scene["frame"] == {"total": 9.0}
