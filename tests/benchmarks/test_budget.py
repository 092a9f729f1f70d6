"""When the check of the instructions a frame may cost fails."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.arm.budget import BUDGET, compare, to_text


def counted(total: float, wheels: str = "onnxruntime-1.0", name: str = "m @ 640") -> dict[str, Any]:
    frames = {name: {"frame": {"total": total, "simd": 40.0}}}
    return {"core": "c", "unit": "u", "wheels": [wheels], "frames": frames}


@pytest.mark.parametrize("total", [50.0, 100.0, 101.9])
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
