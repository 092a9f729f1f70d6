"""Count the arm64 instructions of a call, by stage: decoded frame to regions, nothing read.

    bash benchmarks/arm/setup.sh FOLDER                   # once
    python -m benchmarks.arm.count FOLDER DATASET --peers PEERS \\
        --ours mnist-lenet:640 scene-text:640,480,320

PEERS is the folder that `benchmarks.accuracy.peers.fetch` filled. Counts are deterministic to
within half
a percent where times are not, and say nothing of caches, memory and the number of cores. The
medians over a few photos are written to instructions.json beside this file and, as a table, to
benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.accuracy.peers.ours import parse_ours, without_folders
from benchmarks.accuracy.peers.ppocr import RECIPES, find_model
from benchmarks.arm.emulator import CORES, Emulator
from benchmarks.harness.console import BenchmarkError, make_parser, one_line_errors
from benchmarks.harness.publish import RESULTS, publish, require_markers
from simrun.bundle.load import find_bundle, load_bundle
from simtool.data.annotations import AnnotatedSet, load_annotations

HERE = Path(__file__).parent
STAGES = ("preprocess", "infer", "regions")
MARKS_PER_CALL = len(STAGES) + 2
"""One before the first stage, one after each, one after the reading, which may be left out."""
PEER_SIDES = {"PP-OCRv6 tiny": (640, 320, 256, 192, 128), "en PP-OCRv3": (320,)}
REFERENCE = "PP-OCRv6 tiny @ 640"
FRAME_SIZE = (1280, 960)


@one_line_errors("count")
def main() -> None:
    """Count and write."""
    options = parse_arguments()
    photos = choose_photos(load_annotations(options.dataset), options.photos)
    require_markers(RESULTS, "arm")
    calls = our_calls(options.ours) + peer_calls(options.peers)
    emulator = Emulator(options.emulator, options.board)
    described = []
    for i, call in enumerate(calls):
        print(f"{i + 1} of {len(calls)}: {call['name']} ...", file=sys.stderr)
        described.append(count(emulator, call, photos))
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "command": command_line(options),
        "core": CORES[options.board],
        "wheels": emulator.wheels(),
        "photos": [photo.name for photo in photos],
        "unit": "millions of instructions, median over the photos",
        "calls": described,
    }
    text = to_markdown(record)
    publish(record, HERE / "instructions.json", "arm", text)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = make_parser(__doc__)
    parser.add_argument("emulator", type=Path, help="folder that setup.sh filled")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--ours", nargs="+", default=["mnist-lenet:640"], metavar="NAME[:SIDES]")
    parser.add_argument(
        "--peers", type=Path, help="folder that benchmarks.accuracy.peers.fetch filled"
    )
    parser.add_argument("--photos", type=int, default=3, help="photos a call is counted on")
    parser.add_argument("--board", choices=CORES, default="pi4")
    return parser.parse_args()


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


def command_line(options: argparse.Namespace) -> str:
    """The command with the names of folders, not where they lie here."""
    ours = map(without_folders, options.ours)
    words = ["python -m benchmarks.arm.count FOLDER", options.dataset.resolve().name]
    words += ["--ours", *ours, *(["--peers", "PEERS"] if options.peers else [])]
    return " ".join([*words, f"--photos {options.photos} --board {options.board}"])


def to_markdown(record: Mapping[str, Any]) -> str:
    """The command and the table."""
    reference = [c["call"]["total"] for c in record["calls"] if c["name"] == REFERENCE]
    lines = [
        f"`{record['command']}`",
        "",
        f"({record['date']}, {record['core']} emulated, {', '.join(record['wheels'])}, one thread; "
        f"{record['unit']}, SIMD in brackets; frames {FRAME_SIZE[0]}x{FRAME_SIZE[1]}; "
        "`arm/instructions.json`)",
        "",
        f"| detector | call | x {REFERENCE} | " + " | ".join(STAGES) + " |",
        "|---" * (3 + len(STAGES)) + "|",
    ]
    for call in record["calls"]:
        ratio = f"{call['call']['total'] / reference[0]:.2f}" if reference else "-"
        cells = [_cell(call["call"]), ratio, *(_cell(call["stages"][stage]) for stage in STAGES)]
        lines.append(f"| {call['name']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(counts: Mapping[str, float]) -> str:
    return f"{counts['total']:.1f} ({counts['simd']:.1f})"


if __name__ == "__main__":
    main()
