from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import Result

from simrun.errors import ModelError, OutputError, SourceError, UsageError
from simrun.localizer import Localizer
from simtool.files import staged_folder
from tests.conftest import STROKES
from tests.simtool.evalset import (
    make_set,
    rectangle,
    write_annotations,
    write_picture,
    write_predictions,
)
from tests.simtool.program import assert_fails, invoke


def run(*arguments: object) -> Result:
    return invoke("eval", *arguments)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_set(tmp_path_factory.mktemp("data") / "bars")


def test_a_model_is_scored_and_shown(dataset: Path, tmp_path: Path) -> None:
    result = run(STROKES, dataset, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0].split()[:3] == ["set", "kind", "px_P"]
    assert "3 of 3 pictures" in result.stderr
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        "REPORT.md",
        "index.html",
        "predictions.jsonl",
        "scores.json",
    ]
    record = json.loads((out / "scores.json").read_text())
    localizer = Localizer.load(STROKES)
    assert record["model"] == {
        "name": "strokes",
        "sha256": localizer.bundle.sha256,
        "side": 320,
        "map_threshold": 0.5,
        "region_threshold": 0.6,
    }
    scores = record["scores"]
    assert list(scores) == ["all", "bars", "ground"]
    assert scores["bars"]["quad"]["cov50"] == 0.5
    assert scores["ground"]["quad"]["flagged"] == 0
    # Two bars of 80x20 are found, one of them is text: precision one half, but for the rims.
    assert scores["bars"]["quad"]["px_P"] == pytest.approx(0.5, abs=0.1)
    assert record["pictures"]["hit.png"]["px_F1"] > 0.9
    assert record["median_ms"] > 0


def test_a_log_that_nobody_can_read_is_no_failure(dataset: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "simtool", "eval", str(STROKES), str(dataset)]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" 2</dev/null', "sh", *command, "--out", str(tmp_path / "out")],
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0
    assert done.stdout.startswith("set")


def test_predictions_are_what_simrun_writes(dataset: Path, tmp_path: Path) -> None:
    run(STROKES, dataset, "--out", tmp_path / "out")
    lines = (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()
    header, *rows = map(json.loads, lines)
    assert header["schema"] == "simrun/1"
    assert [Path(row["file"]).name for row in rows] == ["empty.png", "false.png", "hit.png"]
    assert rows[2]["regions"][0]["label"] is not None


def test_page_is_self_contained_and_names_every_picture(dataset: Path, tmp_path: Path) -> None:
    run(STROKES, dataset, "--out", tmp_path / "out")
    html = (tmp_path / "out" / "index.html").read_text()
    assert not re.search(r"""(src|href)=["'](?!data:)""", html)
    assert html.count("<img") == 3
    for name in ("hit.png", "false.png", "empty.png"):
        assert html.count(f"<figcaption>{name}") == 1
    assert html.index("false.png: px F1") < html.index("hit.png: px F1")


def test_the_scores_of_a_file_are_those_of_the_run(dataset: Path, tmp_path: Path) -> None:
    run(STROKES, dataset, "--out", tmp_path / "one")
    jsonl = tmp_path / "one" / "predictions.jsonl"
    result = run("again", dataset, "--predictions", jsonl, "--out", tmp_path / "two")
    assert result.exit_code == 0, result.output
    one, two = (json.loads((tmp_path / n / "scores.json").read_text()) for n in ("one", "two"))
    assert one["scores"] == two["scores"]
    assert two["model"]["name"] == "again"
    assert two["model"]["sha256"] == one["model"]["sha256"]


def test_thresholds_and_side_are_put_in_force(dataset: Path, tmp_path: Path) -> None:
    result = run(
        *(STROKES, dataset, "--out", tmp_path / "out", "--side", 64),
        *("--map-threshold", 2, "--region-threshold", 0.1, "--subset", 2),
    )
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert record["images"] == 2
    assert record["model"]["side"] == 64
    assert record["model"]["map_threshold"] == 2
    # No cell of this map can reach 2: nothing is found.
    assert record["scores"]["all"]["quad"]["px_R"] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--map-threshold", 0), "--map-threshold is 0.0"),
        (("--map-threshold", "nan"), "--map-threshold is nan"),
        (("--region-threshold", 1.5), "--region-threshold is 1.5"),
        (("--side", 3), "--side is 3"),
        (("--threads", 0), "--threads is 0"),
        (("--predictions", "p.jsonl", "--side", 64), "runs no model"),
    ],
)
def test_bad_options_are_refused(
    options: tuple[object, ...], message: str, dataset: Path, tmp_path: Path
) -> None:
    result = run(STROKES, dataset, "--out", tmp_path / "out", *options)
    assert_fails(result, UsageError, message)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_model_leaves_nothing_behind(dataset: Path, tmp_path: Path) -> None:
    assert_fails(run("nosuch", dataset, "--out", tmp_path / "out"), ModelError, "no model 'nosuch'")
    assert list(tmp_path.iterdir()) == []


def test_a_bad_picture_counts_as_empty_and_tells(tmp_path: Path) -> None:
    dataset = make_set(tmp_path / "bars")
    (dataset / "hit.png").write_bytes(b"not a picture")
    result = run(STROKES, dataset, "--out", tmp_path / "out")
    assert_fails(result, SourceError, "1 of 3 pictures could not be used")
    assert isinstance(result.exception, SourceError)
    assert result.exception.exit_code == 4
    record = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert list(record["bad"]) == ["hit.png"]
    assert record["scores"]["bars"]["quad"]["cov50"] == 0
    assert "hit.png" not in record["pictures"]
    for name in ("REPORT.md", "index.html"):
        assert "hit.png is not a picture" in (tmp_path / "out" / name).read_text()


def test_a_picture_of_another_size_than_annotated_is_bad(tmp_path: Path) -> None:
    dataset = make_set(tmp_path / "bars")
    data = json.loads((dataset / "annotations.json").read_text())
    data["images"][0]["width"] = 100
    write_annotations(dataset, data["images"])
    result = run(STROKES, dataset, "--out", tmp_path / "out")
    assert_fails(result, SourceError, "1 of 3")
    record = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert "annotations are for 100x100" in record["bad"]["hit.png"]


def test_every_picture_bad_still_makes_a_report(tmp_path: Path) -> None:
    dataset = make_set(tmp_path / "bars")
    for path in dataset.glob("*.png"):
        path.write_bytes(b"not a picture")
    assert_fails(run(STROKES, dataset, "--out", tmp_path / "out"), SourceError, "3 of 3")
    assert (tmp_path / "out" / "index.html").is_file()


def test_pictures_without_a_prediction_count_as_empty(dataset: Path, tmp_path: Path) -> None:
    jsonl = write_predictions(tmp_path / "p.jsonl", {"hit.png": [rectangle(40, 40, 119, 59)]})
    result = run("some", dataset, "--predictions", jsonl, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert record["missing"] == ["empty.png", "false.png"]
    assert record["model"] == {
        "name": "some",
        "sha256": None,
        "side": None,
        "map_threshold": None,
        "region_threshold": None,
    }


def test_predictions_for_other_pictures_are_refused(dataset: Path, tmp_path: Path) -> None:
    jsonl = write_predictions(tmp_path / "p.jsonl", {"other.png": []})
    result = run("some", dataset, "--predictions", jsonl, "--out", tmp_path / "out")
    assert_fails(result, SourceError, "no prediction for any picture")
    result = run("some", dataset, "--predictions", tmp_path / "none", "--out", tmp_path / "out")
    assert_fails(result, SourceError, "cannot read .*none: No such file")
    assert not (tmp_path / "out").exists()


def test_a_former_result_is_kept_unless_told_otherwise(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(STROKES, dataset, "--out", out).exit_code == 0
    (out / "notes.txt").write_text("of the former run")
    assert_fails(run(STROKES, dataset, "--out", out), OutputError, "not empty; .*--overwrite")
    assert (out / "notes.txt").exists()
    assert run(STROKES, dataset, "--out", out, "--overwrite").exit_code == 0
    assert not (out / "notes.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("names", [("mine.txt",), ("scores.json", "folder/mine.txt"), ()])
def test_only_a_former_result_is_overwritten(
    names: tuple[str, ...], dataset: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for name in names:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("mine")
    if not names:
        out.write_text("a file")
    result = run(STROKES, dataset, "--out", out, "--overwrite")
    assert_fails(result, OutputError, "is not a former result")
    assert all((out / name).read_text() == "mine" for name in names)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_failure_keeps_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_picture(out / "old.png")

    def fail() -> None:
        with staged_folder(out, mark="old.png", overwrite=True) as folder:
            (folder / "new").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [path.name for path in out.iterdir()] == ["old.png"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_single_picture_makes_a_page(tmp_path: Path) -> None:
    dataset = make_set(tmp_path / "bars")
    assert run(STROKES, dataset, "--subset", 1, "--out", tmp_path / "out").exit_code == 0
    assert (tmp_path / "out" / "index.html").read_text().count("<img") == 1
