"""Every weighting of one trained network on annotated photos, side by side.

    SIMTOOL_DATA=... python -m benchmarks.accuracy.weightings mnist-lenet DATASET [--side 640]
    python -m benchmarks.accuracy.weightings scene-text DATASET [--side 480] [--data MATERIAL]

The raw map's best px F1 over all thresholds needs no regions step, so nothing but the weights
differs. The network of the bundle is exported once a weighting; one with a background class needs
no export: its trunk's maps are summed by each weighting's numbers, the trained head stands beside
as the upper bound and, with its MATERIAL, a deeper head. Writes weightings.json beside this file,
where other models' figures stay, and the table of RESULTS.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.accuracy.heatmap_curve import map_curve
from benchmarks.harness.benchmark import PACKAGES, Benchmark, circumstances, follow, table
from benchmarks.harness.record import Record
from simrun.bundle.load import load_bundle
from simrun.images.read import to_grey
from simrun.inference.session import Engine, EngineConfig
from simrun.localization.heatmap import compute_heatmap
from simrun.localization.preprocess import prepare
from simrun.result import Heatmap
from simtool.ablation.job import ablate_target
from simtool.ablation.measure import AblationOptions, Provenance
from simtool.ablation.record import AblationRecord
from simtool.ablation.target import Target
from simtool.data import LabelledImages, load_split
from simtool.data.annotations import AnnotatedSet, load_annotations
from simtool.data.labels import IGNORE
from simtool.data.tensors import to_tensors
from simtool.distributed import ALONE
from simtool.export.ablated_model import AblatedModel, open_ablated
from simtool.export.geometry import trunk_geometry
from simtool.export.pipeline import export_bundle
from simtool.export.presets import with_defaults
from simtool.nets import SplitNet
from simtool.nets.scene_text import make_head
from simtool.weighting.weigh import WeightingOptions, weigh

WEIGHTINGS: Final = {
    "uniform": ("uniform", WeightingOptions()),
    "paper-printed": ("paper-printed", WeightingOptions()),
    "paper-code": ("paper-code", WeightingOptions()),
    "softmax, standardised": ("softmax", WeightingOptions(standardise=True)),
    "signed (logit)": ("signed", WeightingOptions()),
    "signed (loss)": ("signed", WeightingOptions(criterion="loss")),
}
"""Name -> weighting and its options."""

Grey = NDArray[np.uint8]
Summing = Callable[[Tensor], Tensor]
"""Maps (K, h, w) -> (h, w)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("model")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--subset", type=int, default=80)
    parser.add_argument("--side", type=int, default=640)
    parser.add_argument("--data", type=Path, help="of scene-text: the material of its scenes")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Every weighting of the model on the photos."""
    dataset = load_annotations(options.dataset).sample(options.subset)
    ablated = open_ablated(Path(options.model))
    net = ablated.checkpoint.build()
    if isinstance(net, SplitNet) and net.spec.contrast is not None:
        rows = compare_readouts(net, ablated, dataset, options.side, options.data)
    else:
        rows = compare_exports(ablated, dataset, options.side)
    found = {
        "side": options.side,
        "pictures": len(dataset.images),
        "fully_annotated": sum(image.exhaustive for image in dataset.images),
        "weightings": rows,
    }
    return {"models": {Path(options.model).name: found}}


def to_markdown(record: Record) -> str:
    """A row a weighting, a column a model and head: best px F1 of the raw map."""
    columns: dict[str, dict[str, float]] = {}
    for model, found in record["models"].items():
        for title, row in found["weightings"].items():
            head, _, name = title.rpartition(": ")
            column = f"{model} @ {found['side']}" + (f", {head}" if head else "")
            columns.setdefault(column, {})[name] = row["map_px_F1"]
    names = dict.fromkeys(name for column in columns.values() for name in column)
    rows = [
        [name, *(f"{one[name]:.3f}" if name in one else "-" for one in columns.values())]
        for name in names
    ]
    photos = max(found["fully_annotated"] for found in record["models"].values())
    note = f"({circumstances(record)}; best px F1 of the raw map, {photos} photos)"
    return f"{note}\n\n{table(['weighting', *columns], rows)}"


def compare_exports(
    ablated: AblatedModel, dataset: AnnotatedSet, side: int
) -> dict[str, dict[str, Any]]:
    """Export the network once a weighting and measure its raw map."""
    rows = {}
    for name, (method, weights) in follow(list(WEIGHTINGS.items()), "weighting"):
        export = dataclasses.replace(
            with_defaults(ablated.previous), weighting=method, weights=weights
        )
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "bundle"
            report = export_bundle(
                ablated,
                export,
                target,
                lambda split: load_split(ablated.provenance.data, split, None),
            )
            entropy = round(report.weighting.relative_entropy, 4)
            rows[name] = {"relative_entropy": entropy, **_best(dataset, computer(target, side))}
    return rows


def _best(dataset: AnnotatedSet, compute: Callable[[Grey], Heatmap]) -> dict[str, float]:
    threshold, f1 = map_curve(dataset, compute).best
    return {"map_px_F1": round(f1, 4), "threshold": round(threshold, 4)}


def computer(folder: Path, side: int) -> Callable[[Grey], Heatmap]:
    """Frame -> heatmap by the bundle in a folder."""
    bundle = load_bundle(folder)
    engine = Engine(bundle.localizer, EngineConfig(), what="localizer.onnx")

    def compute(frame: Grey) -> Heatmap:
        return compute_heatmap(engine, bundle.meta, prepare(to_grey(frame), side))

    return compute


def compare_readouts(
    net: SplitNet, ablated: AblatedModel, dataset: AnnotatedSet, side: int, data: Path | None
) -> dict[str, dict[str, Any]]:
    """Rows "head: readout", for the head that was trained and for a deeper one.

    The trunk's maps F of a photo are computed once; each readout is a weighted sum of them, or a
    head applied to every cell. The best px F1 over all thresholds does not depend on an affine or
    a monotonous function, so the raw sums are compared.

    Args:
        net: a network with a background class and a head of 1x1 convolutions.
        ablated: where it comes from, ablated.
        dataset: annotated photos.
        side: working side in pixels.
        data: the training material, for the deeper head; None leaves that out.
    """
    torch.set_num_threads(1)
    maps = _Maps(net, side)
    rows = dict(_rows("linear head", net.head, ablated.ablation, net, maps, dataset))
    if data is not None:
        scenes = load_split(ablated.provenance.data, ablated.ablation.split, data)
        half = len(scenes) // 2
        head = fit_head(net.trunk, scenes.subset(slice(half)), make_head((32, 32), 2))
        record = ablate_head(net, head, scenes.subset(slice(half, half + 100)))
        rows |= dict(_rows("deeper head", head, record, net, maps, dataset))
    return rows


class _Maps:
    """The trunk's maps of photos, computed once a photo."""

    def __init__(self, net: SplitNet, side: int) -> None:
        self._net, self._side = net, side
        self._kept: dict[bytes, tuple[Tensor, Heatmap]] = {}
        self._geometry = trunk_geometry(net.trunk)

    def heatmap(self, read: Summing, frame: Grey) -> Heatmap:
        key = hashlib.sha1(frame.tobytes()).digest()
        if key not in self._kept:
            self._kept[key] = self._run(frame)
        maps, grid = self._kept[key]
        with torch.inference_mode():
            values = read(maps).numpy()[np.newaxis]
        return dataclasses.replace(grid, values=values)

    def _run(self, frame: Grey) -> tuple[Tensor, Heatmap]:
        working = prepare(to_grey(frame), self._side)
        with torch.inference_mode():
            maps = self._net.trunk(torch.from_numpy(working.image).float() / 255)[0]
        stride, offset = self._geometry.stride, self._geometry.offset
        rows, columns = (int((n - 1 - offset) // stride) + 1 for n in working.content)
        origin = (offset + 0.5) / working.scale - 0.5
        empty = np.zeros((1, 1, 1), np.float32)
        return maps[:, :rows, :columns], Heatmap(empty, stride / working.scale, origin)


def _rows(
    title: str,
    head: nn.Module,
    record: AblationRecord,
    net: SplitNet,
    maps: _Maps,
    dataset: AnnotatedSet,
) -> Iterator[tuple[str, dict[str, Any]]]:
    background = net.spec.background
    for name, (method, options) in WEIGHTINGS.items():
        weighting = weigh(record, method, dataclasses.replace(options, background=background))
        weights = torch.tensor(weighting.values[0], dtype=torch.float32)
        summed: Summing = partial(torch.tensordot, weights, dims=1)
        row = _best(dataset, partial(maps.heatmap, summed))
        entropy = round(weighting.relative_entropy, 4)
        yield f"{title}: {name}", {"relative_entropy": entropy, **row}
    trained = _best(dataset, partial(maps.heatmap, lambda f: _log_odds(head(f[None]))[0]))
    yield f"{title}: trained readout", {"relative_entropy": None, **trained}


def _log_odds(logits: Tensor) -> Tensor:
    """Log odds (N, h, w) of text from logits (N, 2, h, w)."""
    return logits[:, 1] - logits[:, 0]


def fit_head(
    trunk: nn.Module, scenes: LabelledImages, head: nn.Sequential, steps: int = 1500
) -> nn.Sequential:
    """Fit a head to a frozen trunk's maps at windows of scenes, as many with text as without."""
    random = np.random.default_rng(0)
    features, targets = [], []
    for index in range(len(scenes)):
        images, labels = to_tensors(scenes, np.array([index]))
        with torch.no_grad():
            maps = trunk(images)[0].flatten(1).T
        flat = labels.flatten().numpy()
        for kind in (0, 1):
            found = np.flatnonzero((flat == kind) & (flat != IGNORE))
            picked = random.choice(found, min(160, len(found)), replace=False)
            features.append(maps[torch.from_numpy(picked)])
            targets.append(torch.full((len(picked),), kind))
    x, y = torch.cat(features)[:, :, None, None], torch.cat(targets)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        head.apply(lambda m: m.reset_parameters() if isinstance(m, nn.Conv2d) else None)
        optimizer = torch.optim.Adam(head.parameters(), 5e-3)
        for _ in range(steps):
            batch = torch.randint(len(x), (2048,))
            loss = nn.functional.cross_entropy(head(x[batch])[:, :, 0, 0], y[batch])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
    return head.eval()


def ablate_head(net: SplitNet, head: nn.Module, scenes: LabelledImages) -> AblationRecord:
    """The ablation of the trunk's last layer before another head."""
    target = Target(
        network=SplitNet(net.spec, net.trunk, head).eval(),
        read=lambda indices: to_tensors(scenes, indices),
        count=len(scenes),
        provenance=Provenance(net.spec.layer, scenes.split, scenes.sha256, "", net.spec.classes),
    )
    return ablate_target(target, AblationOptions(resamples=2), ALONE, deletion=False)


BENCHMARK: Final = Benchmark(
    measure,
    to_markdown,
    add_arguments,
    markers="weightings",
    kept="models",
    versions=(*PACKAGES, "torch"),
)

if __name__ == "__main__":
    BENCHMARK.main()
