from __future__ import annotations

import pytest
from jinja2 import UndefinedError

from simtool.reporting.page import Table, render_page
from simtool.reporting.pictures import Picture

MARKUP = "<script>alert('&')</script>"
SHOWN = "&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;"


def test_every_text_of_a_page_is_shown_as_it_is() -> None:
    html = render_page(
        "eval.html.j2",
        MARKUP,
        scores=Table([MARKUP], [[MARKUP]]),
        definitions=MARKUP,
        particulars=[(MARKUP, MARKUP)],
        legend=[(MARKUP, (1, 2, 3))],
        worst=[Picture("data:", MARKUP)],
        best=[],
        bad={MARKUP: MARKUP},
    )
    assert "<script" not in html
    # The title is the heading too, and a picture's caption is its `alt` too.
    assert html.count(SHOWN) == 2 + 2 + 1 + 2 + 1 + 2 + 2
    assert "rgb(3 2 1)" in html


@pytest.mark.parametrize("template", ["eval.html.j2", "run.html.j2"])
def test_a_value_that_was_forgotten_leaves_no_gap(template: str) -> None:
    with pytest.raises(UndefinedError, match="is undefined"):
        render_page(template, "title")
