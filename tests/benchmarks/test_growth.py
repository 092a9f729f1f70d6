"""Frames, slopes and tables of the growth measurement."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from benchmarks.speed.growth.points import (
    OURS,
    PEER,
    SIZES,
    Point,
    all_points,
    draw_page,
    draw_poster,
)
from benchmarks.speed.growth.report import draw, slope, slopes, to_markdown

RECORD = Path(__file__).parents[2] / "benchmarks" / "speed" / "growth" / "growth.json"


def test_a_power_law_has_its_exponent_as_slope() -> None:
    xs = [10.0, 30.0, 100.0]
    assert slope(xs, [2 * x**1.5 for x in xs]) == pytest.approx(1.5)
    assert slope(xs, [7.0] * 3) == pytest.approx(0)
    with pytest.raises(ValueError, match="two different points"):
        slope([5.0, 5.0], [1.0, 2.0])


def test_pages_keep_their_words_when_more_are_added() -> None:
    few, more = draw_page(5, 1920, 1080), draw_page(6, 1920, 1080)
    inked = few[..., 0] < 200
    assert inked.any()
    assert (more[..., 0] < 200)[inked].all()
    assert draw_page(500, 1920, 1080).shape == (1080, 1920, 3)
    with pytest.raises(ValueError, match="501 words do not fit on 1920x1080: 500 do"):
        draw_page(501, 1920, 1080)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_poster_shows_the_same_at_every_size(width: int, height: int) -> None:
    frame = draw_poster(5, width, height)
    assert frame.shape == (height, width, 3)
    inked = (frame[..., 0] < 128).sum() / height**2
    large = (draw_poster(5, 3840, 2160)[..., 0] < 128).sum() / 2160**2
    # Strokes are whole pixels wide: those of the smallest come out thinner.
    assert inked == pytest.approx(large, rel=0.3 if height == 120 else 0.02)


def test_work_is_what_is_left_after_shrinking() -> None:
    assert Point("frame", OURS, 1280, 720, side=320, lines=1).work_pixels == 320 * 180
    assert Point("frame", OURS, 160, 120, side=320, lines=1).work_pixels == 160 * 120


def test_without_the_peers_folder_only_ours_is_measured() -> None:
    assert {point.detector for point in all_points(with_peer=False)} == {OURS}
    assert {point.detector for point in all_points(with_peer=True)} == {OURS, PEER}


def made_up() -> dict[str, Any]:
    """A record whose costs grow with known powers of what is varied."""
    points = []
    for point in all_points(with_peer=False):
        size = point.lines if point.sweep == "lines" else point.width * point.height
        cost = {"lower": size, "median": size, "upper": size}
        points.append(
            {
                **vars(point),
                "found": point.lines,
                "cpu_ms": cost,
                "wall_ms": cost,
                "stages_cpu_ms": {"infer": 1.0, "regions": 2.0, "classify": size**2},
                "start_mib": 100.0,
                "peak_mib": 100.0 + math.sqrt(size),
            }
        )
    return {
        "command": "python -m benchmarks.speed.growth",
        "date": "2026-11-23",
        "machine": {"processor": "Test CPU", "cores": 4},
        "load": [0.1, 0.2],
        "versions": {"python": "3.11.0", "numpy": "2.0"},
        "rounds": 2,
        "points": points,
    }


def test_slopes_are_those_of_the_costs() -> None:
    found = {one.what: one for one in slopes(made_up())}
    assert found["CPU time by pixels, not shrunk"].whole == pytest.approx(1)
    assert found["memory by pixels, not shrunk"].large == pytest.approx(0.5)
    assert found["CPU time by regions"].large == pytest.approx(1)
    assert found["stage regions by regions"].whole == pytest.approx(0, abs=1e-9)
    assert found["stage classify by regions"].whole == pytest.approx(2)


def test_tables_have_as_many_cells_as_heads_and_the_plot_is_drawn(tmp_path: Path) -> None:
    record = made_up()
    tables = [block for block in to_markdown(record).split("\n\n") if block.startswith("|")]
    assert len(tables) == 3
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1
    assert "4 cores that others use too, wall over CPU time 1.00" in to_markdown(record)
    assert "CPU time by pixels, not shrunk 1.00 (1.00)" in to_markdown(record)
    draw(record, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")


def test_the_committed_record_has_every_point_and_is_what_results_show() -> None:
    record = json.loads(RECORD.read_text())
    measured = [
        (p["sweep"], p["detector"], p["width"], p["side"], p["lines"], p["threads"])
        for p in record["points"]
    ]
    wanted = [
        (p.sweep, p.detector, p.width, p.side, p.lines, p.threads)
        for p in all_points(with_peer=True)
    ]
    assert measured == wanted
    assert to_markdown(record) in (RECORD.parents[2] / "RESULTS.md").read_text()
    assert all(p["cpu_ms"]["lower"] > 0 and p["cpu_ms"]["n"] >= 6 for p in record["points"])
