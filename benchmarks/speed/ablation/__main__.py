"""Ablation against one plain evaluation, captum and Ablation-CAM's loop, in one interleaved run.

python -m benchmarks.speed.ablation      # writes ablation.json and ablation.png

LeNet runs on MNIST where SIMTOOL_DATA names it, else on noise; the large networks run on noise of
224x224 pixels. Every measurement is a process of its own with one thread. captum and the loop
take hours for 2000 images, so that every method runs on fewer, and what is compared is processor
seconds an image, which other work on the machine disturbs less than the clock.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.harness.benchmark import PACKAGES, ROOT, Benchmark, follow, heading, table
from benchmarks.harness.record import Record, Samples

MEMORY_MB: Final = 512
IMAGES: Final = {
    "lenet": {"plain": 60000, "ours": 60000, "captum": 3000, "cam loop": 200},
    "vgg": {"plain": 100, "ours": 400, "captum": 3, "cam loop": 1},
    "resnet": {"plain": 100, "ours": 400, "captum": 3, "cam loop": 1},
}
ROUNDS: Final = {"lenet": 2, "vgg": 1, "resnet": 1}
SWEEP: Final = [("resnet", 100), ("resnet", 200), ("vgg", 100), ("vgg", 200)]
WIDTHS: Final = [("vgg:128", 100), ("vgg:256", 100)]


def measure(name: str, method: str, images: int) -> dict[str, Any]:
    """One process; its seconds, processor seconds, peak MiB and harm by filter."""
    program = ["-m", "benchmarks.speed.ablation.worker"]
    command = [sys.executable, *program, name, method, str(images), str(MEMORY_MB)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def compare(name: str) -> dict[str, Any]:
    """All methods in turn, several rounds; medians per image, and whether the results agree."""
    samples: dict[str, list[dict[str, Any]]] = {method: [] for method in IMAGES[name]}
    for _ in follow(range(ROUNDS[name]), f"{name}, round"):
        for method, images in IMAGES[name].items():
            samples[method].append(measure(name, method, images))
    rows = {}
    for method, runs in samples.items():
        cpu = statistics.median(run["cpu_s"] for run in runs)
        rows[method] = {
            "images": IMAGES[name][method],
            "seconds": Samples(run["seconds"] for run in runs),
            "cpu_s": Samples(run["cpu_s"] for run in runs),
            "cpu_ms_per_image": 1000 * cpu / IMAGES[name][method],
            "peak_mb": max(run["peak_mb"] for run in runs),
        }
    agreement = {}
    for method in ("captum", "cam loop"):
        mine = measure(name, "ours", IMAGES[name][method])["harm"]
        agreement[method] = float(np.abs(np.array(mine) - samples[method][0]["harm"]).max())
    own = rows["ours"]["cpu_ms_per_image"]
    return {
        "methods": rows,
        "largest_difference_of_harm": agreement,
        "times_plain": own / rows["plain"]["cpu_ms_per_image"],
        "times_faster_than": {
            method: rows[method]["cpu_ms_per_image"] / own for method in ("captum", "cam loop")
        },
    }


def scaling(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Processor seconds of ours by images and filters."""
    points = []
    for name, images in follow([*SWEEP, *WIDTHS], "point"):
        filters = int(name.partition(":")[2] or 512)
        plain = measure(name, "plain", min(images, 100))["cpu_s"] * images / min(images, 100)
        seconds = measure(name, "ours", images)["cpu_s"]
        point = {"net": name.partition(":")[0], "images": images, "filters": filters}
        points.append({**point, "cpu_s": seconds, "plain_s": plain})
    for name in ("vgg", "resnet"):
        methods = results[name]["methods"]
        plain = methods["plain"]["cpu_ms_per_image"] * methods["ours"]["images"] / 1000
        point = {"net": name, "images": methods["ours"]["images"], "filters": 512}
        points.append({**point, "cpu_s": methods["ours"]["cpu_s"][0], "plain_s": plain})
    return points


def draw(record: Record, path: Path) -> None:
    """Seconds against filters times images."""
    # Not pyplot: it would look for a display.
    from matplotlib.figure import Figure

    points = record["scaling"]
    figure = Figure(figsize=(5, 3.4), layout="constrained")
    axis = figure.subplots()
    for name, marker in (("vgg", "o"), ("resnet", "s")):
        chosen = sorted((p for p in points if p["net"] == name), key=lambda p: p["images"])
        work = [p["images"] * p["filters"] / 1e6 for p in chosen]
        axis.plot(work, [p["cpu_s"] for p in chosen], marker, label=f"{name}, whole ablation")
    axis.set_xlabel("filters x images, millions")
    axis.set_ylabel("processor seconds, one thread")
    axis.set_xlim(left=0)
    axis.set_ylim(bottom=0)
    axis.legend()
    figure.savefig(path, dpi=120)


NETWORKS: Final = {
    "lenet": "LeNet, 16 filters at 14x14",
    "vgg": "VGG-like, 512 at 7x7",
    "resnet": "ResNet-18-like, 512 at 7x7",
}
METHODS: Final = {
    "plain": "one plain evaluation",
    "ours": "ours, all criteria, intervals",
    "captum": "captum",
    "cam loop": "Ablation-CAM's loop",
}


def compare_all(options: argparse.Namespace) -> dict[str, Any]:
    """Every method on every network, and how ours grows."""
    results = {name: compare(name) for name in IMAGES}
    return {"memory_mb": MEMORY_MB, "results": results, "scaling": scaling(results)}


def to_markdown(record: Record) -> str:
    """A row a method, a column a network: time and, in brackets, times ours; memory."""
    results = record["results"]
    rows = [[METHODS[name], *(_cell(results[net], name) for net in NETWORKS)] for name in METHODS]
    note = (
        "one thread each; processor ms an image, since other work disturbs the clock, and in "
        "brackets times ours; peak MiB on top of the network and the pictures, for ours under "
        f"`--memory-mb {record['memory_mb']}`"
    )
    plot = "![Processor seconds against filters times images](speed/ablation/ablation.png)"
    return "\n\n".join([heading(record, note), table(["method", *NETWORKS.values()], rows), plot])


def _cell(result: Record, method: str) -> str:
    one = result["methods"][method]
    cost, own = one["cpu_ms_per_image"], result["methods"]["ours"]["cpu_ms_per_image"]
    text = f"{cost:.3f}" if cost < 10 else f"{cost:.0f}"
    times = f"{cost / own:.{2 if cost < 10 * own else 0}f}"
    return f"{text} ({times}), {one['peak_mb']:.0f} MiB of {one['images']} images"


BENCHMARK: Final = Benchmark(
    compare_all,
    to_markdown,
    markers="ablation",
    plot=("ablation.png", draw),
    versions=(*PACKAGES, "torch", "captum"),
)

if __name__ == "__main__":
    BENCHMARK.main()
