from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simrun.errors import ModelError, OutputError, SourceError, UsageError
from simrun.localizer import Localizer
from simrun.result import Heatmap
from simtool.reporting.charts import draw_filters, draw_weights
from simtool.reporting.figure2 import (
    MATCHED,
    OURS,
    THEIRS,
    compare,
    find_annotations,
    heat_over_frame,
    keep_hottest,
    score_mask,
)
from simtool.reporting.run_page import accuracy_rows, render
from simtool.reporting.run_report import read_run
from simtool.runs.recipes import RECIPES
from simtool.training.labelled import train_seeds
from tests.conftest import STROKES
from tests.simtool.evalset import record, region, write_annotations, write_picture
from tests.simtool.program import assert_fails, invoke
from tests.simtool.tiny import digits

BAR = (40, 40, 120, 60)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, digit_folder: Path) -> Path:
    """A run of two seeds on easy digits, the first of them ablated."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    recipe = replace(RECIPES["mnist-lenet"], epochs=1, batch=40)
    train_seeds(recipe, digits(80), digits(40, "test", seed=1), folder, seeds=2)
    options = ("--data", digit_folder, "--weighting", "paper-code", "--resamples", 20)
    ablated = invoke("ablate", folder / "seed-0", *options)
    assert ablated.exit_code == 0, ablated.output
    return folder / "seed-0"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """An annotated picture with the authors' mask, 8 pixels smaller, and one without either."""
    folder = tmp_path / "set" / "pictures"
    write_picture(folder / "one.png", BAR)
    write_picture(folder / "two.png", BAR)
    mask = np.zeros((92, 192), np.uint8)
    mask[BAR[1] - 4 : BAR[3] - 4, BAR[0] - 4 : BAR[2] - 4] = 255
    cv2.imwrite(str(folder / "one_thresh_mask.png"), mask)
    write_annotations(folder.parent, [record("pictures/one.png", region(40, 40, 119, 59))])
    return folder


def test_the_page_shows_all_of_a_run(trained: Path, tmp_path: Path) -> None:
    result = invoke("report", trained, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    charts = ["deletion.png", "filters.png", "importance.png", "training.png", "weights.png"]
    assert names == sorted([*charts, "index.html"])
    pngs = (tmp_path / "out").glob("*.png")
    assert all(cv2.imread(str(path)) is not None for path in pngs)
    html = (tmp_path / "out" / "index.html").read_text()
    assert html.count("<svg") == 5
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", html)
    for text in ("Table 2", "98.73", "paper-printed", "softmax, standardised", "mean of 2 seeds"):
        assert text in html
    assert "weights uniform: entropy 2.773 nats, 1.000 of uniform" in result.stdout
    assert "test accuracy" in result.stdout


def test_inline_drawings_share_no_ids(trained: Path, tmp_path: Path) -> None:
    invoke("report", trained, "--out", tmp_path / "out")
    html = (tmp_path / "out" / "index.html").read_text()
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    used = re.findall(r"""(?:url\(#|href="#)([^)"]+)""", html)
    assert used
    assert set(used) <= set(ids)


def test_accuracy_stands_beside_the_papers(trained: Path) -> None:
    report = read_run(trained)
    rows = list(accuracy_rows(report))
    assert [row[0] for row in rows] == [*"0123456789", "overall"]
    summary = json.loads((trained.parent / "summary.json").read_text())
    assert report.seeds is not None
    assert rows[-1][1] == f"{100 * report.history[-1]['test']['overall']:.2f}"
    assert rows[-1][2].startswith(f"{100 * summary['mean']:.2f} ± ")
    assert rows[-1][3] == "98.73"
    assert rows[-1][4] == f"{100 * summary['mean'] - 98.73:+.2f}"
    assert rows[8][3] == "97.43"


def test_a_run_by_itself_has_no_column_of_seeds(trained: Path, tmp_path: Path) -> None:
    alone = shutil.copytree(trained, tmp_path / "alone")
    rows = list(accuracy_rows(read_run(alone)))
    assert {len(row) for row in rows} == {4}


def test_a_class_named_like_markup_is_shown_as_text(trained: Path) -> None:
    report = read_run(trained)
    record = replace(report.record, classes=("<script>", *report.record.classes[1:]))
    html = render(replace(report, record=record), None, "simtool report")["index.html"].decode()
    assert "<td>&lt;script&gt;</td>" in html
    assert "<script" not in html


def test_figure_2_compares_with_the_authors_masks(
    trained: Path, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = invoke("report", trained, "--pictures", pictures, "--bundle", STROKES, "--out", out)
    assert result.exit_code == 0, result.output
    assert (out / "figure2-one-png.png").is_file()
    assert (out / "figure2-two-png.png").is_file()
    assert not (out / "figure2-one_thresh_mask-png.png").exists()
    html = (out / "index.html").read_text()
    # Picture, H and three masks of one; picture, H and one mask of the other; and both pictures
    # with six weightings.
    assert html.count("<img") == 8 + 2 * 7
    assert "not exported from this run" in html
    assert "one.png, the authors': P 1.000 R 1.000 F1 1.000, 8.0% of the picture" in (result.stdout)


def test_a_mask_is_laid_over_its_picture_by_the_margin(pictures: Path) -> None:
    localizer = Localizer.load(STROKES, classify=False)
    found = compare(pictures / "one.png", localizer, find_annotations(pictures)["one.png"])
    assert list(found.masks) == [OURS, MATCHED, THEIRS]
    assert found.masks[MATCHED].sum() == found.masks[THEIRS].sum() == 80 * 20
    assert found.scores[THEIRS].f1 == 1
    assert found.scores[OURS].f1 > 0.9


def test_a_picture_without_annotations_or_mask_is_shown_alone(pictures: Path) -> None:
    localizer = Localizer.load(STROKES, classify=False)
    found = compare(pictures / "two.png", localizer, None)
    assert list(found.masks) == [OURS]
    assert found.scores == {}


@pytest.mark.parametrize("size", [(92, 190), (91, 191), (110, 210)])
def test_a_mask_that_does_not_fit_is_named(
    size: tuple[int, int], trained: Path, pictures: Path, tmp_path: Path
) -> None:
    cv2.imwrite(str(pictures / "one_thresh_mask.png"), np.zeros(size, np.uint8))
    out = tmp_path / "out"
    result = invoke("report", trained, "--pictures", pictures, "--bundle", STROKES, "--out", out)
    assert_fails(result, SourceError, "1 pictures in .* could not be used")
    assert "does not fit its picture" in (out / "index.html").read_text()
    assert (out / "figure2-two-png.png").is_file()


def test_a_damaged_picture_does_not_end_the_others(
    trained: Path, pictures: Path, tmp_path: Path
) -> None:
    (pictures / "two.png").write_bytes(b"")
    out = tmp_path / "out"
    result = invoke("report", trained, "--pictures", pictures, "--bundle", STROKES, "--out", out)
    assert_fails(result, SourceError, "1 pictures in .* could not be used")
    assert "two.png is empty" in (out / "index.html").read_text()


def test_a_run_without_ablation_says_what_to_run(trained: Path, tmp_path: Path) -> None:
    result = invoke("report", trained.parent / "seed-1", "--out", tmp_path / "out")
    assert_fails(result, ModelError, "has no ablation.json; run 'simtool ablate .*seed-1' first")
    assert_fails(invoke("report", trained.parent), ModelError, "holds several seeds")
    assert_fails(invoke("report", tmp_path), ModelError, "is not a run folder")
    assert list(tmp_path.iterdir()) == []


def test_an_ablation_of_another_checkpoint_is_refused(trained: Path, tmp_path: Path) -> None:
    other = shutil.copytree(trained.parent / "seed-1", tmp_path / "other")
    shutil.copy(trained / "ablation.json", other)
    assert_fails(invoke("report", other), ModelError, "is of another checkpoint")


def test_a_weighting_that_cannot_be_made_is_named(trained: Path, tmp_path: Path) -> None:
    alike = shutil.copytree(trained, tmp_path / "alike")
    data = json.loads((alike / "ablation.json").read_text())
    loss = data["criteria"]["loss"]
    loss["ablated"] = [loss["base"]] * len(loss["ablated"])
    (alike / "ablation.json").write_text(json.dumps(data))
    result = invoke("report", alike, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    html = (tmp_path / "out" / "index.html").read_text()
    assert "all filters matter alike" in html
    assert "paper-code" in html


def test_bad_usage_is_refused(trained: Path, tmp_path: Path) -> None:
    result = invoke("report", trained, "--bundle", STROKES, "--out", tmp_path / "out")
    assert_fails(result, UsageError, "--bundle is for --pictures")
    empty = tmp_path / "empty"
    empty.mkdir()
    result = invoke(
        "report", trained, "--pictures", empty, "--bundle", STROKES, "--out", tmp_path / "out"
    )
    assert_fails(result, SourceError, "no pictures in")
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_an_output_folder_is_kept_unless_told_otherwise(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "keep.txt").write_text("mine")
    assert_fails(invoke("report", trained, "--out", tmp_path), OutputError, "--overwrite")
    assert [path.name for path in tmp_path.iterdir()] == ["keep.txt"]


def test_heat_sits_where_the_cells_look() -> None:
    values = np.zeros((2, 4, 5), np.float32)
    values[1, 2, 3] = 0.5
    heat = heat_over_frame(Heatmap(values, pitch=4.0, origin=6.0), (30, 40))
    assert heat.shape == (30, 40)
    assert np.unravel_index(heat.argmax(), heat.shape) == (6 + 4 * 2, 6 + 4 * 3)
    assert heat.max() == 0.5


def test_mask_scores_by_hand() -> None:
    text = np.zeros((10, 10), np.bool_)
    text[:2] = True
    mask = np.zeros_like(text)
    mask[1:4, :5] = True
    valid = np.ones_like(text)
    valid[3] = False
    score = score_mask(mask, text, valid)
    assert (score.precision, score.recall, score.share) == (0.5, 0.25, 0.15)
    assert score.f1 == pytest.approx(1 / 3)
    nothing = score_mask(~valid & False, text, valid)
    assert (nothing.precision, nothing.recall, nothing.f1) == (0, 0, 0)


@given(st.integers(0, 2**32 - 1), st.integers(0, 48))
@settings(deadline=None)
def test_the_hottest_pixels_are_kept(seed: int, count: int) -> None:
    heat = np.random.default_rng(seed).integers(0, 9, (6, 8)).astype(np.float32)
    mask = keep_hottest(heat, count)
    assert mask.sum() == count
    if 0 < count < heat.size:
        assert heat[mask].min() >= heat[~mask].max()


def test_drawings_take_any_number_of_filters() -> None:
    one = np.zeros(1)
    drawing = draw_filters(np.zeros((1, 3, 5, 5)), one, one, one, "points")
    assert drawing.svg.startswith("<svg")
    assert "currentColor" in drawing.svg
    weights = {name: np.linspace(-1, 1, 40) for name in "abcd"}
    assert draw_weights(weights).png.startswith(b"\x89PNG")
