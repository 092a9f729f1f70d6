"""Makes the API reference, as pages for a browser, out of docstrings and types.

python docs/make_reference.py FOLDER [PACKAGE ...]
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Final

import pdoc
from pdoc import doc

PACKAGES: Final = ("simrun", "simtool")


def main(arguments: Sequence[str]) -> int:
    """Write the pages of the packages; 1 where a public name has no docstring, 2 for bad usage."""
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    folder, *packages = arguments
    packages = packages or list(PACKAGES)
    for name in packages:
        _resolve_names(importlib.import_module(name))
    modules = [module for package in packages for module in modules_of(package)]
    missing = [name for module in modules for name in without_docstring(module)]
    for name in missing:
        print(f"no docstring: {name}", file=sys.stderr)
    if missing:
        return 1
    pdoc.render.configure(docformat="google")
    with warnings.catch_warnings():
        # pdoc finds most modules by itself, but not those of a package that says what it offers.
        warnings.filterwarnings("ignore", "The module specification")
        pdoc.pdoc(*modules, output_directory=Path(folder))
    print(Path(folder) / "index.html")
    return 0


def _resolve_names(module: ModuleType) -> None:
    """Put in place what a package imports on first use only: pdoc looks and does not ask."""
    for name in getattr(module, "__all__", ()):
        setattr(module, name, getattr(module, name))


def modules_of(name: str) -> list[str]:
    """A package and every module in it; of a module, itself."""
    package = importlib.import_module(name)
    inner = pkgutil.walk_packages(getattr(package, "__path__", ()), f"{name}.")
    return [name, *(info.name for info in inner if not info.name.endswith("__main__"))]


def without_docstring(module: str) -> Iterator[str]:
    """A module itself, its public classes, functions and methods that say nothing of themselves."""
    yield from _silent(doc.Module.from_name(module), module)


def _silent(namespace: doc.Namespace[object], module: str) -> Iterator[str]:
    if not namespace.docstring.strip():
        yield namespace.fullname
    for member in namespace.own_members:
        if member.name.startswith("_") or member.taken_from[0] != module:
            continue
        if isinstance(member, doc.Class):
            yield from _silent(member, module)
        elif isinstance(member, doc.Function) and not member.docstring.strip():
            yield member.fullname


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
