"""What documents and docstrings name is there: files of Python, modules and what is in them."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("runtime/simrun", "tools/simtool", "benchmarks")
SOURCES: Final = sorted(
    path
    for folder in (*PACKAGES, "docs", "examples", "tests")
    for path in (ROOT / folder).rglob("*.py")
)
DOCUMENTS: Final = sorted(
    [*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
)
"""RESULTS.md is none of them: it names scripts of past decisions, each with its commit."""
SCRIPT: Final = re.compile(r"[\w./]*\b[\w-]+\.py\b")
DOTTED: Final = re.compile(r"\b(?:simrun|simtool|benchmarks)(?:\.[A-Za-z_]\w*)+")
PLACEHOLDER: Final = re.compile(r"\b[A-Z]+\b")
"""NAME.py: whatever the reader calls it."""


def docstrings(source: Path) -> Iterator[str]:
    """Every text that stands alone in a module: docstrings, of attributes too."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        value = node.value if isinstance(node, ast.Expr) else None
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield value.value


def is_script(name: str, near: Path | None) -> bool:
    """Whether a file of that name is where it says; by its name alone, beside the text or above."""
    if PLACEHOLDER.search(name):
        return True
    if near is not None and "/" not in name:
        above = [folder for folder in near.parents if folder.is_relative_to(ROOT)]
        return any((folder / name).is_file() for folder in above)
    return any(str(path).endswith(f"/{name.removeprefix('./')}") for path in SOURCES)


def is_there(dotted: str) -> bool:
    """Whether it is a module, or in one: `simrun.result.Quad`, with the fields of a class."""
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:count]))
        except ImportError:
            continue
        for part in parts[count:]:
            if part in getattr(found, "__annotations__", {}):
                return True
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


def missing(text: str, near: Path | None) -> list[str]:
    """The names in a text that are of nothing."""
    scripts = [name for name in SCRIPT.findall(text) if not is_script(name, near)]
    dotted = {name for name in DOTTED.findall(text) if not name.endswith(".py")}
    return scripts + sorted(name for name in dotted if not is_there(name))


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_documents_name_files_and_modules_that_are_there(document: Path) -> None:
    assert missing(document.read_text(encoding="utf-8"), None) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_docstrings_name_files_and_modules_that_are_there(package: str) -> None:
    stale = [
        f"{relative(source)}: {name}"
        for source in SOURCES
        if source.is_relative_to(ROOT / package)
        for text in docstrings(source)
        for name in missing(text, source)
    ]
    assert stale == []


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_say_what_to_open_by_names_that_are_there(package: str) -> None:
    stale = [
        f"{relative(source)}: {name}"
        for source in sorted((ROOT / package).rglob("__init__.py"))
        for name in re.findall(r"`([a-z_\d]+)`", next(docstrings(source), ""))
        if name not in {*source.parent.parts[-2:], *stems(source.parent), *top_names(source)}
    ]
    assert stale == []


def top_names(source: Path) -> set[str]:
    """Functions and classes of a module."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def stems(folder: Path) -> set[str]:
    """Modules and packages in a folder, and those one further down."""
    return {path.stem for path in [*folder.glob("*"), *folder.glob("*/*")]}


def test_a_name_of_nothing_is_found() -> None:
    here = ROOT / "runtime" / "simrun" / "run" / "loop.py"
    assert missing("see `session.py` and `loop.py`", here) == ["session.py"]
    assert missing("see `inference/session.py`", here) == []
    assert missing("see `simrun.result.Quad`, `simrun.result.Gone`", None) == ["simrun.result.Gone"]
    assert (
        missing(
            "`simrun/sinks/NAME.py`, `simrun.localization.regions.RegionOptions.join_gap`", None
        )
        == []
    )
