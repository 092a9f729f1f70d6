"""What every detector of the comparison looks like from outside."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.console import BenchmarkError

Frame = NDArray[np.uint8]
"""(H, W, 3) BGR."""
Quads = Sequence[Sequence[tuple[float, float]]]
"""Four corners (x, y) each, in pixels of the frame."""


class MissingPeerError(BenchmarkError):
    """A detector's library or model is not on this machine."""


@dataclass(frozen=True)
class ModelFile:
    """The network behind a detector."""

    name: str
    sha256: str
    size: int
    """Of the ONNX file, in bytes."""
    numbers: int
    """Floating-point numbers stored in the graph: kernels, biases and what else it keeps."""

    @classmethod
    def of(cls, name: str, content: bytes) -> ModelFile:
        """Describe an ONNX file by its content."""
        return cls(name, hashlib.sha256(content).hexdigest(), len(content), count_numbers(content))


@dataclass(frozen=True)
class Card:
    """Which detector this is."""

    family: str
    """Detectors that differ in the side alone are one family, and one curve of the plot."""
    side: int
    """Longer side in pixels that a frame is shrunk to first."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    model: ModelFile | None = None
    ours: bool = False

    @property
    def name(self) -> str:
        """Family and side, unique in a run."""
        return f"{self.family} @ {self.side}"


class Detector(Protocol):
    """Anything that finds text in a frame."""

    card: Card

    def detect(self, frame: Frame) -> Quads:
        """Text regions of one decoded frame."""
        ...


def count_numbers(content: bytes) -> int:
    """Floating-point numbers stored in an ONNX graph, as initializers or as constants."""
    import onnx

    graph = onnx.load_model_from_string(content).graph
    constants = [
        attribute.t
        for node in graph.node
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.name == "value"
    ]
    kinds = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE)
    tensors = [t for t in [*graph.initializer, *constants] if t.data_type in kinds]
    return sum(int(np.prod(tensor.dims)) for tensor in tensors)
