"""Self-contained HTML pages: one style, everything embedded, legible on a phone and on paper."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from simrun.errors import OutputError

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c1c1e; --soft: #5c5c63; --line: #d5d5da;
  --ground: #ffffff; --card: #f5f5f7; --accent: #0b62c4; }
@media (prefers-color-scheme: dark) { :root { --ink: #ececf0; --soft: #a4a4ad; --line: #3d3d44;
  --ground: #17171a; --card: #212126; --accent: #79b4ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 76rem; color: var(--ink);
  background: var(--ground); font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.2rem; line-height: 1.3; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
p { max-width: 44rem; margin: .5rem 0; }
.soft, figcaption { color: var(--soft); font-size: .875rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: .75rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; text-align: right; vertical-align: bottom;
  border-bottom: 1px solid var(--line); }
td { white-space: nowrap; }
th { color: var(--soft); font-weight: 600; font-size: .875rem; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: .75rem 0;
  font-size: .875rem; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
.grid { display: grid; gap: 1rem; margin: .75rem 0;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); }
.grid.fine { grid-template-columns: repeat(auto-fill, minmax(min(100%, 13.5rem), 1fr)); }
figure { margin: 0; padding: .5rem; background: var(--card); border-radius: .4rem; }
figure img, figure svg { display: block; width: 100%; height: auto; border-radius: .2rem; }
figure.chart { max-width: 46rem; margin: .75rem 0; }
figcaption { margin-top: .4rem; overflow-wrap: anywhere; }
.key { display: inline-block; width: .9em; height: .9em; border-radius: .15em;
  vertical-align: -.05em; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .3rem; }
  th, td { padding: .2rem .25rem; font-size: .75rem; }
  td:first-child { white-space: normal; } }
@media print { :root { --ink: #000; --soft: #444; --line: #bbb; --ground: #fff; --card: #fff; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  figure { border: 1px solid var(--line); }
  figure, tr { break-inside: avoid; } h2, h3 { break-after: avoid; }
  figure.chart { max-width: 11cm; } .scroll { overflow: visible; } .grid { display: block; }
  .grid figure { display: inline-block; width: 32%; vertical-align: top; margin: 0 0 .5rem; }
  .grid.fine figure { width: 19%; padding: .2rem; } }
"""


def page(title: str, body: Iterable[str]) -> str:
    """A whole HTML document; `body` is markup, the title plain text."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n" + "\n".join(body) + "\n</body>\n</html>\n"
    )


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of plain texts; the first column is flush left, the others are figures."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    lines = "\n".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{lines}</tbody></table></div>"
    )


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """A list of names and values, plain texts."""
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs)
    return f"<dl>{items}</dl>"


def paragraph(text: str, *, soft: bool = False) -> str:
    """A paragraph of plain text; `soft` for what is read second."""
    return f'<p class="soft">{escape(text)}</p>' if soft else f"<p>{escape(text)}</p>"


def picture(image: NDArray[np.uint8], caption: str, *, width: int, lossless: bool = False) -> str:
    """A figure with an embedded picture, shrunk to at most `width` pixels across.

    Args:
        image: (H, W) or (H, W, 3) BGR, uint8.
        caption: plain text, also what is read out for the picture.
        width: of the embedded picture, in pixels.
        lossless: PNG instead of JPEG, for drawings and masks.
    """
    suffix, kind = (".png", "png") if lossless else (".jpg", "jpeg")
    data = encode(shrink(image, width), suffix)
    uri = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return (
        f'<figure><img alt="{escape(caption)}" src="{uri}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def chart(svg: str, caption: str) -> str:
    """A figure with an inline SVG drawing."""
    return f'<figure class="chart">{svg}<figcaption>{escape(caption)}</figcaption></figure>'


def grid(figures: Iterable[str], *, fine: bool = False) -> str:
    """Figures side by side, as many as the window has room for: three, or five where `fine`."""
    name = "grid fine" if fine else "grid"
    return f'<div class="{name}">' + "\n".join(figures) + "</div>"


def shrink(image: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """The picture at most `width` pixels across, its aspect kept; never enlarged."""
    if image.shape[1] <= width:
        return image
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), image.dtype)


def encode(image: NDArray[np.uint8], suffix: str) -> bytes:
    """The picture as a file's content, of the kind that `suffix` names.

    Raises:
        OutputError: OpenCV cannot encode it.
    """
    options = [cv2.IMWRITE_JPEG_QUALITY, 80] if suffix == ".jpg" else []
    ok, data = cv2.imencode(suffix, image, options)
    if not ok:
        raise OutputError(f"cannot encode {image.shape[1]}x{image.shape[0]} pixels as {suffix}")
    return data.tobytes()
