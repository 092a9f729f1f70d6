"""The instructions a frame may cost on arm64, by model and stage, and the check that it does not.

    bash benchmarks/arm/setup.sh FOLDER                   # once
    python -m benchmarks.arm.budget FOLDER --check        # fails where a frame costs 2 % more
    python -m benchmarks.arm.budget FOLDER --update       # takes today's counts as the budget

The frame is a scene of the demo, 640x480: from decoded pixels to regions that are read. Counts
differ between releases of the wheels, so the check refuses others than those of the budget.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import cv2

from benchmarks.arm.count import STAGES, count, our_calls
from benchmarks.arm.emulator import CORES, Emulator
from benchmarks.harness.console import make_parser, one_line_errors
from benchmarks.harness.record import read_record
from benchmarks.harness.record import to_text as to_json
from simrun.sources.demo import draw_scene

BUDGET: Final = Path(__file__).parent / "budget.json"
BOARD: Final = "pi4"
OURS: Final = ("scene-text:640,456,320", "mnist-lenet:640")
TOLERANCE: Final = 0.02
"""Counts of the same code differ by 0.4 % at most, with the layout of the memory."""
SCENE_AT_S: Final = 1.0


@one_line_errors("budget")
def main() -> None:
    """Count, then compare or write."""
    parser = make_parser(__doc__)
    parser.add_argument("emulator", type=Path, help="folder that setup.sh filled")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--check", action="store_true", help="compare with budget.json")
    action.add_argument("--update", action="store_true", help="write budget.json anew")
    options = parser.parse_args()
    measured = measure(Emulator(options.emulator, BOARD))
    if options.update:
        BUDGET.write_text(to_json(measured), encoding="utf-8")
        print(to_text(measured, measured))
        return
    budget = read_record(BUDGET)
    print(to_text(measured, budget))
    faults = compare(measured, budget)
    if faults:
        sys.exit("budget: " + "\nbudget: ".join(faults))


def measure(emulator: Emulator) -> dict[str, Any]:
    """Counts of one frame for every model and side, in millions of instructions."""
    with tempfile.TemporaryDirectory() as folder:
        frame = Path(folder) / "scene.png"
        cv2.imwrite(str(frame), draw_scene(SCENE_AT_S))
        calls = [call | {"read": True} for call in our_calls(OURS)]
        counts = [count(emulator, call, [frame], (*STAGES, "classify")) for call in calls]
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "core": CORES[emulator.board],
        "wheels": emulator.wheels(),
        "unit": "millions of instructions a frame",
        "frames": {one["name"]: one["stages"] | {"frame": one["call"]} for one in counts},
    }


def compare(measured: Mapping[str, Any], budget: Mapping[str, Any]) -> list[str]:
    """What is over the budget or cannot be compared, a line each."""
    if measured["wheels"] != budget["wheels"]:
        return [
            f"counted with {', '.join(measured['wheels'])}; the budget is of "
            f"{', '.join(budget['wheels'])}: run setup.sh again, or --update"
        ]
    faults = []
    for name in sorted(budget["frames"].keys() | measured["frames"].keys()):
        if name not in budget["frames"] or name not in measured["frames"]:
            faults.append(f"{name} is not in both the budget and the counts; --update")
            continue
        allowed = budget["frames"][name]["frame"]["total"]
        now = measured["frames"][name]["frame"]["total"]
        if now > allowed * (1 + TOLERANCE):
            faults.append(
                f"{name} costs {now:.1f} M instructions, {now / allowed - 1:+.1%} on the budget's "
                f"{allowed:.1f} M; make it cheaper, or argue for it and --update"
            )
    return faults


def to_text(measured: Mapping[str, Any], budget: Mapping[str, Any]) -> str:
    """A line a model: the frame against its budget, then the stages; SIMD in brackets."""
    lines = [f"{measured['core']}, {', '.join(measured['wheels'])}; {measured['unit']} (SIMD)"]
    for name, parts in measured["frames"].items():
        allowed = budget["frames"].get(name, parts)["frame"]["total"]
        cells = [f"{part} {n['total']:.2f} ({n['simd']:.2f})" for part, n in parts.items()]
        change = parts["frame"]["total"] / allowed - 1
        lines.append(f"{name}: {', '.join(reversed(cells))}; {change:+.2%}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
