from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simrun.errors import SourceError, UsageError
from simtool.data.annotations import (
    AnnotatedImage,
    Corners,
    TrueRegion,
    load_annotations,
    parse_quad,
)
from simtool.evaluation.predictions import read_predictions
from simtool.evaluation.text_metrics import Scores, count_image, count_matches, join_lines, score
from tests.simtool.evalset import (
    record,
    rectangle,
    region,
    write_annotations,
    write_predictions,
)


def quad(*box: float) -> Corners:
    return parse_quad(rectangle(*box), "test")


def image(*regions: TrueRegion, exhaustive: bool = True, side: int = 100) -> AnnotatedImage:
    return AnnotatedImage("a.png", side, side, regions, "set", exhaustive)


def scores(annotated: AnnotatedImage, *quads: Corners, kind: str = "quad") -> Scores:
    return Scores.of(count_image(annotated, quads)[kind])


def boxes(*rows: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


# Filled polygons include their border: (0, 0)-(9, 9) is 100 pixels.
TEXT = TrueRegion(quad(0, 0, 9, 9))


def test_a_perfect_prediction_scores_one_everywhere() -> None:
    found = scores(image(TEXT), TEXT.quad)
    assert found.to_json() == {
        "px_P": 1.0,
        "px_R": 1.0,
        "px_F1": 1.0,
        "line_F1": 1.0,
        "cov50": 1.0,
        "flagged": 0.0,
        "images": 1,
    }


def test_nothing_found_scores_zero() -> None:
    assert set(scores(image(TEXT)).to_json().values()) == {0.0, 1}


def test_half_hit_by_hand() -> None:
    # 20 x 10 pixels predicted, 10 x 10 of them text; 9900 pixels are text-free.
    found = scores(image(TEXT), quad(0, 0, 19, 9))
    assert found.px_precision == pytest.approx(0.5)
    assert found.px_recall == 1
    assert found.px_f1 == pytest.approx(2 / 3)
    assert found.flagged == pytest.approx(100 / 9900)
    # Line boxes are 9 x 9 and 19 x 9: IoU 9/19 < 0.5.
    assert found.line_f1 == 0


@pytest.mark.parametrize(("bottom", "covered"), [(4, 1.0), (3, 0.0)])
def test_cov50_needs_half_of_the_region(bottom: float, covered: float) -> None:
    assert scores(image(TEXT), quad(0, 0, 9, bottom)).cov50 == covered


def test_an_image_annotated_in_part_counts_for_cov50_alone() -> None:
    found = scores(image(TEXT, exhaustive=False), TEXT.quad, quad(50, 50, 90, 90))
    assert found.cov50 == 1
    assert (found.images, found.px_f1, found.line_f1, found.flagged) == (0, 0, 0, 0)


def test_ignored_regions_are_neither_missed_nor_false() -> None:
    ignored = TrueRegion(quad(50, 50, 59, 59), ignore=True)
    annotated = image(TEXT, ignored)
    assert scores(annotated, TEXT.quad, ignored.quad) == scores(annotated, TEXT.quad)
    assert scores(annotated, TEXT.quad).px_f1 == 1


def test_hulls_of_a_tilted_prediction_flag_more() -> None:
    diamond: Corners = ((50, 30), (70, 50), (50, 70), (30, 50))
    annotated = image(TrueRegion(diamond))
    assert scores(annotated, diamond).px_precision == 1
    assert scores(annotated, diamond, kind="aabb").px_precision == pytest.approx(0.5, abs=0.02)


def test_every_image_weighs_the_same() -> None:
    small = AnnotatedImage("small.png", 100, 100, (TEXT,), "set")
    large = AnnotatedImage("large.png", 1000, 1000, (TrueRegion(quad(0, 0, 99, 99)),), "set")
    found = score([small, large], {"small.png": [TEXT.quad]})["all"]["quad"]
    assert found.px_recall == pytest.approx(0.5)


def test_scores_stand_by_data_set_and_overall() -> None:
    one = AnnotatedImage("1.png", 100, 100, (TEXT,), "one")
    two = AnnotatedImage("2.png", 100, 100, (TEXT,), "two")
    found = score([one, two], {"1.png": [TEXT.quad]})
    assert list(found) == ["all", "one", "two"]
    assert [found[name]["quad"].cov50 for name in found] == [0.5, 1.0, 0.0]


def test_words_of_a_line_are_joined_over_neighbours() -> None:
    words = boxes((0, 0, 10, 10), (18, 1, 30, 11), (38, 0, 50, 10))
    assert join_lines(words).tolist() == [[0, 0, 50, 11]]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param((21, 0, 30, 10), id="gap above the mean height"),
        pytest.param((12, 6, 20, 16), id="overlap below half"),
        pytest.param((12, 0, 20, 4), id="less than half as high"),
    ],
)
def test_words_apart_stay_apart(other: tuple[float, float, float, float]) -> None:
    assert len(join_lines(boxes((0, 0, 10, 10), other))) == 2


def test_matching_is_one_to_one_and_best_first() -> None:
    true = boxes((0, 0, 10, 10))
    assert count_matches(true, boxes((0, 0, 10, 9), (0, 0, 10, 10))) == 1
    assert count_matches(true, boxes((5, 0, 15, 10))) == 0
    assert count_matches(boxes(), true) == 0


@given(st.permutations(range(8)), st.integers(0, 2**32 - 1))
def test_order_of_words_does_not_matter(order: list[int], seed: int) -> None:
    corners = np.random.default_rng(seed).integers(0, 60, (8, 2))
    words = np.hstack([corners, corners + 10]).astype(np.float32)
    joined, again = join_lines(words), join_lines(words[order])
    assert sorted(joined.tolist()) == sorted(again.tolist())


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_figures_are_fractions_and_more_prediction_never_loses_recall(seed: int) -> None:
    rng = random.Random(seed)
    annotated = _random_image(rng, 0)
    quads = [_random_quad(rng) for _ in range(rng.randint(0, 6))]
    fewer, more = scores(annotated, *quads[:3]), scores(annotated, *quads)
    assert all(0 <= value <= 1 for value in more.to_json().values())
    assert more.px_recall >= fewer.px_recall
    assert more.cov50 >= fewer.cov50


def _random_quad(rng: random.Random) -> Corners:
    """A rectangle, turned by any angle; partly outside now and then."""
    x, y = rng.uniform(-20, 320), rng.uniform(-20, 220)
    w, h = rng.uniform(2, 90), rng.uniform(2, 40)
    angle = rng.choice([0.0, 0.0, rng.uniform(-0.4, 0.4), rng.uniform(-4, 4)])
    c, s = np.cos(angle), np.sin(angle)
    corners = [(0.0, 0.0), (w, 0.0), (w, h), (0.0, h)]
    return tuple((round(x + c * u - s * v, 1), round(y + s * u + c * v, 1)) for u, v in corners)


def _random_image(rng: random.Random, number: int) -> AnnotatedImage:
    size = rng.choice([(320, 240), (1600, 900)])
    regions = tuple(
        TrueRegion(_random_quad(rng), ignore=rng.random() < 0.25) for _ in range(rng.randint(0, 6))
    )
    dataset = rng.choice(["one", "two"])
    return AnnotatedImage(f"{number}.png", *size, regions, dataset, rng.random() < 0.8)


@pytest.mark.data
@pytest.mark.parametrize("seed", [1, 2])
def test_agrees_with_the_reference_script(seed: int, data: Path, tmp_path: Path) -> None:
    script = data.parent / "score" / "score.py"
    if not script.is_file():
        pytest.skip(f"needs the reference script: no {script}")
    rng = random.Random(seed)
    images = [_random_image(rng, i) for i in range(60)]
    predictions: dict[str, list[Corners]] = {}
    for annotated in images[3:]:
        near = [_jittered(r.quad, rng) for r in annotated.regions if rng.random() < 0.8]
        predictions[annotated.name] = near + [_random_quad(rng) for _ in range(rng.randint(0, 3))]
    _write_set(tmp_path / "set", images)
    jsonl = write_predictions(tmp_path / "p.jsonl", predictions)
    command = [sys.executable, script, jsonl, tmp_path / "set", "--json", tmp_path / "out.json"]
    subprocess.run([*map(str, command), "--subset", "50"], check=True, capture_output=True)
    expected = json.loads((tmp_path / "out.json").read_text())
    sampled = load_annotations(tmp_path / "set").sample(50)
    found = score(sampled.images, read_predictions(jsonl).quads)
    assert {
        name: {kind: one.to_json() for kind, one in kinds.items()} for name, kinds in found.items()
    } == expected


def _jittered(corners: Corners, rng: random.Random) -> Corners:
    return tuple((round(x + rng.gauss(0, 2), 1), round(y + rng.gauss(0, 2), 1)) for x, y in corners)


def _write_set(folder: Path, images: list[AnnotatedImage]) -> None:
    rows = [
        {
            "file": one.file,
            "width": one.width,
            "height": one.height,
            "dataset": one.dataset,
            "exhaustive": one.exhaustive,
            "regions": [{"quad": r.quad, "ignore": r.ignore} for r in one.regions],
        }
        for one in images
    ]
    write_annotations(folder, rows)
    for one in images:
        (folder / one.file).touch()


GOOD = record("a.png", region(1, 2, 3, 4))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("{", "is not JSON", id="cut short"),
        pytest.param("[]", "no list 'images'", id="no object"),
        pytest.param('{"images": []}', "no list 'images'", id="no image"),
        pytest.param(json.dumps({"images": [GOOD, GOOD]}), "2 pictures named a.png", id="twice"),
    ],
)
def test_damaged_annotations_are_refused(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "annotations.json").write_text(content)
    with pytest.raises(SourceError, match=message):
        load_annotations(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"file": 3}, "'file' is 3"),
        ({"width": 0}, "width and height are"),
        ({"height": True}, "width and height are"),
        ({"regions": None}, "'regions' is missing"),
        ({"regions": [4]}, "region 0 is 4"),
        ({"regions": [{"quad": [[0, 0]]}]}, "not four corners"),
        ({"regions": [{"quad": [[0, 0]] * 3 + [[0, float("nan")]]}]}, "not four corners"),
        ({"regions": [{"quad": [["a", 0]] * 4}]}, "not four corners"),
        ({"regions": [{"quad": [[0, 0]] * 4, "ignore": 1}]}, "'ignore' is 1"),
        ({"regions": [{"quad": [[0, 0]] * 4, "text": 1}]}, "'text' is 1"),
        ({"exhaustive": "no"}, "'exhaustive' is 'no'"),
        ({"dataset": "all"}, "'dataset' is 'all'"),
    ],
)
def test_a_damaged_image_record_is_named(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    write_annotations(tmp_path, [GOOD | change])
    with pytest.raises(SourceError, match=message):
        load_annotations(tmp_path)


def test_missing_annotations_and_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"cannot read .*annotations\.json"):
        load_annotations(tmp_path)
    write_annotations(tmp_path, [GOOD])
    with pytest.raises(SourceError, match=r"1 of 1 pictures are missing .*a\.png"):
        load_annotations(tmp_path)


def test_a_subset_is_always_the_same(tmp_path: Path) -> None:
    write_annotations(tmp_path, [record(f"{i}.png") for i in range(9)])
    for i in range(9):
        (tmp_path / f"{i}.png").touch()
    annotated = load_annotations(tmp_path)
    assert annotated.sample(4) == annotated.sample(4)
    assert len(annotated.sample(4).images) == 4
    assert annotated.sample(None) is annotated
    assert annotated.sample(99) is annotated
    with pytest.raises(UsageError, match="--subset is 0"):
        annotated.sample(0)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["{"], "line 1 is not JSON"),
        (["[]"], "line 1 is a JSON list"),
        (['{"file": "a.png", "regions": 3}'], "'regions' is not a list"),
        (['{"file": "a.png", "regions": [{}]}'], "not four corners"),
        (['{"file": "a.png", "regions": []}'] * 2, "line 2: a second line for a.png"),
    ],
)
def test_damaged_predictions_are_refused(lines: list[str], message: str, tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text("\n".join(lines))
    with pytest.raises(SourceError, match=message):
        read_predictions(path)


def test_predictions_keep_errors_times_and_the_model(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"schema": "simrun/1", "model_sha256": "abc"},
        {"file": "in/a.png", "regions": [{"quad": rectangle(1, 2, 3, 4)}], "latency_ms": {}},
        {"file": "b.png", "regions": [], "latency_ms": {"total": 2.5}},
        {"file": "c.png", "error": "cut short"},
        {"file": None, "regions": []},
    ]
    path = tmp_path / "p.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    found = read_predictions(path)
    assert found.quads == {"a.png": (quad(1, 2, 3, 4),), "b.png": ()}
    assert found.errors == {"c.png": "cut short"}
    assert (found.latency_ms, found.model_sha256) == ((2.5,), "abc")
