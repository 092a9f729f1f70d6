"""The README's figures, made from the measurements' JSON and the models' metadata.

    python -m benchmarks.harness.readme_table            # rewrites the table of models
    python -m benchmarks.harness.readme_table --check    # changes nothing

Either says what else is stale, and then exits with 1.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

from benchmarks.harness.benchmark import ROOT
from benchmarks.harness.console import BenchmarkError, make_parser
from benchmarks.harness.markers import replace_between, require_markers
from benchmarks.harness.record import Record, read_record

MARKER: Final = "models"
PEER: Final = "PP-OCRv6 tiny @ 640"
HEADER: Final = (
    "| model | trained on | test accuracy | weights of H | graph "
    "| photos: px F1 / line F1 / cov50 | a frame: CPU ms on x86-64, M instructions on arm64 |"
)
DESCRIPTIONS: Final = {
    "scene-text": (
        "the default",
        'generated scenes: "text" or "no text" at the centre of a window',
        'loss, text less "no text", over mean activation',
    ),
    "mnist-lenet": ("", "MNIST digits", "logit drop over mean activation"),
    "mnist-maps": (
        "a map for each digit",
        'windows of canvases of MNIST digits, and "nothing"',
        "per class: logit drop over mean activation",
    ),
}
"""Model -> what it is, what it was trained on, how its maps are weighed: words, no figures."""


class StaleError(BenchmarkError):
    """A measurement is not of the model that is shipped, or is missing."""


def load_records(root: Path) -> dict[str, Any]:
    """All that the README's figures come from, by name."""
    return {
        "models": {name: read_record(root / f"models/{name}/model.json") for name in DESCRIPTIONS},
        "sizes": {
            name: (root / f"models/{name}/localizer.onnx").stat().st_size for name in DESCRIPTIONS
        },
        "peers": read_record(root / "benchmarks/accuracy/peers/peers.json"),
        "arm": read_record(root / "benchmarks/arm/count.json"),
        "maps": read_record(root / "benchmarks/accuracy/class_maps.json"),
    }


def models_table(records: Record) -> str:
    """The table of models.

    Raises:
        StaleError: a measurement is of a graph that is not the shipped one.
    """
    rows = [HEADER, "|---" * (HEADER.count("|") - 1) + "|"]
    for name, (what, trained_on, weights) in DESCRIPTIONS.items():
        card = f"[{name}](models/{name}/README.md)" + (f", {what}" if what else "")
        size = f"{records['sizes'][name] / 1000:.0f} KB"
        accuracy = _accuracy(records["models"][name])
        cells = [card, trained_on, accuracy, weights, size, _scores(records, name)]
        rows.append("| " + " | ".join([*cells, _cost(records, name)]) + " |")
    return "\n".join(rows)


def sentences(records: Record) -> list[str]:
    """What the README says in running text, words on any number of lines."""
    peer = _detector(records["peers"]["detectors"], PEER)
    ours = _measured(records, "scene-text")
    times = peer["cpu_ms"]["median"] / ours["cpu_ms"]["median"]
    figures = peer["figures"]
    return [
        f"PP-OCRv6 tiny scores px F1 {figures['px_F1']:.2f} and line F1 {figures['line_F1']:.2f} "
        f"at {times:.1f} times the processor time"
    ]


def problems(readme: Path, records: Record) -> list[str]:
    """What of the README is not as the records have it."""
    before, after = require_markers(readme, MARKER)
    text = readme.read_text(encoding="utf-8")
    found = []
    if text != f"{before}\n{models_table(records)}\n{after}":
        found.append(f"{readme.name} has another table of models")
    plain = " ".join(text.split())
    found += [
        f"{readme.name} does not say: {one}" for one in sentences(records) if one not in plain
    ]
    return found


def main() -> None:
    """Rewrite or check the README."""
    parser = make_parser(__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing")
    options = parser.parse_args()
    readme, records = ROOT / "README.md", load_records(ROOT)
    try:
        if not options.check:
            replace_between(readme, MARKER, models_table(records))
        left = problems(readme, records)
    except BenchmarkError as error:
        left = [str(error)]
    for one in left:
        print(f"readme_table: {one}", file=sys.stderr)
    sys.exit(1 if left else 0)


def _accuracy(model: Record) -> str:
    accuracy = model["accuracy"]
    if model["name"] == "mnist-maps":
        return f"{100 * accuracy['test']:.2f} % of windows"
    if "seeds" in accuracy:
        seeds = accuracy["seeds"]
        return (
            f"{100 * seeds['mean']:.2f} % ± {100 * seeds['std']:.2f} over {seeds['seeds']} seeds "
            "(paper: 98.73 %)"
        )
    without, with_text = accuracy["per_class"]
    return f"{100 * without:.1f} % of windows without text, {100 * with_text:.1f} % of those with"


def _scores(records: Record, name: str) -> str:
    if name == "mnist-maps":
        test = records["maps"]["models"][name]["shipped, by simrun"]["test"]
        return (
            "not made for photos; the peak is on the digit for "
            f"{100 * test['clean']['pointing']:.1f} % "
            f"({100 * test['clutter']['pointing']:.1f} % with clutter)"
        )
    figures = _measured(records, name)["figures"]
    return " / ".join(f"{figures[figure]:.2f}" for figure in ("px_F1", "line_F1", "cov50"))


def _cost(records: Record, name: str) -> str:
    if name == "mnist-maps":
        return "-"
    side = records["models"][name]["side"]
    call = _detector(records["arm"]["calls"], f"{name} @ {side}")
    _require_shipped(records, name, call["sha256"], "arm/count.json")
    milliseconds = _measured(records, name)["cpu_ms"]["median"]
    return f"{milliseconds:.1f}, {call['call']['total']:.0f} at side {side}"


def _measured(records: Record, name: str) -> Record:
    """The comparison's entry of a model at its own side."""
    side = records["models"][name]["side"]
    entry = _detector(records["peers"]["detectors"], f"{name} @ {side}")
    _require_shipped(records, name, entry["model"]["sha256"], "peers/peers.json")
    return entry


def _require_shipped(records: Record, name: str, sha256: str, where: str) -> None:
    shipped = records["models"][name]["files"]["localizer.onnx"]
    if sha256 != shipped:
        raise StaleError(
            f"benchmarks/{where} measured {name} {sha256[:12]}, shipped is {shipped[:12]}; "
            "measure again"
        )


def _detector(entries: list[Record], name: str) -> Record:
    for entry in entries:
        if entry["name"] == name:
            return entry
    raise StaleError(f"no measurement of {name}; it has {', '.join(e['name'] for e in entries)}")


if __name__ == "__main__":
    main()
