"""Every weighting of one trained network on annotated photos, side by side.

    SIMTOOL_DATA=... python -m benchmarks.accuracy.weightings mnist-lenet DATASET [--side 640]
    python -m benchmarks.accuracy.weightings scene-text DATASET [--side 480] [--data MATERIAL]

The network of the bundle is exported once a weighting; the raw map's best px F1 over all
thresholds needs no regions step, so nothing but the weights differs. Writes
weightings-MODEL.json beside this file and prints a Markdown table. For a network with a
background class the trained head stands beside as the upper bound and, with its MATERIAL, a deeper
head: see readouts.py.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.heatmap_curve import map_curve
from benchmarks.harness.console import make_parser, one_line_errors
from benchmarks.readouts import compare
from simrun.bundle.load import load_bundle
from simrun.images.read import to_grey
from simrun.inference.session import Engine, EngineConfig
from simrun.localization.heatmap import Heatmap, compute_heatmap
from simrun.localization.preprocess import prepare
from simtool.data import load_split
from simtool.data.annotations import AnnotatedSet, load_annotations
from simtool.export.origin import Origin, open_origin
from simtool.export.pipeline import export_bundle
from simtool.export.presets import with_defaults
from simtool.weighting.weigh import WeightingOptions

VARIANTS = {
    "uniform": ("uniform", WeightingOptions()),
    "paper-printed": ("paper-printed", WeightingOptions()),
    "paper-code": ("paper-code", WeightingOptions()),
    "softmax, standardised": ("softmax", WeightingOptions(standardise=True)),
    "signed": ("signed", WeightingOptions()),
}


@one_line_errors("weightings")
def main() -> None:
    """Export, run and compare."""
    parser = make_parser(__doc__)
    parser.add_argument("model")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--subset", type=int, default=80)
    parser.add_argument("--side", type=int, default=640)
    parser.add_argument("--data", type=Path, help="of scene-text: the material of its scenes")
    options = parser.parse_args()
    dataset = load_annotations(options.dataset).sample(options.subset)
    origin = open_origin(Path(options.model))
    background = origin.checkpoint.build().spec.contrast
    if background is not None:
        rows = compare(origin, dataset, options.side, options.data)
    else:
        rows = compare_exports(origin, dataset, options.side)
    record = {
        "command": f"benchmarks.accuracy.weightings {options.model} {options.dataset.name} "
        f"--subset {options.subset} --side {options.side}",
        "pictures": len(dataset.images),
        "fully_annotated": sum(image.exhaustive for image in dataset.images),
        "weightings": rows,
    }
    out = Path(__file__).with_name(f"weightings-{Path(options.model).name}.json")
    out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(
        "| weighting | relative entropy | raw map, best px F1 | at threshold |\n|---|---|---|---|"
    )
    for name, row in rows.items():
        print(
            f"| {name} | {row['relative_entropy'] or '-'} | {row['map_px_F1']:.3f} "
            f"| {row['threshold']:.3f} |"
        )


def compare_exports(origin: Origin, dataset: AnnotatedSet, side: int) -> dict[str, dict[str, Any]]:
    """Export the network once a weighting and measure its raw map."""
    rows = {}
    for name, (method, weights) in VARIANTS.items():
        print(f"{name} ...", file=sys.stderr)
        export = dataclasses.replace(
            with_defaults(origin.previous), weighting=method, weights=weights
        )
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "bundle"
            report = export_bundle(
                origin, export, target, lambda split: load_split(origin.data, split, None)
            )
            threshold, f1 = map_curve(dataset, computer(target, side)).best
        rows[name] = {
            "relative_entropy": round(report.weighting.relative_entropy, 4),
            "map_px_F1": round(f1, 4),
            "threshold": round(threshold, 4),
        }
    return rows


def computer(folder: Path, side: int) -> Callable[[NDArray[np.uint8]], Heatmap]:
    """Frame -> heatmap by the bundle in a folder."""
    bundle = load_bundle(folder)
    engine = Engine(bundle.localizer, EngineConfig(), what="localizer.onnx")

    def compute(frame: NDArray[np.uint8]) -> Heatmap:
        return compute_heatmap(engine, bundle.meta, prepare(to_grey(frame), side))

    return compute


if __name__ == "__main__":
    main()
