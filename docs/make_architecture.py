"""Draws docs/architecture.svg: the parts of the code, with arrows from their real imports.

python docs/make_architecture.py

Every module belongs to one part. An arrow says that modules of one part import modules of another;
one that follows from two others is left out, and so are arrows to what everything uses.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

ROOT: Final = Path(__file__).resolve().parents[1]
PACKAGES: Final = {"simtool": ROOT / "tools" / "simtool", "simrun": ROOT / "runtime" / "simrun"}
TARGET: Final = Path(__file__).with_name("architecture.svg")
WIDTH, HEIGHT = 1040, 900
BOX_W, BOX_H = 150, 62
EVERYWHERE: Final = ("simrun common", "simtool common")
"""Parts that nearly all others import: no arrows lead there."""

BENDS: Final = (0, 20, -20, 40, -40, 60, -60, 90, -90, 120, -120)
"""How far aside an arrow may go, in pixels; the first that runs clear is taken."""

Edges = frozenset[tuple[str, str]]
Point = tuple[float, float]


@dataclass(frozen=True)
class Part:
    """A box of the picture."""

    does: str
    x: int
    """Centre, in pixels."""
    y: int
    modules: str
    """Names without the package; `data/` is a package with all its modules."""


PARTS: Final[Mapping[str, Part]] = {
    "simtool cli": Part("the command line", 520, 70, "cli/ __main__"),
    "simtool reporting": Part("pages and pictures", 310, 70, "reporting/"),
    "simtool evaluation": Part("photos to scores", 100, 180, "evaluation/"),
    "simtool export": Part("H folded into one graph", 520, 180, "export/"),
    "simtool training": Part("by a recipe", 310, 280, "training/"),
    "simtool runs": Part("what a training leaves", 730, 180, "runs/"),
    "simtool data": Part("data sets by name", 100, 380, "data/"),
    "simtool nets": Part("networks by name", 520, 380, "nets/"),
    "simtool weighting": Part("e_i to w_i, by name", 730, 280, "weighting/"),
    "simtool ablation": Part("each filter blocked: e_i", 730, 380, "ablation/ commands/"),
    "simtool common": Part("files, processes", 940, 70, "files distributed"),
    "simrun cli": Part("the command line", 520, 490, "cli/ __main__"),
    "simrun service": Part("the systemd unit", 100, 575, "service/"),
    "simrun config": Part("options and the file", 310, 845, "config/"),
    "simrun diagnostics": Part("this computer", 520, 575, "diagnostics/"),
    "simrun sources": Part("frames in", 100, 755, "sources/"),
    "simrun run": Part("source to sinks", 310, 575, "run/"),
    "simrun sinks": Part("results out, the page", 100, 665, "sinks/"),
    "simrun bench": Part("what a frame costs", 730, 575, "bench/"),
    "simrun localizer": Part("frame to result", 520, 665, "localizer"),
    "simrun localization": Part("heatmap, regions", 520, 755, "localization/"),
    "simrun recognition": Part("region to label", 310, 665, "recognition/"),
    "simrun inference": Part("ONNX Runtime", 730, 755, "inference/"),
    "simrun bundle": Part("a model, verified", 940, 755, "bundle/"),
    "simrun tracking": Part("regions through frames", 730, 665, "tracking/"),
    "simrun images": Part("pictures read", 100, 845, "images/"),
    "simrun result": Part("regions, counts", 520, 845, "result stats"),
    "simrun common": Part(
        "errors, files, secrets", 940, 845, "errors files progress redact types version"
    ),
}


def main() -> None:
    """Write the picture."""
    TARGET.write_text(draw(reduced(edges_of_parts())), encoding="utf-8")


def module_files() -> dict[str, Path]:
    """Every module of both packages by its full name; a package by its own."""
    found = {}
    for package, folder in PACKAGES.items():
        for path in folder.rglob("*.py"):
            parts = path.relative_to(folder).with_suffix("").parts
            found[".".join((package, *parts)).removesuffix(".__init__")] = path
    return found


def part_of(module: str) -> str:
    """The part that a module belongs to.

    Raises:
        LookupError: it belongs to none.
    """
    package, _, rest = module.partition(".")
    if not rest:  # the package itself: simrun's offers the Localizer
        return "simrun localizer" if package == "simrun" else "simtool common"
    for name, part in PARTS.items():
        names = part.modules.split()
        if name.startswith(package) and (rest in names or f"{rest.split('.')[0]}/" in names):
            return name
    raise LookupError(f"{module} is in no part: add it to one in docs/make_architecture.py")


def imports(path: Path, known: Mapping[str, Path]) -> Iterator[str]:
    """Our own modules that a file imports, inside functions too, but not for types alone."""
    for node in _at_run_time(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                if inner in known or node.module in known:
                    yield inner if inner in known else node.module


def _at_run_time(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from _at_run_time(child)


def edges_of_parts() -> Edges:
    """Which part imports which."""
    files = module_files()
    pairs = {
        (part_of(module), part_of(other))
        for module, path in files.items()
        for other in imports(path, files)
    }
    return frozenset((a, b) for a, b in pairs if a != b and b not in EVERYWHERE)


def reduced(edges: Edges) -> Edges:
    """Without the arrows that follow from others; those within a circle of imports stay."""

    def reach(start: str, among: Edges) -> set[str]:
        seen, todo = set[str](), [start]
        while todo:
            at = todo.pop()
            new = {b for a, b in among if a == at} - seen
            seen |= new
            todo += new
        return seen

    def in_circle(a: str, b: str) -> bool:
        return a in reach(b, edges) and b in reach(a, edges)

    def follows(a: str, b: str) -> bool:
        """Whether another part, outside both their circles, lies between."""
        between = {c for c in reach(a, edges) if b in reach(c, edges)}
        return any(not in_circle(a, c) and not in_circle(c, b) for c in between - {a, b})

    return frozenset((a, b) for a, b in edges if in_circle(a, b) or not follows(a, b))


def draw(edges: Edges) -> str:
    """The picture as SVG, on white so that it shows on dark pages too."""
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif">',
        '<marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0 8 4 0 8z" fill="#445"/></marker>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        _half(8, 420, "#eef3fb", "tools/simtool: a workstation, PyTorch"),
        _half(428, 464, "#eef8ee", "runtime/simrun: a Raspberry Pi"),
        *(_arrow(PARTS[a], PARTS[b]) for a, b in sorted(edges)),
        *(_box(name, part) for name, part in PARTS.items()),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _half(y: int, height: int, colour: str, title: str) -> str:
    return (
        f'<rect x="8" y="{y}" width="{WIDTH - 16}" height="{height}" rx="8" fill="{colour}"/>'
        f'<text x="20" y="{y + 22}" font-size="15" fill="#445">{escape(title)}</text>'
    )


def _box(name: str, part: Part) -> str:
    title = name.partition(" ")[2] + ("/" if part.modules.startswith(f"{name.split()[1]}/") else "")
    x, y = part.x - BOX_W // 2, part.y - BOX_H // 2
    return (
        f'<rect x="{x}" y="{y}" width="{BOX_W}" height="{BOX_H}" rx="5" fill="#fff" '
        'stroke="#445"/>'
        f'<text x="{part.x}" y="{part.y - 4}" font-size="16" font-weight="bold" '
        f'text-anchor="middle">{escape(title)}</text>'
        f'<text x="{part.x}" y="{part.y + 17}" font-size="12" fill="#445" '
        f'text-anchor="middle">{escape(part.does)}</text>'
    )


def _arrow(start: Part, end: Part) -> str:
    """A line from box to box, bent where it would run behind another one."""
    points = next(
        (points for bend in BENDS if not _hits(points := _way(start, end, bend), start, end)),
        _way(start, end, 0),
    )
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return (
        f'<path d="M{path}" stroke="#445" stroke-width="1.3" fill="none" marker-end="url(#tip)"/>'
    )


def _way(start: Part, end: Part, bend: int) -> list[Point]:
    """Points of a parabola between two centres, `bend` pixels aside, outside the two boxes."""
    dx, dy = end.x - start.x, end.y - start.y
    length = math.hypot(dx, dy)
    curve = []
    for step in range(61):
        share = step / 60
        aside = 4 * bend * share * (1 - share) / length
        curve.append((start.x + dx * share - dy * aside, start.y + dy * share + dx * aside))
    return [point for point in curve if not _inside(point, start) and not _inside(point, end)]


def _hits(points: Sequence[Point], start: Part, end: Part) -> bool:
    others = [part for part in PARTS.values() if part not in (start, end)]
    return any(_inside(point, part, margin=4) for point in points for part in others)


def _inside(point: Point, part: Part, margin: int = 0) -> bool:
    return (
        abs(point[0] - part.x) < BOX_W / 2 + margin and abs(point[1] - part.y) < BOX_H / 2 + margin
    )


if __name__ == "__main__":
    main()
