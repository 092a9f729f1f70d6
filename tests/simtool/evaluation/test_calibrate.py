from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from simrun.bundle.load import load_bundle
from simrun.errors import ModelError, OutputError, UsageError
from simrun.localizer import Localizer
from simtool.data.annotations import AnnotatedSet, load_annotations
from simtool.evaluation.calibrate import (
    LEAST_PICTURES,
    RANGES,
    Targets,
    choose,
    search,
    with_point,
)
from simtool.export.writer import keep_points, write_with_metadata
from tests.conftest import STROKES
from tests.simtool.evalset import record, region, write_annotations, write_picture
from tests.simtool.program import assert_fails, invoke


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """White bars on black, each annotated; the sides below shrink them."""
    folder = tmp_path / "photos"
    rows = []
    for number in range(LEAST_PICTURES):
        bar = (20 + 5 * number, 30 + 2 * number, 100 + 5 * number, 50 + 2 * number)
        write_picture(folder / f"{number}.png", bar)
        rows.append(record(f"{number}.png", region(*bar)))
    write_annotations(folder, rows)
    return folder


@pytest.fixture
def dataset(photos: Path) -> AnnotatedSet:
    return load_annotations(photos)


def load(side: int) -> Localizer:
    return Localizer(load_bundle(STROKES), side=side, classify=False)


def test_calibrate_writes_a_bundle_that_loads(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "tuned"
    arguments = ("calibrate", STROKES, photos, "--side", 160, "--side", 200, "--out", out)
    result = invoke(*arguments, "--tries", 6)
    assert result.exception is None, result.exception
    assert result.output.count("\n|") >= 3
    localizer = Localizer(load_bundle(out))
    made = localizer.meta.export["operating_point"]
    assert [row["side"] for row in made["curve"]] == [160, 200]
    assert localizer.meta.side == made["chosen"]
    chosen = next(row for row in made["curve"] if row["side"] == made["chosen"])
    assert localizer.region_options.map_threshold == chosen["rules"]["map_threshold"]
    assert_fails(invoke(*arguments), OutputError, "--overwrite")


def test_a_bundle_exported_again_keeps_the_record_where_it_holds(dataset: AnnotatedSet) -> None:
    bundle = load_bundle(STROKES)
    (point,) = search(load, dataset, [200], 0, Targets())
    previous = with_point(bundle.meta, point, [point], {"dataset": dataset.name})
    again = replace(previous, export=bundle.meta.export)
    assert keep_points(again, previous).export == previous.export
    for change in (
        {"map_threshold": 0.123},
        {"side": 208},
        {"export": {**bundle.meta.export, "pool": "drop"}},
    ):
        other = replace(again, **change)
        assert keep_points(other, previous) == other
    assert keep_points(again, None) == again


def test_search_gets_better_within_the_ranges_and_is_repeatable(dataset: AnnotatedSet) -> None:
    targets = Targets()
    (start,) = search(load, dataset, [200], 0, targets)
    best, again = (search(load, dataset, [200], 30, targets)[0] for _ in range(2))
    assert best.merit(targets) > start.merit(targets)
    assert best.options == again.options
    former, found = asdict(start.options), asdict(best.options)
    moved = {name for name in found if found[name] != former[name]}
    assert moved
    for name in moved:
        low, high = RANGES[name]
        assert low <= found[name] <= high


def test_nonsense_is_refused(dataset: AnnotatedSet) -> None:
    with pytest.raises(UsageError, match="at least 10"):
        search(load, dataset.sample(5), [200], 1, Targets())
    with pytest.raises(UsageError, match="at least one side"):
        search(load, dataset, [], 1, Targets())

    def load_blind(side: int) -> Localizer:
        localizer = load(side)
        localizer.region_options = replace(localizer.region_options, map_threshold=1e6)
        return localizer

    with pytest.raises(ModelError, match="finds none"):
        search(load_blind, dataset, [200], 0, Targets())


def test_choice_within_a_budget(dataset: AnnotatedSet) -> None:
    points = search(load, dataset, [160, 200], 0, Targets())
    cheap = replace(points[0], cpu_ms=1.0)
    dear = replace(points[1], cpu_ms=9.0)
    assert choose([cheap, dear], Targets(), 5.0) is cheap
    with pytest.raises(UsageError, match="cheapest side"):
        choose([cheap, dear], Targets(), 0.5)


def test_what_is_flagged_without_text_counts_against_a_point(
    dataset: AnnotatedSet, tmp_path: Path
) -> None:
    clean = tmp_path / "clean"
    write_picture(clean / "bar.png", (20, 30, 100, 50))
    write_annotations(clean, [record("bar.png")])
    without_text, targets = load_annotations(clean), Targets()
    (alone,) = search(load, dataset, [200], 0, targets)
    (point,) = search(load, dataset, [200], 0, targets, clean=without_text)
    assert alone.clean_flagged is None
    assert point.scores == alone.scores
    assert point.clean_flagged is not None
    assert point.clean_flagged > targets.clean_flagged
    assert point.merit(targets) < alone.merit(targets)


def test_photos_without_text_have_none(dataset: AnnotatedSet) -> None:
    with pytest.raises(UsageError, match="has text marked"):
        search(lambda _: pytest.fail("loaded"), dataset, [200], 0, Targets(), clean=dataset)


def test_a_link_in_a_bundle_is_not_copied(tmp_path: Path) -> None:
    bundle = load_bundle("scene-text")
    folder = tmp_path / "linked"
    shutil.copytree(bundle.path, folder)
    (tmp_path / "secret").write_text("mine")
    (folder / "notes").symlink_to(tmp_path / "secret")
    with pytest.raises(ModelError, match="notes is a link and is not copied"):
        write_with_metadata(load_bundle(folder), bundle.meta, tmp_path / "out", overwrite=False)
    assert not (tmp_path / "out").exists()
