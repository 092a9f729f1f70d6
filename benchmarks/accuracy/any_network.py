"""How well the worked example of docs/any-network.md localizes, by each weighting.

python -m benchmarks.accuracy.any_network OUT    # writes any_network.json

OUT is as examples/colour_shapes.py made and trained it, with OUT/run ablated.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from benchmarks.harness.console import make_parser, one_line_errors

ROOT: Final = Path(__file__).resolve().parents[2]
WEIGHTINGS: Final = {
    "uniform": ("--weighting", "uniform"),
    "softmax, standardised": ("--weighting", "softmax"),
    "paper-printed": ("--weighting", "paper-printed"),
    "paper-code": ("--weighting", "paper-code"),
    "signed": ("--weighting", "signed"),
    "signed, per class": ("--weighting", "signed", "--per-class"),
}


def call(*arguments: object) -> str:
    """Standard output of a Python program in this interpreter."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout


def measure(out: Path, options: tuple[str, ...]) -> dict[str, Any]:
    """Export with these options, localize on the canvases, score."""
    model, results = out / "benchmark", out / "benchmark.jsonl"
    results.unlink(missing_ok=True)
    call("-m", "simtool", "export", out / "run", "--out", model, "--overwrite", *options)
    call("-m", "simrun", "--source", out / "canvases", "--model", model, "--jsonl", results)
    score: dict[str, Any] = json.loads(call("examples/colour_shapes.py", "score", out, results))
    return score


@one_line_errors("any_network")
def main() -> None:
    """Every weighting in turn."""
    parser = make_parser(__doc__)
    parser.add_argument("out", type=Path, help="folder of examples/colour_shapes.py, with its run/")
    out: Path = parser.parse_args().out.resolve()
    scores = {name: measure(out, options) for name, options in WEIGHTINGS.items()}
    target = Path(__file__).with_suffix(".json")
    target.write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")
    for name, score in scores.items():
        print(f"{name:24}", score)


if __name__ == "__main__":
    main()
