"""Count the arm64 instructions of a call, by stage: decoded frame to regions, nothing read.

    bash benchmarks/arm/setup.sh FOLDER                   # once
    python -m benchmarks.arm.count FOLDER DATASET --peers PEERS \\
        --ours mnist-lenet:640 scene-text:640,480,320

PEERS is the folder that `benchmarks.accuracy.peers.fetch` filled. Counts are deterministic to
within half
a percent where times are not, and say nothing of caches, memory and the number of cores. The
medians over a few photos are written to count.json beside this file and, as a table, to
benchmarks/RESULTS.md: with how far our networks are above the least that could be (`floor`), and
with what the counts may come to on a board (`estimate`).
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from benchmarks.accuracy.peers.ours import parse_ours
from benchmarks.accuracy.peers.ppocr import RECIPES, find_model
from benchmarks.arm.emulator import CORES, Emulator
from benchmarks.arm.estimate import BOARDS, estimate, instructions_per_mac
from benchmarks.harness.benchmark import Benchmark, follow, heading, table
from benchmarks.harness.console import BenchmarkError
from benchmarks.harness.record import Record
from simrun.bundle.load import find_bundle, load_bundle
from simtool.data.annotations import AnnotatedSet, load_annotations

HERE: Final = Path(__file__).parent
STAGES: Final = ("preprocess", "infer", "regions")
MARKS_PER_CALL = len(STAGES) + 2
"""One before the first stage, one after each, one after the reading, which may be left out."""
PEER_SIDES = {"PP-OCRv6 tiny": (640, 320, 256, 192, 128), "en PP-OCRv3": (320,)}
REFERENCE = "PP-OCRv6 tiny @ 640"
FRAME_SIZE = (1280, 960)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("emulator", type=Path, help="folder that setup.sh filled")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--ours", nargs="+", default=["mnist-lenet:640"], metavar="NAME[:SIDES]")
    parser.add_argument(
        "--peers", type=Path, help="folder that benchmarks.accuracy.peers.fetch filled"
    )
    parser.add_argument("--photos", type=int, default=3, help="photos a call is counted on")
    parser.add_argument("--board", choices=CORES, default="pi4")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Count every call."""
    from benchmarks.arm.floor import least_simd  # imports PyTorch

    photos = choose_photos(load_annotations(options.dataset), options.photos)
    calls = our_calls(options.ours) + peer_calls(options.peers)
    emulator = Emulator(options.emulator, options.board)
    described = []
    for call in follow(calls, "call"):
        one = count(emulator, call, photos)
        if one["ours"]:
            one["least_simd"] = round(least_simd(call["bundle"], call["side"], FRAME_SIZE), 2)
        described.append(one)
    return {
        "core": CORES[options.board],
        "wheels": emulator.wheels(),
        "photos": [photo.name for photo in photos],
        "unit": "millions of instructions, median over the photos",
        "calls": described,
    }


def choose_photos(dataset: AnnotatedSet, wanted: int) -> list[Path]:
    """The first so many of a fixed shuffle of the photos of the usual size.

    Raises:
        BenchmarkError: there are not that many.
    """
    shuffled = dataset.sample(len(dataset.images) - 1).images
    usual = [image for image in shuffled if (image.width, image.height) == FRAME_SIZE]
    if not 1 <= wanted <= len(usual):
        raise BenchmarkError(f"--photos is {wanted}; 1 to {len(usual)} photos are {FRAME_SIZE}")
    return [dataset.path(image).resolve() for image in usual[:wanted]]


def our_calls(ours: Sequence[str]) -> list[dict[str, Any]]:
    """Jobs for the guest: bundles as `NAME` or `NAME:640,320`."""
    calls = []
    for bundle, asked in (pair for text in ours for pair in parse_ours(text)):
        loaded = load_bundle(bundle)
        side = asked or loaded.meta.side
        calls.append(
            {
                "name": f"{loaded.path.name} @ {side}",
                "side": side,
                "bundle": str(find_bundle(bundle).resolve()),
                "sha256": loaded.sha256,
            }
        )
    return calls


def peer_calls(peers: Path | None) -> list[dict[str, Any]]:
    """Jobs for the guest: PP-OCR detectors as shipped; none without their folder.

    Raises:
        MissingPeerError: a network is not in the folder.
    """
    if peers is None:
        return []
    return [
        {
            "name": f"{recipe.family} @ {side}",
            "side": side,
            "network": str(find_model(recipe, peers).resolve()),
            "options": asdict(recipe.options),
        }
        for recipe in RECIPES
        for side in PEER_SIDES[recipe.family]
    ]


def count(
    emulator: Emulator,
    call: Mapping[str, Any],
    photos: Sequence[Path],
    stages: Sequence[str] = STAGES,
) -> dict[str, Any]:
    """Instructions of one call in millions, total and SIMD, by stage.

    Raises:
        BenchmarkError: the emulated call fails.
    """
    job = json.dumps({"photos": [str(photo) for photo in photos], "calls": [call]})
    with tempfile.TemporaryDirectory() as folder:
        marks = Path(folder) / "marks.txt"
        done = emulator.run(HERE / "guest.py", job, marks=marks)
        if done.returncode:
            raise BenchmarkError(f"the emulated call of {call['name']} failed ({done.returncode})")
        rows = [[int(n) for n in line.split()] for line in marks.read_text().splitlines()]
    return summarise(call, rows, len(photos), stages)


def summarise(
    call: Mapping[str, Any],
    rows: Sequence[Sequence[int]],
    photos: int,
    stages: Sequence[str] = STAGES,
) -> dict[str, Any]:
    """Medians over the photos from the plugin's lines (all, SIMD, loads and stores).

    Raises:
        BenchmarkError: there are not as many lines as marks were made.
    """
    if len(rows) != photos * MARKS_PER_CALL:
        raise BenchmarkError(f"{len(rows)} marks of {call['name']}, not {photos * MARKS_PER_CALL}")
    # The first line of a call counts what lay before it, the last one the reading, where there is.
    frames = [rows[i + 1 : i + 1 + len(stages)] for i in range(0, len(rows), MARKS_PER_CALL)]
    by_stage = {
        stage: {
            "total": _millions([frame[i][0] for frame in frames]),
            "simd": _millions([frame[i][1] for frame in frames]),
        }
        for i, stage in enumerate(stages)
    }
    whole = {
        "total": _millions([sum(row[0] for row in frame) for frame in frames]),
        "simd": _millions([sum(row[1] for row in frame) for frame in frames]),
    }
    return {
        "name": call["name"],
        "side": call["side"],
        "sha256": call.get("sha256"),
        "ours": "bundle" in call,
        "call": whole,
        "stages": by_stage,
    }


def _millions(counts: Sequence[int]) -> float:
    return round(statistics.median(counts) / 1e6, 2)


def to_markdown(record: Record) -> str:
    """The command and the table."""
    calls = record["calls"]
    reference = [c["call"]["total"] for c in calls if c["name"] == REFERENCE]
    per_mac = instructions_per_mac(calls)
    rows = []
    for call in calls:
        total, infer = call["call"]["total"], call["stages"]["infer"]
        ratio = f"{total / reference[0]:.2f}" if reference else "-"
        cells = [call["name"], _cell(call["call"]), ratio]
        cells += [_cell(call["stages"][stage]) for stage in STAGES]
        cells.append(f"{infer['simd'] / call['least_simd']:.2f}" if call["ours"] else "-")
        rows.append(cells + [str(estimate(total, board, per_mac)) for board in BOARDS])
    heads = ["detector", "call", f"x {REFERENCE}", *STAGES, "SIMD over the least"]
    note = (
        f"{record['core']} emulated, {', '.join(record['wheels'])}, one thread; {record['unit']}, "
        f"SIMD in brackets; frames {FRAME_SIZE[0]}x{FRAME_SIZE[1]}; milliseconds are estimates, at "
        f"{per_mac:.2f} instructions a multiplication: no board was used"
    )
    return f"{heading(record, note)}\n\n{table([*heads, *(f'{b}: ms' for b in BOARDS)], rows)}"


def _cell(counts: Mapping[str, float]) -> str:
    return f"{counts['total']:.1f} ({counts['simd']:.1f})"


BENCHMARK: Final = Benchmark(measure, to_markdown, add_arguments, markers="arm", versions=())

if __name__ == "__main__":
    BENCHMARK.main()
