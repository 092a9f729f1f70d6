"""The README's figures are those of the records."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness.readme_table import (
    StaleError,
    load_records,
    models_table,
    problems,
    sentences,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def records() -> dict[str, Any]:
    """Read anew for each test, which may change them."""
    return load_records(ROOT)


def test_the_readme_agrees_with_the_records(records: dict[str, Any]) -> None:
    assert problems(ROOT / "README.md", records) == []


def test_another_figure_in_a_record_makes_the_readme_stale(records: dict[str, Any]) -> None:
    for entry in records["peers"]["detectors"]:
        entry["figures"]["px_F1"] += 0.05
    table, sentence = problems(ROOT / "README.md", records)
    assert "table of models" in table
    assert "px F1 0.87" in sentence


def test_another_figure_in_the_readme_is_found(records: dict[str, Any], tmp_path: Path) -> None:
    readme = Path(shutil.copy(ROOT / "README.md", tmp_path))
    (sentence,) = sentences(records)
    text = readme.read_text()
    number = sentence.split(" times the processor time")[0].split()[-1]
    readme.write_text(text.replace(f"{number} times the", "1.1 times the"))
    assert problems(readme, records) == [f"README.md does not say: {sentence}"]
    readme.write_text(text.replace("98.84 % ±", "98.94 % ±"))
    assert problems(readme, records) == ["README.md has another table of models"]


@pytest.mark.parametrize(
    ("record", "list_", "path", "where"),
    [
        ("peers", "detectors", ("model", "sha256"), "peers/peers.json"),
        ("arm", "calls", ("sha256",), "arm/count.json"),
    ],
)
def test_a_measurement_of_another_graph_than_the_shipped_one_is_refused(
    records: dict[str, Any], list_: str, record: str, path: tuple[str, ...], where: str
) -> None:
    for entry in records[record][list_]:
        holder = entry["model"] if len(path) == 2 else entry
        if holder is not None:
            holder["sha256"] = "0" * 64
    with pytest.raises(StaleError, match=f"{where} measured scene-text 000000000000, shipped is"):
        models_table(records)


def test_a_measurement_that_is_missing_is_named(records: dict[str, Any]) -> None:
    records["arm"]["calls"] = [c for c in records["arm"]["calls"] if "lenet" not in c["name"]]
    with pytest.raises(StaleError, match="no measurement of mnist-lenet @ 640; it has scene-text"):
        models_table(records)
