"""Figures between the markers of a page that people write."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.harness.markers import MarkerError, replace_between, require_markers


def test_text_is_put_between_the_markers_and_nothing_else_changes(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("before\n<!-- x:begin -->\nold\n<!-- x:end -->\nafter\n")
    replace_between(path, "x", "new")
    wanted = "before\n<!-- x:begin -->\nnew\n<!-- x:end -->\nafter\n"
    assert path.read_text() == wanted
    replace_between(path, "x", "new")
    assert path.read_text() == wanted


@pytest.mark.parametrize(
    "content",
    ["", "<!-- x:begin -->", "<!-- x:end --><!-- x:begin -->", "<!-- x:begin -->" * 2],
)
def test_a_page_without_one_pair_of_markers_is_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "page.md"
    path.write_text(content)
    with pytest.raises(MarkerError):
        require_markers(path, "x")
    with pytest.raises(MarkerError):
        replace_between(path, "x", "new")
    assert path.read_text() == content
