"""Graphs of a bundle in the formats of other runtimes, each run there and compared.

    ort       ONNX Runtime's own: for its reduced builds on telephones and microcontrollers
    openvino  OpenVINO's intermediate representation, .xml and .bin, in single precision
    ncnn      ncnn's .param and .bin, in single precision; takes floats 0 to 255, one image a time.
              ncnn itself rounds to half floats unless told not to

simrun does not read them: they are for programs that have such a runtime already.
"""

from __future__ import annotations

import importlib
import logging
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from simrun.bundle.load import CLASSIFIER_FILE, LOCALIZER_FILE, READER_FILE
from simrun.errors import ModelError, UsageError, first_line
from simtool.export.bundle_graphs import BundleGraphs
from simtool.export.parity import Shape, difference

log = logging.getLogger(__name__)

TOLERANCE: Final = 1e-4
"""Largest difference from ONNX Runtime on the same graph, in units of the largest value where that
is above 1: the runtimes add in other orders."""

_MOST_SHAPES: Final = 5
_CONVERSION_S: Final = 300

Run = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True)
class Graph:
    """One ONNX graph of a bundle."""

    stem: str
    """File name without its ending."""
    content: bytes
    shapes: Sequence[Shape]
    """Inputs (N, C, H, W) to compare at."""


def require_format(name: str, int8: bool = False) -> None:
    """Make sure that a format's converter is installed, and takes graphs in 8 bits where asked to.

    Raises:
        UsageError: it is not, or does not, or there is no such format.
    """
    if name not in FORMATS:
        raise UsageError(f"--format {name} is unknown; known: {', '.join(FORMATS)}")
    if int8 and name not in _INT8:
        raise UsageError(
            f"--format {name} does not go with --int8: its runtime has quantized arithmetic of its "
            "own, or none; export without --int8"
        )
    for package in _PACKAGES[name]:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise UsageError(
                f"--format {name} needs the package '{package}': pip install 'similarnet[formats]'"
            ) from error


def convert_all(
    names: Iterable[str], graphs: BundleGraphs, files: Mapping[str, bytes]
) -> tuple[dict[str, bytes], dict[str, float]]:
    """A bundle's graphs in formats of other runtimes.

    Args:
        names: of `FORMATS`.
        graphs: of the bundle; with `plain` where a format is of `WITHOUT_SPACE_TO_DEPTH`.
        files: of the bundle, the graphs among them.

    Returns:
        The converted files by name, and by format how far those are off.

    Raises:
        ModelError: a graph cannot be converted, or differs.
    """
    stem, shapes = Path(LOCALIZER_FILE).stem, graphs.localizer.shapes
    localizer = Graph(stem, files[LOCALIZER_FILE], shapes)
    plain = graphs.plain and Graph(stem, graphs.plain.content, shapes)
    name = next(name for name in (READER_FILE, CLASSIFIER_FILE) if name in files)
    recognition = Graph(Path(name).stem, files[name], graphs.recognition.shapes)
    converted: dict[str, bytes] = {}
    differences = {}
    for name in names:
        readable = plain if name in WITHOUT_SPACE_TO_DEPTH and plain else localizer
        made, differences[name] = convert(name, (readable, recognition))
        converted |= made
    return converted, differences


def convert(name: str, graphs: Iterable[Graph]) -> tuple[dict[str, bytes], float]:
    """Convert graphs, run them by the format's runtime and compare with ONNX Runtime.

    Args:
        name: of `FORMATS`.
        graphs: what to convert.

    Returns:
        The files by name, and the largest difference of any output value.

    Raises:
        ModelError: a graph cannot be converted or run, or differs by more than `TOLERANCE`.
    """
    contents: dict[str, bytes] = {}
    worst = 0.0
    for graph in graphs:
        with tempfile.TemporaryDirectory(prefix="simtool-") as folder:
            try:
                run = FORMATS[name](graph, Path(folder))
                found = _compare(run, graph)
            except (RuntimeError, ValueError, OSError, subprocess.SubprocessError) as error:
                raise ModelError(
                    f"{graph.stem} cannot be had as {name}: {first_line(error)}"
                ) from error
            files = sorted(Path(folder).iterdir())
            contents |= {file.name: file.read_bytes() for file in files}
        if not found <= TOLERANCE:
            raise ModelError(
                f"{graph.stem} as {name} differs by {found:.1e}, more than {TOLERANCE:.0e}; "
                "nothing was written"
            )
        worst = max(worst, found)
    log.info("%s: differs from ONNX by at most %.1e", name, worst)
    return contents, worst


def _compare(run: Run, graph: Graph) -> float:
    """Largest difference from ONNX Runtime on random pictures, one at a time."""
    random = np.random.default_rng(0)
    session = onnxruntime.InferenceSession(graph.content, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    worst = 0.0
    for shape in _single(graph.shapes):
        picture = random.integers(0, 256, shape, dtype=np.uint8)
        expected = session.run(None, {name: picture})[0]
        actual = run(picture)
        if actual.shape != expected.shape:
            raise ValueError(f"input {shape} gives {actual.shape}, not {expected.shape}")
        worst = max(worst, difference(actual, expected))
    return worst


def _single(shapes: Sequence[Shape]) -> list[Shape]:
    """Different shapes of one image each."""
    return sorted({(1, *shape[1:]) for shape in shapes})[:_MOST_SHAPES]


def _to_ort(graph: Graph, folder: Path) -> Run:
    path = folder / f"{graph.stem}.ort"
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Rewrites beyond these are for the processor that they were made on.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(path)
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(graph.content, options, providers=["CPUExecutionProvider"])
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda picture: np.asarray(session.run(None, {name: picture})[0], np.float32)


def _to_openvino(graph: Graph, folder: Path) -> Run:
    openvino = importlib.import_module("openvino")
    model = openvino.Core().read_model(graph.content)
    path = folder / f"{graph.stem}.xml"
    openvino.save_model(model, str(path), compress_to_fp16=False)
    full = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(path), "CPU", full)
    return lambda picture: np.array(compiled(picture)[0], np.float32)


def _to_ncnn(graph: Graph, folder: Path) -> Run:
    ncnn = importlib.import_module("ncnn")
    files = [folder / f"{graph.stem}.ncnn.{ending}" for ending in ("param", "bin")]
    _run_pnnx(graph, files)
    net = ncnn.Net()
    # By default it rounds to half floats, which would hide what the files are worth.
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    if net.load_param(str(files[0])) or net.load_model(str(files[1])):
        many = len(_single(graph.shapes)) > 1
        hint = "; one size alone may go: add --static 480x640" if many else ""
        raise ValueError(f"ncnn does not load what pnnx made{hint}")

    def run(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        extractor = net.create_extractor()
        # Mat takes the array's address without holding it, and is worked on in place.
        values = picture[0].astype(np.float32)
        extractor.input("in0", ncnn.Mat(values).clone())
        failed, output = extractor.extract("out0")
        if failed:
            raise ValueError(f"ncnn fails on an input of shape {picture.shape}")
        return np.array(output, np.float32)[None]

    return run


def _run_pnnx(graph: Graph, files: Sequence[Path]) -> None:
    """Write .param and .bin. Raises an error of subprocess where pnnx ends with one."""
    pnnx = importlib.import_module("pnnx")
    # Two sizes tell pnnx which axes are not fixed.
    sizes = [",".join(map(str, shape)) for shape in _single(graph.shapes)[:2]]
    inputs = [f"inputshape{key}=[{size}]f32" for key, size in zip(("", "2"), sizes, strict=False)]
    with tempfile.TemporaryDirectory(prefix="simtool-") as scratch:
        source = Path(scratch) / "graph.onnx"
        source.write_bytes(_with_float_input(graph.content))
        outputs = [f"ncnnparam={files[0]}", f"ncnnbin={files[1]}", "fp16=0"]
        subprocess.run(
            [pnnx.EXEC_PATH, source.name, *inputs, *outputs],
            cwd=scratch,
            check=True,
            capture_output=True,
            timeout=_CONVERSION_S,
        )


def _with_float_input(content: bytes) -> bytes:
    """The graph without the conversion from bytes, an operator that ncnn does not have."""
    model = onnx.load_model_from_string(content)
    source = model.graph.input[0]
    for node in [n for n in model.graph.node if n.op_type == "Cast" and n.input[0] == source.name]:
        for other in model.graph.node:
            other.input[:] = [source.name if i == node.output[0] else i for i in other.input]
        model.graph.node.remove(node)
    source.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    changed: bytes = model.SerializeToString()
    return changed


FORMATS: Final[Mapping[str, Callable[[Graph, Path], Run]]] = {
    "ort": _to_ort,
    "openvino": _to_openvino,
    "ncnn": _to_ncnn,
}
"""Writes a graph's files into a folder, and gives what runs them."""

_INT8: Final = ("ort",)
"""The others were tried: OpenVINO's H is up to 0.07 off, ncnn does not load what pnnx makes."""

WITHOUT_SPACE_TO_DEPTH: Final = ("ncnn",)
"""Takes graphs without `simtool.export.optimize.space_to_depth`: its converter does not survive
SpaceToDepth."""

_PACKAGES: Final[Mapping[str, Sequence[str]]] = {
    "ort": (),
    "openvino": ("openvino",),
    "ncnn": ("pnnx", "ncnn"),
}
