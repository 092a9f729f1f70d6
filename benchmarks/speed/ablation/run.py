"""Ablation against one plain evaluation, captum and Ablation-CAM's loop, in one interleaved run.

python -m benchmarks.speed.ablation.run      # writes ablation.json and ablation.png

LeNet runs on MNIST where SIMTOOL_DATA names it, else on noise; the large networks run on noise of
224x224 pixels. Every measurement is a process of its own with one thread. captum and the loop
take hours for 2000 images, so that every method runs on fewer, and what is compared is processor
seconds an image, which other work on the machine disturbs less than the clock.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure

from benchmarks.harness.console import one_line_errors

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
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
    command = [
        sys.executable,
        "-m",
        "benchmarks.speed.ablation.worker",
        name,
        method,
        str(images),
        str(MEMORY_MB),
    ]
    print(name, method, images, end=" ", flush=True)
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"{result['seconds']:.2f} s, {result['peak_mb']:.0f} MiB", flush=True)
    return result


def compare(name: str) -> dict[str, Any]:
    """All methods in turn, several rounds; medians per image, and whether the results agree."""
    samples: dict[str, list[dict[str, Any]]] = {method: [] for method in IMAGES[name]}
    for _ in range(ROUNDS[name]):
        for method, images in IMAGES[name].items():
            samples[method].append(measure(name, method, images))
    rows = {}
    for method, runs in samples.items():
        seconds = [run["seconds"] for run in runs]
        cpu = statistics.median(run["cpu_s"] for run in runs)
        rows[method] = {
            "images": IMAGES[name][method],
            "seconds": seconds,
            "cpu_s": [run["cpu_s"] for run in runs],
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
    for name, images in [*SWEEP, *WIDTHS]:
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


def plot(points: list[dict[str, Any]]) -> None:
    """Seconds against filters times images."""
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
    figure.savefig(HERE / "ablation.png", dpi=120)


@one_line_errors("ablation")
def main() -> None:
    """Run everything and write the record."""
    results: dict[str, Any] = {name: compare(name) for name in IMAGES}
    points = scaling(results)
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "versions": {name: version(name) for name in ("torch", "captum")},
        "memory_mb": MEMORY_MB,
        "results": results,
        "scaling": points,
    }
    (HERE / "ablation.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    plot(points)


if __name__ == "__main__":
    main()
