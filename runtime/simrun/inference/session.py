"""ONNX Runtime, set up for a small computer that has other things to do."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from simrun.errors import ModelError, UsageError, first_line
from simrun.inference.graph_limits import check_graph
from simrun.inference.providers import (
    RECORD_ENTRY,
    Provider,
    find_provider,
    operators_elsewhere,
    require_used,
)

_log = logging.getLogger(__name__)

MAX_THREADS: Final = 256
"""ONNX Runtime starts as many as it is told to, until the computer stands still."""
_SHOWN: Final = 300
"""Characters of ONNX Runtime's messages that are passed on."""
_ARENA_BYTES: Final = 16 << 20
"""Address space of the arena's first block; what no layer has used takes no memory. In smaller
blocks layers of different sizes leave gaps: benchmarks/RESULTS.md, resident memory."""


@dataclass(frozen=True)
class EngineConfig:
    """How a graph is run."""

    threads: int = 1
    """Threads inside one operator; more than one seldom pays for networks this small."""
    provider: str | None = None
    """Execution provider, a name of `simrun.inference.providers`; None takes the CPU."""

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
            UsageError: the provider asked for is not in this build of ONNX Runtime, or cannot run
                the graph.
            ModelError: the graph holds what `check_graph` refuses, ONNX Runtime cannot load it, or
                its inputs and outputs are not one each.
        """
        provider = find_provider(config.provider)
        check_graph(graph, what)
        try:
            # ONNX Runtime has an exception type per status code and no public base.
            self._session = ort.InferenceSession(
                graph,
                _session_options(config, provider),
                providers=[(provider.ort_name, provider.options_for(config.threads))],
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
            raise ModelError(
                f"ONNX Runtime cannot load {what}: {first_line(error)[:_SHOWN]}"
            ) from error
        require_used(self._session, provider, what)
        self.provider: Provider = provider
        """What runs the graph."""
        self.elsewhere: str = operators_elsewhere(self._session, provider)
        """The operators that the CPU runs for the provider, in words; empty where none."""
        self.what = what
        """The graph's file name."""
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
                f"{self.what} failed on an input of shape {batch.shape}: "
                f"{first_line(error)[:_SHOWN]}"
            ) from error


def _session_options(config: EngineConfig, provider: Provider) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1 if provider.has_own_threads else config.threads
    options.inter_op_num_threads = 1
    _share_arena()
    options.add_session_config_entry("session.use_env_allocators", "1")
    # A plan of the memory for each size of input is kept beside what the first call took, and made
    # no call faster.
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    # Idle threads that spin are a little faster back to back, and a busy core all the time.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry(*RECORD_ENTRY)
    return options


@functools.cache
def _share_arena() -> None:
    """One arena for all graphs of the process: in turns they use the same memory."""
    place = ort.OrtMemoryInfo(
        "Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT
    )
    sizes = ort.OrtArenaCfg({"initial_chunk_size_bytes": _ARENA_BYTES})
    try:
        ort.create_and_register_allocator(place, sizes)
    except RuntimeError as error:
        # The program that we are part of shares one already: that one serves, or each has its own.
        _log.debug("no shared arena of our own: %s", first_line(error))
