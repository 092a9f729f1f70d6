"""The page as a browser shows it: the stream moves, the toggles work, it fits a phone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from simrun.sinks.web import mjpeg
from simrun.stats import SourceStats
from tests.simrun.browser import CHROMIUM, Tab, open_tab
from tests.simrun.web import Page, grey_frame, open_page, until

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt install chromium)")


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with open_tab(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@pytest.fixture
def page() -> Iterator[Page]:
    with open_page() as opened:
        yield opened


def visit(tab: Tab, page: Page) -> None:
    """Open the page on a phone, without the heatmap: what is grey then looks grey."""
    tab.complaints.clear()
    tab.look(width=360, height=740)
    tab.call("Page.navigate", url=f"{page.sink.url}?quads=1")


def picture_in(tab: Tab) -> NDArray[Any]:
    """The part of a screenshot that shows the picture."""
    box = tab.run("JSON.stringify(document.getElementById('picture').getBoundingClientRect())")
    if box is None:
        return np.zeros((0, 0, 3), np.uint8)
    numbers = {key: round(value) for key, value in json.loads(box).items()}
    shot = tab.screenshot()
    return shot[numbers["top"] : numbers["bottom"], numbers["left"] : numbers["right"]]


def text_of(tab: Tab, selector: str) -> str:
    return str(tab.run(f"document.querySelector('{selector}').textContent"))


def show_until(tab: Tab, page: Page, level: int, looks: Any, what: str) -> None:
    """Process frames of this grey until the picture looks as it should."""

    def is_there() -> bool:
        page.show(grey_frame(level, (480, 640)))
        picture = picture_in(tab)
        return picture.shape[0] > 200 and bool(looks(picture))

    until(is_there, what)


def median_near(level: int) -> Any:
    return lambda picture: abs(float(np.median(picture)) - level) < 6


def has_outline(picture: NDArray[Any]) -> bool:
    green = picture[..., 1].astype(int)
    return bool((green - picture[..., 2] > 60).any())


def test_the_picture_moves_and_the_toggles_change_it(tab: Tab, page: Page) -> None:
    visit(tab, page)
    show_until(tab, page, 40, lambda p: median_near(40)(p) and has_outline(p), "a dark picture")
    show_until(tab, page, 200, lambda p: median_near(200)(p) and has_outline(p), "a bright one")
    tab.run("document.querySelector('[name=quads]').click()")
    show_until(tab, page, 200, lambda p: not has_outline(p), "the quads to go")
    tab.run("document.querySelector('[name=heat]').click()")
    show_until(tab, page, 200, lambda p: not median_near(200)(p), "the heatmap to come")
    assert tab.run("location.search") == "?view=1&heat=1&quads=0"
    assert tab.run("document.getElementById('snapshot').href").endswith("heat=1&quads=0")
    assert tab.complaints == []


def test_a_single_frame_is_shown_though_no_other_follows(
    tab: Tab, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mjpeg, "_REPEAT_S", 3600.0)
    page.show(grey_frame(140, (480, 640)))
    visit(tab, page)
    until(lambda: has_outline(picture_in(tab)), "the picture")


def test_readings_counts_and_graph_are_filled(tab: Tab, page: Page) -> None:
    visit(tab, page)
    paths = "document.querySelectorAll('#graph path').length"
    show_until(tab, page, 90, lambda _: tab.run(paths) == 5, "the graph")
    assert text_of(tab, ".readings .label") == "42"
    assert text_of(tab, ".readings .scores") == "#7 · read 50 % · score 75 %"
    assert tab.run("document.querySelectorAll('#stages tr').length") == 6
    until(lambda: "Processed" in text_of(tab, "#counts"), "the counts")
    assert "frames/s" in text_of(tab, "#state")
    assert tab.complaints == []


def test_a_stalled_run_is_told_and_why(tab: Tab, page: Page) -> None:
    page.stats.watch(lambda: SourceStats("waiting", error="/dev/video0 is gone; plug it in"))
    visit(tab, page)
    show_until(tab, page, 90, median_near(90), "a picture")
    page.clock.now += 75
    until(lambda: text_of(tab, "#state") == "no frame for 1 min 15 s", "the page to tell")
    assert text_of(tab, "#notice") == "/dev/video0 is gone; plug it in"
    assert tab.run("document.getElementById('stage').classList.contains('stale')")


@pytest.mark.parametrize(("width", "dark"), [(360, False), (360, True), (1280, False)])
def test_it_fits_the_screen_in_light_and_dark(tab: Tab, page: Page, width: int, dark: bool) -> None:
    visit(tab, page)
    tab.look(width=width, height=740, dark=dark)
    show_until(tab, page, 90, median_near(90), "a picture")
    assert tab.run("document.documentElement.scrollWidth") <= width
    ground = tab.screenshot()[-3, 2].mean()
    assert (ground < 60) if dark else (ground > 200)
    controls = "[...document.querySelectorAll('.bar label, .bar .button')]"
    assert min(tab.run(f"{controls}.map(e => e.offsetHeight)")) >= 38


def test_the_token_is_asked_for_and_taken(tab: Tab) -> None:
    with open_page(token="correct-horse-battery") as page:
        visit(tab, page)
        until(lambda: tab.run("document.querySelector('#token') !== null"), "the question")
        tab.run("document.querySelector('#token').value = 'correct-horse-battery'")
        tab.run("document.querySelector('button').click()")
        show_until(tab, page, 90, has_outline, "a picture")
        assert "token" not in tab.run("location.href")
        assert tab.run("document.cookie") == ""
