"""A benchmark's program that lacks something ends in one line."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from benchmarks.harness.console import BenchmarkError, make_parser, one_line_errors
from simrun.errors import SourceError

NO_FILE = FileNotFoundError(2, "No such file or directory", "a.json")
FAILED = subprocess.CalledProcessError(3, ["a", "b c"], stderr="one\ntwo\n\n")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (SourceError("no camera"), "prog: no camera"),
        (BenchmarkError("no detector"), "prog: no detector"),
        (NO_FILE, "prog: a.json: No such file or directory"),
        (OSError("odd"), "prog: odd"),
        (FAILED, "prog: a 'b c' ended with 3: two"),
    ],
)
def test_what_is_missing_is_one_line(error: Exception, line: str) -> None:
    with pytest.raises(SystemExit) as ended, one_line_errors("prog"):
        raise error
    assert ended.value.code == line


def test_a_mistake_of_the_program_keeps_its_traceback() -> None:
    with pytest.raises(KeyError), one_line_errors("prog"):
        raise KeyError("x")


def test_help_is_the_docstring_line_for_line() -> None:
    documentation = "What it does.\n\n    python -m benchmarks.x  # and\n    more\n"
    assert documentation.strip() in make_parser(documentation).format_help()


@pytest.mark.parametrize(
    ("program", "arguments", "line"),
    [
        ("speed.call_cost", ["nowhere"], "call_cost: cannot read nowhere/annotations.json"),
        ("accuracy.weightings", ["mnist-lenet", "nowhere"], "weightings: cannot read nowhere/"),
        ("accuracy.peers.peers", ["nowhere"], "peers: cannot read nowhere/annotations.json"),
        ("accuracy.peers.peers", ["--report", "--out", "a.json"], "peers: .*a.json: No such file"),
        ("accuracy.peers.peers", ["nowhere", "--only", "x"], "peers: --subset and --only need"),
        ("accuracy.peers.fetch", ["benchmarks"], "fetch: .*benchmarks lies inside the checkout"),
        ("arm.count", ["x", "nowhere"], "count: cannot read nowhere/annotations.json"),
        ("arm.budget", ["nowhere", "--check"], "budget: no emulated Python in nowhere; bash"),
        ("accuracy.flicker", ["nowhere.mp4"], "flicker: no such file or folder: nowhere.mp4"),
    ],
)
def test_programs_say_what_they_lack(
    program: str, arguments: list[str], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module(f"benchmarks.{program}")
    monkeypatch.setattr(sys, "argv", [program, *arguments])
    with pytest.raises(SystemExit, match=f"^{line}") as ended:
        getattr(module, "BENCHMARK", module).main()
    assert "\n" not in str(ended.value)
