"""How much memory ONNX Runtime keeps, by where its graphs get it from.

    python -m benchmarks.arena

Both graphs of a model as frames use them: the localizer on an image, then the classifier on a batch
of crops. First one frame of 4:3, then 400 frames of random sizes; each kind of arena in a process
of its own. What the process grew by is written to arena.json beside this file and, as a table, to
RESULTS.md.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort

from benchmarks.console import make_parser, one_line_errors
from benchmarks.markers import RESULTS, publish, require_markers
from benchmarks.peers.peers import machine
from simrun.bundle import Bundle, load_bundle

HERE: Final = Path(__file__).parent
MARKERS: Final = "arena"
MODELS: Final = {"scene-text": 456, "mnist-lenet": 640}
FRAMES: Final = 400
MOST_CROPS: Final = 64
STEP: Final = 8
SHARED: Final[Mapping[str, Mapping[str, int]]] = {
    "one, grown by doubling": {},
    "one, grown as asked": {"arena_extend_strategy": 1},
    **{
        f"one, first block {size} MiB": {"initial_chunk_size_bytes": size << 20}
        for size in (4, 8, 16, 32, 64)
    },
}
OWN: Final = "one a graph"


@one_line_errors("arena")
def main() -> None:
    """Measure and write."""
    make_parser(__doc__).parse_args()
    require_markers(RESULTS, MARKERS)
    rows = {
        kind: {model: in_new_process(kind, model, side) for model, side in MODELS.items()}
        for kind in (OWN, *SHARED)
    }
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "onnxruntime": ort.__version__,
        "unit": "MiB that a process grew by after one frame, and after all",
        "rows": rows,
    }
    publish(record, HERE / "arena.json", MARKERS, to_markdown(record))


def in_new_process(kind: str, model: str, side: int) -> tuple[float, float]:
    """`grown_mb` of a process that has nothing to use again."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(grown_mb, kind, model, side).result()


def grown_mb(kind: str, model: str, side: int) -> tuple[float, float]:
    """What this process, which has run no graph, grows by: after one frame, and after all."""
    if kind != OWN:
        share_arena(SHARED[kind])
    graphs = load_graphs(load_bundle(model), shared=kind != OWN)
    before = resident_mb()
    run_frame(graphs, side * 3 // 4, side, MOST_CROPS // 4)
    first = resident_mb() - before
    random = np.random.default_rng(1)
    for _ in range(FRAMES):
        height, width = random.integers(100, side, 2, endpoint=True)
        crops = random.integers(1, MOST_CROPS, endpoint=True)
        run_frame(graphs, int(height), int(width), int(crops))
    return round(first, 1), round(resident_mb() - before, 1)


def share_arena(sizes: Mapping[str, int]) -> None:
    """Set up the arena that graphs of this process can share."""
    kind, use = ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, ort.OrtMemType.DEFAULT
    ort.create_and_register_allocator(
        ort.OrtMemoryInfo("Cpu", kind, 0, use), ort.OrtArenaCfg(dict(sizes))
    )


def load_graphs(bundle: Bundle, *, shared: bool) -> list[ort.InferenceSession]:
    """The localizer and the classifier, set up as `simrun.engine` does but for the arena."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.use_env_allocators", str(int(shared)))
    graphs = [bundle.localizer, *([bundle.classifier] if bundle.classifier else [])]
    return [ort.InferenceSession(graph, options) for graph in graphs]


def run_frame(graphs: list[ort.InferenceSession], height: int, width: int, crops: int) -> None:
    """An image of about this size, then so many crops."""
    size = (-(-height // STEP) * STEP, -(-width // STEP) * STEP)
    for graph, first in zip(graphs, ((1, 1, *size), (crops, 1, 28, 28)), strict=True):
        graph.run(None, {graph.get_inputs()[0].name: np.zeros(first, np.uint8)})


def resident_mb() -> float:
    """Resident memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def to_markdown(record: dict[str, Any]) -> str:
    """The table of a record."""
    names = [f"{model} @ {side}" for model, side in MODELS.items()]
    lines = [
        f"`python -m benchmarks.arena` ({record['date']}, {record['machine']['processor']}, "
        f"onnxruntime {record['onnxruntime']}; MiB after one frame / after {FRAMES} of random "
        "sizes)",
        "",
        f"| arena | {' | '.join(names)} |",
        "|---|---|---|",
    ]
    for kind, row in record["rows"].items():
        cells = (f"{first:.1f} / {last:.1f}" for first, last in (row[model] for model in MODELS))
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
