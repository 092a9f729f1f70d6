"""How well text is read: counts by hand, agreement with the independent ruler, thresholds."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from simrun.bundle.load import load_bundle
from simrun.errors import ModelError, SourceError, UsageError
from simrun.localizer import Localizer
from simrun.result import Reading
from simtool.data.annotations import (
    AnnotatedImage,
    AnnotatedSet,
    Corners,
    TrueRegion,
    load_annotations,
)
from simtool.evaluation.calibrate_reading import (
    ReadingTargets,
    ReadPicture,
    choose_threshold,
    with_threshold,
)
from simtool.evaluation.evaluate import predict
from simtool.evaluation.predictions import read_predictions
from simtool.evaluation.read_words import read_words
from simtool.evaluation.reading_metrics import (
    Judged,
    ReadingCounts,
    ReadRegion,
    count_readings,
    edit_distance,
    normalised,
    reliability,
    score_readings,
)
from tests.conftest import STROKES
from tests.simtool.evalset import record, region, write_annotations, write_picture
from tests.simtool.program import assert_fails, invoke


def box(x0: float, y0: float, x1: float, y1: float) -> Corners:
    return ((x0, y0), (x1, y0), (x1, y1), (x0, y1))


def picture(*regions: TrueRegion, exhaustive: bool = True, name: str = "a.png") -> AnnotatedImage:
    return AnnotatedImage(name, 200, 100, regions, "words", exhaustive)


def figures(counts: ReadingCounts) -> tuple[int, int, int, int, int, int]:
    right = sum(one.right for one in counts.tokens)
    return (counts.words, counts.covered, counts.token, counts.substr, len(counts.tokens), right)


EAST = TrueRegion(box(0, 0, 40, 20), "East")
GATE = TrueRegion(box(50, 0, 90, 20), "Gate!")
NO = TrueRegion(box(100, 0, 120, 20), "No")


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("EAST GATE", (1, 1, 1, 1, 2, 2)),  # Gate! is no protocol word, but its token is right
        ("EAST EAST", (1, 1, 1, 1, 2, 1)),  # each token once
        ("EASTGATE", (1, 1, 0, 1, 1, 0)),
        ("eas t", (1, 1, 0, 1, 1, 0)),
        ("EA", (1, 1, 0, 0, 0, 0)),  # shorter than what counts
        (None, (1, 1, 0, 0, 0, 0)),
    ],
)
def test_one_region_over_two_words(label: str | None, expected: tuple[int, ...]) -> None:
    line = ReadRegion(box(0, 0, 90, 20), label, 0.9)
    assert figures(count_readings(picture(EAST, GATE), [line])) == expected


def test_regions_beside_a_word_do_not_read_it() -> None:
    beside = ReadRegion(box(25, 0, 90, 20), "EAST", 0.9)  # covers 15 of 40 pixels of it
    assert figures(count_readings(picture(EAST), [beside])) == (1, 0, 0, 0, 1, 0)


def test_short_and_ignored_words_do_not_count() -> None:
    ignored = replace(EAST, ignore=True)
    over = ReadRegion(box(0, 0, 40, 20), "XYZ", 0.9)
    counts = count_readings(picture(ignored, NO), [over, ReadRegion(NO.quad, "NO", 0.5)])
    assert figures(counts) == (0, 0, 0, 0, 0, 0)


def test_precision_is_of_pictures_annotated_in_full() -> None:
    wrong = ReadRegion(box(100, 50, 150, 70), "WALL", 0.7)
    whole = count_readings(picture(EAST), [ReadRegion(EAST.quad, "EAST", 0.9), wrong])
    assert whole.precision == 0.5
    assert whole.tokens == (Judged(0.9, True), Judged(0.7, False))
    partly = count_readings(picture(EAST, exhaustive=False), [wrong])
    assert partly.precision is None


def test_on_pictures_without_text_labels_are_counted() -> None:
    regions = [ReadRegion(box(0, 0, 9, 9), None), ReadRegion(box(0, 20, 9, 29), "I", 0.4)]
    counts = count_readings(picture(), regions)
    assert (counts.regions, counts.labelled) == (2, 1)
    assert count_readings(picture(exhaustive=False), regions) == ReadingCounts()
    untranscribed = picture(TrueRegion(box(0, 0, 9, 9), None))
    assert count_readings(untranscribed, regions) == ReadingCounts()


def test_texts_are_compared_without_case_and_signs() -> None:
    assert normalised("O'Neil-24 é") == "ONEIL24"
    assert normalised(None) == ""
    distances = [edit_distance(*pair) for pair in (("", "ABC"), ("KITTEN", "SITTING"), ("A", "A"))]
    assert distances == [3, 3, 0]


def test_reliability_is_of_readings_from_a_score_on() -> None:
    rows = reliability([Judged(0.99, True), Judged(0.9, True), Judged(0.6, False)])
    by_score = {row["score"]: (row["readings"], row["right"]) for row in rows}
    assert by_score[0.0] == (3, 0.6667)
    assert by_score[0.8] == (2, 1.0)
    assert by_score[0.95] == (1, 1.0)
    assert reliability([])[0]["right"] is None


def half(word: str, score: float, index: int) -> ReadPicture:
    """A picture of the word EAST that is read as `word`."""
    image = picture(EAST, name=f"{index:02d}.png")
    return ReadPicture(image, (ReadRegion(EAST.quad, word, score),))


def clean(*scores: float) -> list[ReadPicture]:
    regions = tuple(ReadRegion(box(0, 0, 9, 9), "SSS", score) for score in scores)
    return [ReadPicture(picture(name="clean.png"), regions)]


def test_the_greatest_threshold_that_costs_no_word_is_chosen() -> None:
    # The even pictures choose: right ones have 0.5, wrong ones 0.3; the odd ones are all wrong.
    pictures = []
    for k in range(10):
        right = k >= 4
        pictures.append(half("EAST" if right else "WEST", 0.5 if right else 0.3, 2 * k))
        pictures.append(half("WEST", 0.95, 2 * k + 1))
    choice = choose_threshold(pictures, clean(0.6, 0.1), ReadingTargets())
    assert choice.chosen.threshold == 0.5
    assert choice.chosen.counts.labelled == 1
    assert choice.chosen.counts.precision == 1.0
    assert choice.held_out.counts.precision == 0.0
    assert "| 0.5 (chosen) | 1 | 0.6 |" in choice.table()
    pictures[8] = half("EAST", 0.4, 8)  # one word of six: too much to lose for it
    assert choose_threshold(pictures, clean(0.1), ReadingTargets()).chosen.threshold == 0.4
    losing = ReadingTargets(kept=0.8)
    assert choose_threshold(pictures, clean(0.1), losing).chosen.threshold == 0.5
    record = json.loads(json.dumps(choice.to_json()))
    assert record["held_out"]["precision"] == 0.0


def test_a_threshold_that_cannot_be_is_one_line() -> None:
    wrong = [half("WEST", 0.5, k) for k in range(20)]
    with pytest.raises(ModelError, match=r"threshold 0\.98 has a precision of 0\.00"):
        choose_threshold(wrong, clean(0.1), ReadingTargets())
    right = [half("EAST", 0.5, k) for k in range(20)]
    with pytest.raises(ModelError, match="labels 2 of 3 regions on photos without text"):
        choose_threshold(right, clean(0.6, 0.7, 0.1), ReadingTargets())
    with pytest.raises(UsageError, match="19 pictures have transcribed words; at least 20"):
        choose_threshold(wrong[:19], clean(0.1), ReadingTargets())
    with pytest.raises(UsageError, match="none of them with text"):
        choose_threshold(wrong, wrong, ReadingTargets())
    with pytest.raises(UsageError, match="none of them with text"):
        choose_threshold(wrong, [], ReadingTargets())


def test_without_a_reader_there_is_no_threshold() -> None:
    right = [half("EAST", 0.5, k) for k in range(20)]
    choice = choose_threshold(right, clean(0.1), ReadingTargets())
    assert choice.chosen.threshold == 0.5
    with pytest.raises(ModelError, match="has no reader; export it with --reader first"):
        with_threshold(load_bundle(STROKES).meta, choice, {})


class Script:
    """In place of a localizer: readings by the left edge of the quad."""

    def __init__(self, readings: dict[int, Reading]) -> None:
        self.readings = readings

    def read(self, frame: np.ndarray, quads: list[Any]) -> list[Reading]:
        assert frame.shape[:2] == (100, 200)
        return [self.readings[int(quad[0][0])] for quad in quads]


def test_words_are_cut_out_one_by_one(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    words = [(0, "East"), (50, "Gates"), (100, "No"), (150, None)]
    regions = [region(x, 0, x + 40, 20) | {"text": text} for x, text in words]
    write_annotations(tmp_path, [record("a.png", *regions)])
    script = Script({0: Reading("EA ST", 0.9), 50: Reading("GATS", 0.4)})
    scores = read_words(script, load_annotations(tmp_path))  # type: ignore[arg-type]
    assert scores.readings == (Judged(0.9, True), Judged(0.4, False))
    assert (scores.errors, scores.letters) == (1, 9)
    assert scores.to_json()["CER"] == 0.1111


def predictions(path: Path, **fields: object) -> Path:
    regions = [{"quad": box(0, 0, 40, 20), **fields}]
    path.write_text(json.dumps({"file": "a.png", "regions": regions}) + "\n", encoding="utf-8")
    return path


def test_labels_are_read_back(tmp_path: Path) -> None:
    path = predictions(tmp_path / "p.jsonl", label="EAST", label_score=0.5)
    found = read_predictions(path)
    assert found.readings == {"a.png": (("EAST", 0.5),)}
    dataset = AnnotatedSet(tmp_path, (picture(EAST),))
    scores = score_readings(dataset, found)
    assert scores.to_json()["pictures"]["token"] == 1.0
    assert scores.words is None
    assert "| words | covered | token |" in scores.table()


@pytest.mark.parametrize("fields", [{"label": 7}, {"label": "A", "label_score": "much"}])
def test_what_is_no_reading_is_refused(tmp_path: Path, fields: dict[str, object]) -> None:
    with pytest.raises(SourceError, match=r"line 1: label .* is no reading"):
        read_predictions(predictions(tmp_path / "p.jsonl", **fields))


def test_eval_scores_readings_from_a_file(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    write_annotations(tmp_path, [record("a.png", region(0, 0, 40, 20) | {"text": "East"})])
    path = predictions(tmp_path / "p.jsonl", label="WEST", label_score=0.5)
    out = tmp_path / "out"
    result = invoke("eval", "made up", tmp_path, "--predictions", path, "--read", "--out", out)
    assert result.exception is None, result.exception
    assert "| 1 | 1.000 | 0.000 | 0.000 | 0.000 | 1 | 0 | 0 |" in result.stdout
    assert json.loads((out / "readings.json").read_text())["words"] is None


def test_calibrate_read_takes_no_search(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    write_annotations(tmp_path, [record("a.png")])
    failed = invoke("calibrate", STROKES, tmp_path, "--read", "--side", "320")
    assert_fails(failed, UsageError, "--read chooses the reader's threshold alone")
    failed = invoke("calibrate", STROKES, tmp_path, "--read")
    assert_fails(failed, UsageError, "needs a model that has a reader")


@pytest.fixture(scope="module")
def ruler(data: Path) -> ModuleType:
    """The independent scorer beside the data sets; the test is skipped where it is not."""
    path = data.parent / "score" / "read.py"
    if not path.is_file():
        pytest.skip("needs the independent scorer: put it into score/read.py beside the data sets")
    spec = importlib.util.spec_from_file_location("ruler", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_agrees_with_the_independent_ruler(
    ruler: ModuleType, data: Path, tmp_path: Path
) -> None:
    whole = load_annotations(data / "scenetext-dev")
    kinds = {name: [i for i in whole.images if i.dataset == name] for name in ("SVT", *_FULL)}
    some = [image for images in kinds.values() for image in images[:6]]
    dataset = replace(whole, images=tuple(some))
    rows = json.loads((whole.folder / "annotations.json").read_text())["images"]
    kept = {image.file for image in some}
    folder = tmp_path / "some"
    write_annotations(folder, [row for row in rows if row["file"] in kept])
    (folder / "images").symlink_to(whole.folder / "images")
    localizer = Localizer.load("scene-text")
    predict(localizer, dataset, tmp_path / "p.jsonl")
    found = score_readings(dataset, read_predictions(tmp_path / "p.jsonl"))
    expected = ruler.score_photos(str(tmp_path / "p.jsonl"), str(folder))
    assert expected["words"] > 10
    ours = found.to_json()["pictures"]
    for name in ("words", "covered", "token", "substr", "precision", "tokens"):
        assert ours[name] == pytest.approx(expected[name], abs=1e-3), name
    words = read_words(localizer, dataset).to_json()
    expected = ruler.score_words(str(folder), "scene-text")
    for name in ("words", "accuracy", "CER"):
        assert words[name] == pytest.approx(expected[name], abs=1e-3), name


_FULL = ("ICDAR2003-TrialTest", "MSRA-TD500")
