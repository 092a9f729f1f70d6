"""A whole HTML page out of a template, self-contained: style, drawings and pictures are in it.

`templates/page.html.j2` is the frame of every page, `templates/parts.html.j2` what they share.
Texts are escaped by the templates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from jinja2 import Environment, FunctionLoader, StrictUndefined

_TEMPLATES: Final = files("simtool.reporting") / "templates"


@dataclass(frozen=True)
class Table:
    """Plain texts in rows; the first column is flush left, the others are figures."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def render_page(template: str, title: str, **values: object) -> str:
    """The HTML document that a template makes of the values it names.

    Args:
        template: name of a file in `templates/`.
        title: plain text.
        **values: texts, numbers, tables, charts and pictures; no markup.
    """
    return _environment().get_template(template).render(title=title, **values)


@cache
def _environment() -> Environment:
    return Environment(
        loader=FunctionLoader(lambda name: (_TEMPLATES / name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
