"""Class-specific maps of composed canvases: ours, CAM, Grad-CAM and Ablation-CAM side by side.

    SIMTOOL_DATA=... python -m benchmarks.accuracy.class_maps [RUN ...] [--canvases 200]

Canvases of 112x112 hold four different MNIST test digits, with or without 40 pieces of clutter;
`benchmarks.accuracy.pointing` says what is scored. mnist-maps and mnist-lenet are scored, and the
ablated run folders that are given. All methods get a canvas as simrun prepares
it, a black rim to the right and below, so that a window fits around every digit. The share at which
a map is thresholded is chosen for each method on canvases of training digits, a fifth as many.
Writes class_maps.json, docs/class-maps.png and the table of RESULTS.md.

The others' methods need two libraries that the project does not: torchcam 0.5 (CAM), and grad-cam
1.5.7 (Grad-CAM, Ablation-CAM). The latter imports torchvision, which has no build for torch's
CPU wheels; 0.15.2, installed without its dependencies, is the latest that imports all the same:

    pip install --no-deps --target LIBS torchcam==0.5.0 grad-cam==1.5.7 torchvision==0.15.2 \\
        ttach scikit-learn scipy joblib threadpoolctl cloudpickle narwhals tqdm
    PYTHONPATH=LIBS python -m benchmarks.accuracy.class_maps
"""

from __future__ import annotations

import argparse
import contextlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.accuracy.pointing import PixelMaps, best_share, pixel_maps, score_maps
from benchmarks.harness.benchmark import PACKAGES, ROOT, Benchmark, follow, heading, table
from benchmarks.harness.console import BenchmarkError
from benchmarks.harness.record import Record
from simrun import Localizer
from simrun.errors import ModelError
from simrun.localization.preprocess import prepare
from simrun.result import Heatmap
from simtool.data import LabelledImages, load_split
from simtool.data.canvases import DigitCanvas, compose
from simtool.export.ablated_model import AblatedModel, open_ablated
from simtool.export.geometry import trunk_geometry
from simtool.export.trunk import transform_trunk
from simtool.nets import SplitNet
from simtool.weighting.weigh import WeightingOptions, weigh

SIDE = 112
SEED = 3
CLUTTER = {"clean": 0, "clutter": 40}
SHARES = tuple(round(0.05 * step, 2) for step in range(1, 19))
MAP_THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(2, 20))
POSITIVE = 100.0
"""Added to the score that Ablation-CAM divides by, which is negative on most canvases."""
DIGITS = 10
POOL = 2000
"""Pictures that a canvas chooses among."""

OURS: dict[str, tuple[str, dict[str, Any]]] = {
    "signed": ("signed", {}),
    "signed, loss": ("signed", {"criterion": "loss"}),
    "paper-code": ("paper-code", {}),
    "paper-printed": ("paper-printed", {}),
    "softmax of the loss, standardised": ("softmax", {"standardise": True}),
    "uniform": ("uniform", {}),
}

Compute = Callable[[DigitCanvas], Heatmap]
Sets = Mapping[tuple[str, str], list[DigitCanvas]]
"""Split and clutter -> canvases."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("runs", nargs="*", type=Path, help="ablated run folders")
    parser.add_argument("--canvases", type=int, default=200)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Scores of every method on every set; draws the picture of the documents."""
    torch.set_num_threads(1)
    try:
        sets = draw_sets(options.canvases)
        models = score_models(options.runs, sets)
    except ModuleNotFoundError as error:
        raise BenchmarkError(f"{error}; --help says how to get it") from error
    if options.out is None:
        cv2.imwrite(str(ROOT / "docs" / "class-maps.png"), picture(sets))
    regions = region_scores(Localizer.load("mnist-maps", classify=False), sets)
    return {"seed": SEED, "canvases": options.canvases, "models": models, "regions": regions}


def draw_sets(canvases: int) -> Sets:
    """So many canvases of test digits and a fifth as many of training digits, of each clutter."""
    return {
        (split, name): draw(load_split("mnist", split, None), count, pieces)
        for split, count in (("train", canvases // 5), ("test", canvases))
        for name, pieces in CLUTTER.items()
    }


def score_models(runs: Sequence[Path], sets: Sets) -> dict[str, Any]:
    """Scores of every method on the shipped models and on run folders."""
    return {
        source.name: {
            method: evaluate(compute, sets)
            for method, compute in follow(list(methods(source).items()), source.name)
        }
        for source in (Path("mnist-maps"), Path("mnist-lenet"), *runs)
    }


def draw(digits: LabelledImages, count: int, clutter: int) -> list[DigitCanvas]:
    """Canvases of four different digits each."""
    rng = np.random.default_rng([SEED, clutter])
    canvases = []
    for _ in range(count):
        chosen = rng.choice(len(digits), POOL, replace=False)
        pictures, labels = digits.images[chosen, 0], digits.labels[chosen]
        canvases.append(compose(pictures, labels, rng, size=(SIDE, SIDE), clutter=clutter))
    return canvases


def methods(source: Path) -> dict[str, Compute]:
    """Every way to the maps of a model, by name."""
    ablated = open_ablated(source)
    net = ablated.checkpoint.build()
    if not isinstance(net, SplitNet):
        raise ModelError(f"{source}: {ablated.checkpoint.net} has no trunk and head")
    found: dict[str, Compute] = {}
    if source.name == "mnist-maps":
        found["shipped, by simrun"] = shipped(source.name)
    found |= {name: weighted(net, weights) for name, weights in our_weights(ablated).items()}
    if hasattr(net.head, "average"):  # the others ask the network for logits of a whole canvas
        found["trained logits"] = trained_logits(net)
        found |= gradcam_methods(net)
    if ablated.checkpoint.net == "maps":
        found["CAM"] = torchcam_cam(net)
    return found


def our_weights(ablated: AblatedModel) -> dict[str, NDArray[np.float64]]:
    """Weights (10, K) by each weighting of the ablation."""
    rows = {
        name: weigh(ablated.ablation, method, WeightingOptions(per_class=True, **more)).array
        for name, (method, more) in OURS.items()
    }
    if len(ablated.ablation.classes) > DIGITS:
        for name in ("signed", "paper-code"):
            units = np.array(ablated.ablation.units_per_class)[:, None]
            row = rows[name] / (units if name == "paper-code" else 1)
            rows[f"{name}, less the row of nothing"] = row - row[DIGITS]
    return {name: row[:DIGITS] for name, row in rows.items()}


def shipped(name: str) -> Compute:
    """The bundle as it is, run by the runtime."""
    localizer = Localizer.load(name, classify=False)

    def compute(canvas: DigitCanvas) -> Heatmap:
        heatmap = localizer(canvas.image).heatmap
        if heatmap is None:
            raise RuntimeError(f"{name} gave no heatmap")
        return heatmap

    return compute


def weighted(net: SplitNet, weights: NDArray[np.float64]) -> Compute:
    """Sums of the maps F by weights (10, K)."""
    trunk = transform_trunk(net.trunk, "keep", "valid")
    if not isinstance(trunk, nn.Sequential):
        raise TypeError("the trunk is no plain sequence of layers")
    kernel = torch.from_numpy(weights).to(torch.float32)
    return on_cells(trunk, lambda maps, _: torch.einsum("ck,khw->chw", kernel, maps[0]))


def trained_logits(net: SplitNet) -> Compute:
    """What the trained head itself says of each cell: the readout that ours does without."""
    cells = nn.Sequential(*list(net.head.children())[:-1])
    return on_cells(net.trunk, lambda maps, _: cells(maps)[0, :DIGITS])


def on_cells(trunk: nn.Sequential, read: Callable[[Tensor, DigitCanvas], Tensor]) -> Compute:
    """Heatmaps of what `read` makes of the maps F (1, K, h, w)."""
    geometry = trunk_geometry(trunk)

    def compute(canvas: DigitCanvas) -> Heatmap:
        with torch.no_grad():
            values = read(trunk(to_tensor(canvas)), canvas)
        return Heatmap(values.numpy(), float(geometry.stride), geometry.offset)

    return compute


def to_tensor(canvas: DigitCanvas) -> Tensor:
    """(1, 1, H, W) float32 in [0, 1], the rim that simrun adds included."""
    return torch.from_numpy(prepare(canvas.image, SIDE).image).to(torch.float32) / 255


def torchcam_cam(net: SplitNet) -> Compute:
    """CAM by torchcam."""
    from torchcam.methods import CAM

    extractor = CAM(net, net.trunk.relu5, fc_layer=net.head.read, input_shape=(1, SIDE, SIDE))

    def read(canvas: DigitCanvas) -> dict[int, NDArray[np.float32]]:
        scores = net(to_tensor(canvas))
        return {
            label: extractor(label, scores, normalized=False)[0][0].detach().numpy()
            for label in canvas.labels
        }

    return of_labels(net, read)


def gradcam_methods(net: SplitNet) -> dict[str, Compute]:
    """Grad-CAM and Ablation-CAM by grad-cam, kept on the grid of the cells."""
    from pytorch_grad_cam import AblationCAM, GradCAM

    def by_library(kind: Any, added: float = 0.0) -> Compute:  # noqa: ANN401 - a library's class
        cam = kind(model=net, target_layers=[net.trunk.relu5])

        def read(canvas: DigitCanvas) -> dict[int, NDArray[np.float32]]:
            image = to_tensor(canvas)
            height, width = net.trunk(image).shape[2:]
            # Otherwise it stretches the map to the picture's edges, where no cell's centre is.
            cam.get_target_width_height = lambda _: (width, height)
            with contextlib.redirect_stderr(io.StringIO()):  # a progress bar for every map
                return {
                    label: cam(input_tensor=image, targets=[lambda out, c=label: out[c] + added])[0]
                    for label in canvas.labels
                }

        return of_labels(net, read)

    return {
        "Grad-CAM": by_library(GradCAM),
        "Ablation-CAM": by_library(AblationCAM),
        f"Ablation-CAM of the score + {POSITIVE:.0f}": by_library(AblationCAM, POSITIVE),
    }


def of_labels(
    net: SplitNet, read: Callable[[DigitCanvas], dict[int, NDArray[np.float32]]]
) -> Compute:
    """Heatmaps of a method that answers for one class at a time; 0 for classes not there."""
    geometry = trunk_geometry(net.trunk)

    def compute(canvas: DigitCanvas) -> Heatmap:
        planes = read(canvas)
        values = np.zeros((DIGITS, *next(iter(planes.values())).shape), np.float32)
        for label, plane in planes.items():
            values[label] = plane
        return Heatmap(values, float(geometry.stride), geometry.offset)

    return compute


def evaluate(compute: Compute, sets: Sets) -> dict[str, Any]:
    """Scores on both test sets; the share comes from both sets of training digits."""
    maps = {key: mapped(compute, canvases) for key, canvases in sets.items()}
    train = [pair for (split, _), pairs in maps.items() if split == "train" for pair in pairs]
    share = best_share(train, DIGITS, SHARES)
    row: dict[str, Any] = {"share": share}
    for (split, name), pairs in maps.items():
        score = score_maps(pairs, DIGITS, share)
        row.setdefault(split, {})[name] = {
            "pointing": round(score.accuracy, 4),
            "per_class": [None if v is None else round(v, 4) for v in score.accuracy_per_class],
            "mean_iou": round(score.mean_iou, 4),
            "boxes": int(score.present.sum()),
        }
    return row


def region_scores(localizer: Localizer, sets: Sets) -> dict[str, Any]:
    """Regions of the shipped model: precision and recall of digits found as what they are.

    The map threshold is the one of the highest F1 on the training digits, both sets together.
    """
    former = localizer.region_options

    def scores(threshold: float, canvases: list[DigitCanvas]) -> tuple[float, float]:
        localizer.region_options = replace(
            former, map_threshold=threshold, region_threshold=min(threshold, 1.0)
        )
        counts = np.array([count_regions(localizer, canvas) for canvas in canvases])
        right, regions, boxes = counts.sum(0)
        return float(right / max(regions, 1)), float(right / boxes)

    def f1(threshold: float) -> float:
        train = [c for (split, _), canvases in sets.items() if split == "train" for c in canvases]
        precision, recall = scores(threshold, train)
        return 2 * precision * recall / max(precision + recall, 1e-9)

    best = max(MAP_THRESHOLDS, key=f1)
    found: dict[str, Any] = {"threshold": best}
    for name in CLUTTER:
        precision, recall = scores(best, sets["test", name])
        found[name] = {"precision": round(precision, 4), "recall": round(recall, 4)}
    localizer.region_options = former
    return found


def count_regions(localizer: Localizer, canvas: DigitCanvas) -> tuple[int, int, int]:
    """Digits with a region of their channel whose middle is in their box; regions; digits."""
    regions = localizer(canvas.image).regions
    right = 0
    for label, (x0, y0, x1, y1) in zip(canvas.labels, canvas.boxes, strict=True):
        middles = [
            np.mean(region.quad, axis=0) for region in regions if region.channel == str(label)
        ]
        right += any(x0 <= x < x1 and y0 <= y < y1 for x, y in middles)
    return right, len(regions), len(canvas.labels)


def mapped(compute: Compute, canvases: list[DigitCanvas]) -> list[tuple[DigitCanvas, PixelMaps]]:
    """Canvases with their maps on pixels."""
    return [(canvas, pixel_maps(compute(canvas), canvas.image.shape)) for canvas in canvases]


def to_markdown(record: Record) -> str:
    """A row a method, columns a network; and the shipped model's regions."""
    models, regions = record["models"], record["regions"]
    rows = [
        [name, *(cell for methods in models.values() for cell in _cells(methods.get(name)))]
        for name in dict.fromkeys(name for methods in models.values() for name in methods)
    ]
    heads = [head for model in models for head in (f"{model}: pointing", "mean IoU")]
    found = ", ".join(
        f"{name}: precision {regions[name]['precision']:.3f}, recall {regions[name]['recall']:.3f}"
        for name in CLUTTER
    )
    note = heading(record, f"{record['canvases']} canvases without and as many with clutter")
    tail = f"Regions of mnist-maps at map threshold {regions['threshold']:.2f}: {found}."
    return "\n\n".join([note, table(["maps", *heads], rows), tail])


def _cells(row: Record | None) -> list[str]:
    """Pointing and IoU, without and with clutter."""
    if row is None:
        return ["-", "-"]
    scores = row["test"]
    return [
        ", ".join(f"{scores[kind][figure]:.3f}" for kind in CLUTTER)
        for figure in ("pointing", "mean_iou")
    ]


def picture(sets: Sets) -> NDArray[np.uint8]:
    """Canvases of test digits, each beside the shipped maps of its four classes."""
    compute = shipped("mnist-maps")
    rows = [
        canvas_row(canvas, pixel_maps(compute(canvas), canvas.image.shape))
        for name, count in (("clean", 1), ("clutter", 3))
        for canvas in sets["test", name][:count]
    ]
    return np.vstack(rows)


def canvas_row(canvas: DigitCanvas, pixels: PixelMaps, scale: int = 2) -> NDArray[np.uint8]:
    """The canvas, and for each of its classes the map over it, the class's box and the peak."""
    tiles = [cv2.cvtColor(canvas.image, cv2.COLOR_GRAY2BGR)]
    for label in canvas.labels:
        tile = tiles[0] // 2
        heat = np.zeros(canvas.image.shape, np.float32)
        plane = pixels.values[label].clip(0, None)
        height, width = plane.shape
        heat[pixels.top : pixels.top + height, pixels.left : pixels.left + width] = plane
        level = (255 * heat / max(float(heat.max()), 1e-6)).astype(np.uint8)
        tiles.append(cv2.add(tile, cv2.applyColorMap(level, cv2.COLORMAP_INFERNO)))
    large = [
        cv2.resize(tile, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
        for tile in tiles
    ]
    for tile, label, box in zip(large[1:], canvas.labels, canvas.boxes, strict=True):
        x0, y0, x1, y1 = (int(scale * v) for v in box)
        cv2.rectangle(tile, (x0, y0), (x1 - 1, y1 - 1), (120, 220, 120), 1)
        peak = pixels.peak(label)
        if peak is not None:
            at = (scale * peak[0], scale * peak[1])
            cv2.drawMarker(tile, at, (255, 255, 0), cv2.MARKER_CROSS, 9, 1)
        cv2.putText(tile, str(label), (4, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255), 1)
    edge = np.full((large[0].shape[0], 4, 3), 60, np.uint8)
    parts = [part for tile in large for part in (tile, edge)][:-1]
    line = np.full((4, sum(part.shape[1] for part in parts), 3), 60, np.uint8)
    return np.vstack([np.hstack(parts), line])


BENCHMARK = Benchmark(
    measure, to_markdown, add_arguments, markers="class-maps", versions=(*PACKAGES, "torch")
)

if __name__ == "__main__":
    BENCHMARK.main()
