"""How well the worked example of docs/any-network.md localizes, by each weighting.

python -m benchmarks.accuracy.any_network FOLDER    # writes any_network.json

FOLDER is as examples/colour_shapes.py made and trained it, with FOLDER/run ablated.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from benchmarks.harness.benchmark import ROOT, Benchmark, follow, heading, table
from benchmarks.harness.record import Record

WEIGHTINGS: Final = {
    "uniform": ("--weighting", "uniform"),
    "softmax, standardised": ("--weighting", "softmax"),
    "paper-printed": ("--weighting", "paper-printed"),
    "paper-code": ("--weighting", "paper-code"),
    "signed": ("--weighting", "signed"),
    "signed, per class": ("--weighting", "signed", "--per-class"),
}


FACTORY: Final = ("--model", "examples.colour_shapes:build")


def call(*arguments: object) -> str:
    """Standard output of a Python program in this interpreter."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout


def score(out: Path, options: tuple[str, ...]) -> dict[str, Any]:
    """Export with these options, localize on the canvases, score."""
    model, results = out / "benchmark", out / "benchmark.jsonl"
    results.unlink(missing_ok=True)
    call("-m", "simtool", "export", out / "run", "--out", model, "--overwrite", *FACTORY, *options)
    call("-m", "simrun", "--source", out / "canvases", "--model", model, "--jsonl", results)
    figures: dict[str, Any] = json.loads(call("examples/colour_shapes.py", "score", out, results))
    return figures


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Every weighting in turn."""
    out = options.out_folder.resolve()
    found = {name: score(out, WEIGHTINGS[name]) for name in follow(list(WEIGHTINGS), "weighting")}
    return {"weightings": found}


def to_markdown(record: Record) -> str:
    """A row a weighting."""
    figures = ("recall", "precision", "f1", "labels_right")
    scores = record["weightings"]
    rows = [[name, *(f"{one[f]:.3f}" for f in figures)] for name, one in scores.items()]
    shapes = next(iter(scores.values()))["shapes"]
    note = heading(record, f"{shapes} shapes on canvases, one training")
    heads = ["weighting", "recall", "precision", "F1", "labels right"]
    return f"{note}\n\n{table(heads, rows)}"


BENCHMARK: Final = Benchmark(
    measure,
    to_markdown,
    lambda parser: parser.add_argument("out_folder", metavar="FOLDER", type=Path),
    markers="any-network",
)

if __name__ == "__main__":
    BENCHMARK.main()
