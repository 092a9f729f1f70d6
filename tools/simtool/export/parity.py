"""Comparison of an exported graph with the PyTorch module that it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import (
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    NotImplemented,  # noqa: A004 - ONNX Runtime's own name
    RuntimeException,
)
from torch import nn

from simrun.errors import ModelError, first_line

TOLERANCE: Final = 1e-5
SIZES: Final = 20

_REFUSALS: Final = (
    *(Fail, InvalidArgument, InvalidGraph, InvalidProtobuf),
    *(NotImplemented, RuntimeException),
)

Shape = tuple[int, int, int, int]


@dataclass(frozen=True)
class ExportedGraph:
    """A graph that gives what PyTorch gives."""

    model: onnx.ModelProto
    shapes: Sequence[Shape]
    """Inputs (N, C, H, W) that it was compared at."""
    difference: float
    """Largest from PyTorch; see `check_parity`."""

    @property
    def content(self) -> bytes:
        """The ONNX file."""
        content: bytes = self.model.SerializeToString(deterministic=True)
        return content


def compared(
    model: onnx.ModelProto,
    module: nn.Module,
    shapes: Sequence[Shape],
    pictures: NDArray[np.uint8] | None = None,
) -> ExportedGraph:
    """The graph, once it gives what the module gives. Arguments and errors as `check_parity`."""
    worst = check_parity(model.SerializeToString(), module, shapes, pictures)
    return ExportedGraph(model, shapes, worst)


def image_shapes(
    smallest: int, channels: int, static: tuple[int, int] | None = None
) -> list[Shape]:
    """Shapes (N, C, H, W) to compare at: odd and even sizes from the smallest, batches 1 to 3."""
    if static is not None:
        return [(1, channels, *static)] * SIZES
    return [
        (1 + i % 3, channels, smallest + 7 * i * i % 97, smallest + (13 * i + 5) % 89)
        for i in range(SIZES)
    ]


def crop_shapes(side: int, channels: int) -> list[Shape]:
    """Shapes (N, C, S, S) to compare a classifier at."""
    return [(n, channels, side, side) for n in (1, 2, 3, 7)]


def strip_shapes(height: int, least: int, greatest: int) -> list[Shape]:
    """Shapes (N, 1, H, W) to compare a reader at: from the least to the greatest width."""
    middle = (least + greatest) // 2
    sizes = [(1, least), (3, 5 * least), (2, middle), (1, greatest)]
    return [(count, 1, height, width) for count, width in sizes]


def check_parity(
    content: bytes,
    module: nn.Module,
    shapes: Sequence[Shape],
    pictures: NDArray[np.uint8] | None = None,
) -> float:
    """Run both on random pictures of these shapes, and on pictures of the data.

    Args:
        content: the ONNX file, taking uint8.
        module: what it was made from.
        shapes: of the inputs.
        pictures: (N, C, H, W), a few.

    Returns:
        The largest `difference` of any output.

    Raises:
        ModelError: it is above `TOLERANCE`, a shape differs, or ONNX Runtime refuses the graph.
    """
    random = np.random.default_rng(0)
    worst = 0.0
    try:
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        inputs = (random.integers(0, 256, shape, dtype=np.uint8) for shape in shapes)
        for picture in chain(inputs, () if pictures is None else (pictures,)):
            actual = session.run(None, {name: picture})[0]
            with torch.inference_mode():
                expected = module(torch.from_numpy(picture)).numpy()
            if actual.shape != expected.shape:
                raise ModelError(
                    f"input {picture.shape} gives {actual.shape} from the graph and "
                    f"{expected.shape} from PyTorch; nothing was written"
                )
            worst = max(worst, difference(actual, expected))
    except _REFUSALS as error:
        raise ModelError(f"ONNX Runtime refuses the exported graph: {first_line(error)}") from error
    if not worst <= TOLERANCE:
        raise ModelError(
            f"graph and PyTorch differ by {worst:.1e}, more than {TOLERANCE:.0e}; "
            "nothing was written"
        )
    return worst


def difference(actual: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """The largest of two arrays of one shape, in units of the largest value where that is above 1.

    Floats have seven digits: logits of 50 cannot agree to 1e-5.
    """
    unit = max(1.0, float(np.abs(expected).max()))
    return float(np.abs(actual - expected).max()) / unit
