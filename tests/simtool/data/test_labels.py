"""Data sets and networks know nothing of each other but labels."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import simtool.data

DATA = Path(simtool.data.__file__).parent
MODULES = [
    ".".join(("simtool.data", *path.relative_to(DATA).with_suffix("").parts)).removesuffix(
        ".__init__"
    )
    for path in sorted(DATA.rglob("*.py"))
]


@pytest.mark.parametrize(
    ("loaded", "unwanted"),
    [
        (MODULES, ["simtool.nets", "simtool.training", "simtool.runs"]),
        (["simtool.nets"], ["simtool.data.text", "simtool.data.objects", "fontTools"]),
    ],
)
def test_neither_loads_the_other(loaded: list[str], unwanted: list[str]) -> None:
    code = (
        "import importlib, sys\n"
        f"for name in {loaded!r}: importlib.import_module(name)\n"
        f"print([name for name in {unwanted!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
