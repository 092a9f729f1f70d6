"""Static shapes and int8 against the shipped bundles: instructions, time, memory and scores.

    python -m benchmarks.speed.variants EMULATOR DATASET --material MATERIAL

EMULATOR is a folder that benchmarks/arm/setup.sh filled, DATASET has annotated photos, MATERIAL is
what the scenes of scene-text are made from (`simtool fetch scene-text`); MNIST is found by
SIMTOOL_DATA. Variants of a bundle:

    dynamic     as shipped
    as trained  the layers one by one, nothing folded, run once for each polarity
    static      the shipped graph with the input fixed to 1 x 480 x 640
    int8 all    quantised by ONNX Runtime: QDQ, per channel, static
    int8        what `simtool export --int8` makes: the inner convolutions alone

The ranges are those of 64 pictures of what the model was trained on, digits laid on canvases, or
scenes; --int8 takes three of four of them. Frames of 4:3 at side 640; whole frames of scene-text
are counted at two smaller sides too. Times are taken in turns, the memory in processes of their
own. Writes variants.json beside this file and the table of RESULTS.md.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)

from benchmarks.arm.count import choose_photos, count, our_calls
from benchmarks.arm.emulator import Emulator
from benchmarks.harness.benchmark import Benchmark, heading, in_turns, table
from benchmarks.harness.record import Record, Samples, spread
from simrun import Localizer
from simrun.bundle.load import LOCALIZER_FILE, METADATA_KEY, Bundle, load_bundle
from simrun.sources.demo import draw_scene
from simtool.data import load_split
from simtool.data.annotations import AnnotatedSet, load_annotations
from simtool.data.canvases import compose
from simtool.data.text.splits import open_store
from simtool.evaluation.evaluate import evaluate, predict
from simtool.export.graphs import localizer_to_onnx
from simtool.export.onnx_graph import embed
from simtool.export.origin import open_origin
from simtool.export.pipeline import build_localizer, export_bundle
from simtool.export.presets import with_defaults
from simtool.export.writer import write_with_metadata

MODELS = ("mnist-lenet", "scene-text")
BOARDS = ("pi4", "pi5")
SIZE = (480, 640)
SIDE = 640
FRAMES = (("scene-text", "dynamic"), ("scene-text", "int8"))
FRAME_SIDES = (640, 456, 320)
CALIBRATION = 64
ROUNDS = 60
WARMUP = 3


class Pictures(CalibrationDataReader):  # type: ignore[misc]
    """Calibration pictures, each once."""

    def __init__(self, pictures: Iterator[NDArray[np.uint8]]) -> None:
        """Takes (H, W) uint8."""
        self._pictures = pictures

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """The next input, or None at the end."""
        picture = next(self._pictures, None)
        return None if picture is None else {"image": picture[None, None]}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("emulator", type=Path)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--material", type=Path, required=True)
    parser.add_argument("--subset", type=int, default=80, help="photos that are scored")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All figures of every variant, and what they were measured on."""
    dataset = load_annotations(options.dataset)
    with tempfile.TemporaryDirectory() as folder:
        bundles = make_variants(Path(folder), options.material)
        return {
            "dataset": dataset.name,
            "photos": options.subset,
            **measure_bundles(bundles, options.emulator, dataset, options.subset),
        }


def measure_bundles(
    bundles: list[Path], emulator: Path, dataset: AnnotatedSet, subset: int
) -> dict[str, Any]:
    """Figures of bundles, and of whole frames of some."""
    times = measure_times(bundles)
    return {
        "variants": [
            {
                "model": path.parent.name,
                "variant": path.name,
                "infer_cpu_ms": times[path],
                "peak_mib": peak_memory_mib(path),
                "px_f1": px_f1(path, dataset.sample(subset)),
                "infer_minstr": instructions(emulator, path, dataset, SIDE)["infer"],
            }
            for path in bundles
        ],
        "frames": [
            {
                "variant": path.name,
                "side": side,
                "minstr": instructions(emulator, path, dataset, side)["frame"],
            }
            for path in bundles
            if (path.parent.name, path.name) in FRAMES
            for side in FRAME_SIDES
        ],
    }


def make_variants(folder: Path, material: Path) -> list[Path]:
    """Bundles `folder/MODEL/VARIANT`."""
    paths = []
    for model in MODELS:
        shipped = load_bundle(model)
        localizers = {
            "dynamic": shipped.localizer,
            "as trained": export_as_trained(shipped),
            "static": fix_size(shipped.localizer),
            "int8 all": quantize_all(shipped.localizer, calibration_pictures(model, material)),
            "int8": export_int8(shipped, calibration_pictures(model, material)),
        }
        for name, content in localizers.items():
            size = SIZE if name == "static" else None
            path = folder / model / name
            meta = replace(shipped.meta, static_size=size, side=SIDE)
            write_with_metadata(replace(shipped, localizer=content), meta, path, overwrite=False)
            paths.append(path)
    return paths


def export_as_trained(shipped: Bundle) -> bytes:
    """The localizer of the model without what `simtool export` does to make it cheaper."""
    origin = open_origin(shipped.path)
    options = with_defaults(origin.previous)
    built = build_localizer(origin, options, lambda split: load_split(origin.data, split, None))
    return embed(localizer_to_onnx(built.graph, built.spec, None), METADATA_KEY, "")


def fix_size(content: bytes) -> bytes:
    """The graph for one picture of `SIZE`."""
    model = onnx.load_model_from_string(content)
    for axis, size in zip(
        model.graph.input[0].type.tensor_type.shape.dim, (1, 1, *SIZE), strict=True
    ):
        axis.dim_value = size
    for value in (*model.graph.output, *model.graph.value_info):
        value.type.tensor_type.ClearField("shape")
    return embed(onnx.shape_inference.infer_shapes(model), METADATA_KEY, "")


def quantize_all(localizer: bytes, pictures: Iterator[NDArray[np.uint8]]) -> bytes:
    """The localizer with all that ONNX Runtime can quantize in 8 bits, weights in 7."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / LOCALIZER_FILE, Path(folder) / "int8.onnx"
        source.write_bytes(localizer)
        quantize_static(
            source,
            target,
            Pictures(pictures),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return target.read_bytes()


def export_int8(shipped: Bundle, pictures: Iterator[NDArray[np.uint8]]) -> bytes:
    """The localizer of the model as `simtool export --int8` writes it."""
    origin = open_origin(shipped.path)
    with tempfile.TemporaryDirectory() as name:
        folder, target = Path(name) / "pictures", Path(name) / shipped.path.name
        folder.mkdir()
        for index, picture in enumerate(pictures):
            cv2.imwrite(str(folder / f"{index:03d}.png"), picture)
        options = replace(with_defaults(origin.previous), int8=folder)
        export_bundle(origin, options, target, lambda split: load_split(origin.data, split, None))
        return load_bundle(target).localizer


def calibration_pictures(model: str, material: Path) -> Iterator[NDArray[np.uint8]]:
    """Pictures (H, W) uint8 as the model was trained on."""
    if model == "scene-text":
        yield from open_store(material, 0, CALIBRATION).read(np.arange(CALIBRATION)).images
        return
    digits = load_split("mnist", "train", None)
    rng = np.random.default_rng(0)
    for _ in range(CALIBRATION):
        yield compose(digits.images[:, 0], digits.labels, rng, clutter=40).image


def measure_times(paths: list[Path]) -> dict[Path, Samples]:
    """CPU milliseconds of the network, all bundles in turns."""
    localizers = {
        path: Localizer(load_bundle(path), classify=False, clock=time.process_time)
        for path in paths
    }
    times = {path: Samples() for path in paths}
    for turn, order in in_turns(paths, range(WARMUP + ROUNDS)):
        frame = draw_scene(turn * 0.1)
        for path in order:
            latency = localizers[path](frame).latency_ms
            if turn >= WARMUP:
                times[path].append(round(latency.infer, 3))
    return times


def peak_memory_mib(path: Path) -> float:
    """Of a process that runs frames of one size, in MiB."""
    code = (
        "from simrun import Localizer; from simrun.sources.demo import draw_scene\n"
        "from simrun.diagnostics.machine import read_peak_memory_mib\n"
        f"run = Localizer.load({str(path)!r}, classify=False)\n"
        "for turn in range(20): run(draw_scene(turn * 0.1))\n"
        "print(read_peak_memory_mib())"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return round(float(done.stdout), 1)


def px_f1(path: Path, dataset: AnnotatedSet) -> float:
    """Pixel F1 on annotated photos, at the bundle's own thresholds."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "predictions.jsonl"
        record = predict(Localizer.load(path, classify=False), dataset, target)
        scores = evaluate(dataset, target, record).scores["all"]
    return round(next(iter(scores.values())).px_f1, 4)


def instructions(
    emulator: Path, path: Path, dataset: AnnotatedSet, side: int
) -> dict[str, dict[str, float]]:
    """Millions of arm64 instructions in one frame, of the network and of all, by board."""
    (call,) = our_calls([f"{path}:{side}"])
    photos = choose_photos(dataset, 1)
    counts = {board: count(Emulator(emulator, board), call, photos) for board in BOARDS}
    return {
        "infer": {board: one["stages"]["infer"]["total"] for board, one in counts.items()},
        "frame": {board: one["call"]["total"] for board, one in counts.items()},
    }


def to_markdown(record: Record) -> str:
    """A table, one row a variant, and one of whole frames; times are medians with quartiles."""
    medians = {
        (one["model"], one["variant"]): one["infer_cpu_ms"]["median"] for one in record["variants"]
    }
    rows = [
        [
            one["model"],
            one["variant"],
            *(f"{one['infer_minstr'][board]:.1f}" for board in BOARDS),
            spread(one["infer_cpu_ms"]),
            f"{medians[one['model'], one['variant']] / medians[one['model'], 'dynamic']:.2f}",
            f"{one['peak_mib']:.0f}",
            f"{one['px_f1']:.3f}",
        ]
        for one in record["variants"]
    ]
    heads = ["model", "variant", "network on cortex-a72, M instructions", "on cortex-a76"]
    heads += ["on x86-64, CPU ms", "ratio", "peak MiB", "px F1"]
    rounds = record["variants"][0]["infer_cpu_ms"]["n"]
    note = (
        f"one thread, {rounds} rounds in turns, frames of 640x480 on "
        f"x86-64; px F1 of {record['photos']} photos of {record['dataset']}"
    )
    title = "Whole frames of scene-text, nothing read, M instructions:"
    return "\n\n".join([heading(record, note), table(heads, rows), title, frames_table(record)])


def frames_table(record: Record) -> str:
    """A table of whole frames, one row a side."""
    frames = {(one["side"], one["variant"]): one["minstr"] for one in record["frames"]}
    rows = [
        [
            side,
            *(
                f"{frames[side, kind][board]:.1f}"
                for board in BOARDS
                for kind in ("dynamic", "int8")
            ),
        ]
        for side in FRAME_SIDES
    ]
    return table(["side", "cortex-a72, dynamic", "int8", "cortex-a76, dynamic", "int8"], rows)


BENCHMARK = Benchmark(__file__, __doc__, measure, to_markdown, add_arguments, markers="variants")

if __name__ == "__main__":
    BENCHMARK.main()
