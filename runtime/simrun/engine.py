"""ONNX Runtime, set up for a small computer that has other things to do."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from simrun.errors import ModelError, UsageError

_CPU = "CPUExecutionProvider"

MAX_THREADS: Final = 256
"""ONNX Runtime starts as many as it is told to, until the computer stands still."""


@dataclass(frozen=True)
class EngineConfig:
    """How a graph is run.

    The default is not ONNX Runtime's where that harms a small computer: its pool of threads spins
    on every core between frames.
    """

    threads: int = 1
    """Threads inside one operator; more than one seldom pays for networks this small."""
    provider: str | None = None
    """Execution provider, with or without `ExecutionProvider`; None takes the CPU."""
    spin: bool = False
    """Let idle threads spin: a little faster back to back, and a busy core all the time."""
    arena: bool = True
    """Let ONNX Runtime keep its memory between frames, and plan it once for each size of input."""

    def __post_init__(self) -> None:
        """Raise UsageError where the number of threads is not 1 to 256."""
        if not 1 <= self.threads <= MAX_THREADS:
            raise UsageError(f"--threads is {self.threads}; it must be 1 to {MAX_THREADS}")


class Engine:
    """One loaded graph with one input and one output."""

    def __init__(self, graph: bytes, config: EngineConfig, *, what: str) -> None:
        """Load a graph.

        Args:
            graph: the ONNX file's content.
            config: how to run it.
            what: the file's name, for messages.

        Raises:
            UsageError: the provider asked for is not in this build of ONNX Runtime.
            ModelError: ONNX Runtime cannot load the graph, or its inputs and outputs are not one
                each.
        """
        provider = _provider_name(config.provider)
        try:
            # ONNX Runtime has an exception type per status code and no public base.
            self._session = ort.InferenceSession(
                graph,
                _session_options(config),
                providers=[provider],
                # Trying again would print lines on standard output, among the results.
                enable_fallback=0,
            )
            inputs = [value.name for value in self._session.get_inputs()]
            outputs = [value.name for value in self._session.get_outputs()]
            self.custom_metadata: Mapping[str, str] = dict(
                self._session.get_modelmeta().custom_metadata_map
            )
            """The `metadata_props` of the graph."""
        except Exception as error:
            raise ModelError(f"ONNX Runtime cannot load {what}: {_first_line(error)}") from error
        self.provider = self._session.get_providers()[0]
        if self.provider != provider:
            raise ModelError(f"asked for {provider}, ONNX Runtime chose {self.provider} for {what}")
        self._what = what
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelError(
                f"{what} has {len(inputs)} inputs and {len(outputs)} outputs; it must have one each"
            )
        self._input, self._output = inputs[0], outputs[0]

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The graph's output, float32, for a batch of uint8 (N, C, H, W).

        Raises:
            ModelError: the graph does not take this input, or gives no array of numbers.
        """
        try:
            (output,) = self._session.run([self._output], {self._input: batch})
            return np.asarray(output, np.float32)
        except Exception as error:
            raise ModelError(
                f"{self._what} failed on an input of shape {batch.shape}: {_first_line(error)}"
            ) from error


def _session_options(config: EngineConfig) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = config.threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = config.arena
    options.enable_mem_pattern = config.arena
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(config.spin)))
    return options


def _provider_name(asked: str | None) -> str:
    if asked is None:
        return _CPU
    available: list[str] = ort.get_available_providers()
    by_short_name = {name.removesuffix("ExecutionProvider").lower(): name for name in available}
    name = by_short_name.get(asked.lower().removesuffix("executionprovider"))
    if name is None:
        raise UsageError(
            f"--provider {asked} is not in this build of ONNX Runtime {ort.__version__} on "
            f"{platform.machine()}; it has {', '.join(sorted(by_short_name))}"
        )
    return name


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
