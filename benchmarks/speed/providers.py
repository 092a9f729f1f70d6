"""Execution providers side by side: time of the network against the CPU's, and the difference of H.

    python -m benchmarks.speed.providers [MODEL ...] [--providers cpu openvino] [--rounds 60]

Run it where the build of ONNX Runtime has the providers (docs/accelerators.md). All models and
providers take turns, on pictures of 640x480 of the demo; the models are those that are shipped, or
folders, such as bundles exported with --static 480x640. Writes providers.json beside this file and
the table of RESULTS.md.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from benchmarks.harness.console import make_parser, one_line_errors
from benchmarks.harness.publish import publish
from benchmarks.harness.quartiles import spread
from simrun import Localizer
from simrun.bundle.load import load_bundle
from simrun.inference.session import EngineConfig
from simrun.sources.demo import draw_scene

HERE = Path(__file__).parent
SIDE = 640
WARMUP = 3
SHIPPED = ("mnist-lenet", "mnist-maps", "scene-text")


@dataclass
class Kind:
    """One model on one provider."""

    model: str
    provider: str
    localizer: Localizer
    cpu_ms: list[float] = field(default_factory=list)
    """Of the network, each round."""
    wall_ms: list[float] = field(default_factory=list)
    """Of the whole frame, nothing read."""
    difference: float = 0.0


@one_line_errors("providers")
def main() -> None:
    """Measure in turns and write what came out."""
    parser = make_parser(__doc__)
    parser.add_argument("models", nargs="*", default=SHIPPED, metavar="MODEL")
    parser.add_argument("--providers", nargs="+", default=["cpu", "openvino"])
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    kinds = [
        Kind(
            Path(model).name,
            name,
            Localizer(
                load_bundle(model),
                side=SIDE,
                classify=False,
                engine_config=EngineConfig(provider=name),
                clock=time.process_time,  # with what its threads take
            ),
        )
        for model in options.models
        for name in options.providers
    ]
    measure(kinds, options.rounds)
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "onnxruntime": ort.__version__,
        "frame": "640x480",
        "threads": 1,
        "rounds": options.rounds,
        "kinds": [describe(kind) for kind in kinds],
    }
    text = to_markdown(record, options.providers[0])
    publish(record, HERE / "providers.json", "providers", text)


def measure(kinds: list[Kind], rounds: int) -> None:
    """Run all kinds in turns, each round on another picture."""
    for turn in range(WARMUP + rounds):
        frame = draw_scene(turn * 0.1)
        reference: dict[str, np.ndarray] = {}
        for kind in kinds:
            start = time.perf_counter()
            result = kind.localizer(frame)
            wall_ms = (time.perf_counter() - start) * 1000
            assert result.heatmap is not None
            values = reference.setdefault(kind.model, result.heatmap.values)
            kind.difference = max(
                kind.difference, float(np.abs(result.heatmap.values - values).max())
            )
            if turn >= WARMUP:
                kind.cpu_ms.append(round(result.latency_ms.infer, 3))
                kind.wall_ms.append(round(wall_ms, 3))


def describe(kind: Kind) -> dict[str, Any]:
    """What is kept of a kind."""
    return {
        "model": kind.model,
        "provider": kind.provider,
        "really": kind.localizer.provider,
        "largest_difference": kind.difference,
        "cpu_ms": kind.cpu_ms,
        "wall_ms": kind.wall_ms,
    }


def to_markdown(record: dict[str, Any], reference: str) -> str:
    """A table, one row a kind; times are medians with quartiles."""
    rows = [
        "| model | provider | network, CPU ms | frame, wall ms | network, ratio "
        "| largest difference of H |",
        "|---|---|---|---|---|---|",
    ]
    medians = {
        (kind["model"], kind["provider"]): statistics.median(kind["cpu_ms"])
        for kind in record["kinds"]
    }
    for kind in record["kinds"]:
        model, provider = kind["model"], kind["provider"]
        ratio = medians[model, provider] / medians[model, reference]
        difference = kind["largest_difference"]
        rows.append(
            f"| {model} | {provider} | {spread(kind['cpu_ms'])} | {spread(kind['wall_ms'])} "
            f"| {ratio:.2f} | {f'{difference:.1e}' if provider != reference else ''} |"
        )
    note = (
        f"({record['date']}, ONNX Runtime {record['onnxruntime']}, {record['threads']} thread, "
        f"{record['rounds']} rounds in turns)"
    )
    return "\n".join([note, "", *rows])


if __name__ == "__main__":
    main()
