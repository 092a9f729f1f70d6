"""Things found and named, by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from simtool.data.annotations import ALL, AnnotatedSet, load_annotations
from simtool.evaluation.object_metrics import NameCounts, score_names
from tests.simtool.evalset import record, rectangle, region, write_annotations, write_picture

CAR = region(0, 0, 40, 40) | {"text": "car"}
BOAT = region(100, 0, 140, 40) | {"text": "boat"}


def annotated(folder: Path, *things: dict[str, Any]) -> AnnotatedSet:
    write_picture(folder / "street.png")
    write_annotations(folder, [record("street.png", *things)])
    return load_annotations(folder)


def predicted(folder: Path, *regions: tuple[str, float, tuple[float, ...]]) -> Path:
    """A result of label, score and box each."""
    found = [
        {"label": label, "score": score, "quad": rectangle(*box)} for label, score, box in regions
    ]
    path = folder / "results.jsonl"
    path.write_text(json.dumps({"file": "street.png", "regions": found}) + "\n", encoding="utf-8")
    return path


def test_a_region_shifted_by_half_has_an_iou_of_a_third(tmp_path: Path) -> None:
    things = annotated(tmp_path, CAR, BOAT)
    scores = score_names(things, predicted(tmp_path, ("car", 0.9, (20, 0, 60, 40))))
    assert scores["car"] == NameCounts(things=1, found=1, named=1, overlap=800 / 2400)
    assert scores["boat"] == NameCounts(things=1)
    assert scores[ALL] == NameCounts(things=2, found=1, named=1, regions=1, overlap=1 / 3)


def test_a_wrong_name_is_found_and_not_named(tmp_path: Path) -> None:
    things = annotated(tmp_path, CAR)
    scores = score_names(things, predicted(tmp_path, ("boat", 0.9, (0, 0, 40, 40))))
    assert scores["car"] == NameCounts(things=1, found=1, named=0, overlap=1.0)


def test_the_best_score_has_the_thing_and_a_second_region_has_none(tmp_path: Path) -> None:
    things = annotated(tmp_path, CAR)
    results = predicted(tmp_path, ("boat", 0.5, (0, 0, 40, 40)), ("car", 0.8, (0, 0, 40, 20)))
    figures = score_names(things, results)["all"].to_json()
    assert figures == {"things": 1, "precision": 0.5, "recall": 1.0, "named": 1.0, "iou": 0.5}


def test_a_region_whose_middle_lies_outside_has_no_thing(tmp_path: Path) -> None:
    things = annotated(tmp_path, CAR)
    figures = score_names(things, predicted(tmp_path, ("car", 0.9, (30, 0, 60, 40))))[ALL].to_json()
    assert figures == {"things": 1, "precision": 0.0, "recall": 0.0, "named": None, "iou": None}


def test_things_in_each_other_take_the_region_of_their_size(tmp_path: Path) -> None:
    things = annotated(tmp_path, region(0, 0, 90, 90) | {"text": "bus"}, CAR)
    scores = score_names(things, predicted(tmp_path, ("car", 0.9, (0, 0, 40, 40))))
    assert scores["car"].found == 1
    assert scores["bus"].found == 0


def test_what_is_to_be_ignored_is_no_thing(tmp_path: Path) -> None:
    things = annotated(tmp_path, CAR | {"ignore": True})
    assert score_names(things, predicted(tmp_path))[ALL] == NameCounts()
