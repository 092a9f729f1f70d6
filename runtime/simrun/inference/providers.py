"""Execution providers of ONNX Runtime: what runs the graphs, and what really ran them.

The table is what `--provider` knows; `docs/accelerators.md` prints it. A provider that is in the
build of ONNX Runtime but not in the table can be asked for too, and gets no options.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import onnxruntime as ort

from simrun.errors import UsageError

_SUFFIX: Final = "ExecutionProvider"
_REMOTE: Final = "AzureExecutionProvider"
"""In many builds; it calls a server, and runs no graph."""

RECORD_ENTRY: Final = ("session.record_ep_graph_assignment_info", "1")
"""Session configuration that `operators_elsewhere` needs; older versions ignore it."""


@dataclass(frozen=True)
class Provider:
    """One execution provider, and how it is set up."""

    name: str
    """What `--provider` takes."""
    ort_name: str
    """What ONNX Runtime calls it."""
    package: str = ""
    """The package on PyPI whose build has it; empty where there is none."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Its options; `{threads}` stands for the number of threads."""
    fixed_size: bool = False
    """Whether it takes only graphs of one image size."""
    compiles: bool = True
    """Whether it may make machine code at run time."""
    note: str = ""
    """One line for people."""

    def options_for(self, threads: int) -> dict[str, str]:
        """The options, with the number of threads filled in."""
        return {key: value.format(threads=threads) for key, value in self.options.items()}

    @property
    def has_own_threads(self) -> bool:
        """Whether it keeps a pool of threads, so that ONNX Runtime's would only be in its way."""
        return any("{threads}" in value for value in self.options.values())


CPU: Final = Provider(
    "cpu",
    "CPUExecutionProvider",
    "onnxruntime",
    compiles=False,
    note="The default, everywhere.",
)

PROVIDERS: Final = (
    CPU,
    Provider(
        "openvino",
        "OpenVINOExecutionProvider",
        "onnxruntime-openvino",
        {"device_type": "CPU", "precision": "FP32", "num_of_threads": "{threads}"},
        note="x86-64 processors. Run and compared here.",
    ),
    Provider(
        "xnnpack",
        "XnnpackExecutionProvider",
        options={"intra_op_num_threads": "{threads}"},
        fixed_size=True,
        compiles=False,
        note="Arm and x86-64. It leaves convolutions of unknown size to the CPU.",
    ),
    Provider(
        "acl",
        "ACLExecutionProvider",
        fixed_size=True,
        note="Arm Compute Library. It sets its layers up for the first size that it sees.",
    ),
    Provider(
        "coreml",
        "CoreMLExecutionProvider",
        "onnxruntime",
        {"ModelFormat": "MLProgram", "MLComputeUnits": "ALL"},
        note="macOS. Takes any size, one size faster; the Neural Engine computes in half floats.",
    ),
    Provider(
        "cuda",
        "CUDAExecutionProvider",
        "onnxruntime-gpu",
        {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"},
        note="NVIDIA. Without TF32, which keeps ten bits of a number.",
    ),
    Provider(
        "tensorrt",
        "TensorrtExecutionProvider",
        "onnxruntime-gpu",
        fixed_size=True,
        note="NVIDIA. It builds an engine, for seconds to minutes, whenever the size changes.",
    ),
    Provider(
        "qnn",
        "QNNExecutionProvider",
        "onnxruntime-qnn",
        {"backend_type": "htp"},
        fixed_size=True,
        note="Qualcomm. Computes in half floats.",
    ),
)


def find_provider(asked: str | None) -> Provider:
    """The provider of this name, with or without `ExecutionProvider`; None takes the CPU.

    Raises:
        UsageError: it is not in this build of ONNX Runtime; names those that are, and the package
            that brings it.
    """
    if asked is None:
        return CPU
    short = asked.lower().removesuffix(_SUFFIX.lower())
    for provider in available_providers():
        if short in (provider.name, _short(provider.ort_name)):
            return provider
    names = ", ".join(provider.name for provider in available_providers())
    raise UsageError(
        f"--provider {asked} is not in this build of ONNX Runtime {ort.__version__} on "
        f"{platform.machine()}, which has {names}{_where_to_get(short)}"
    )


def available_providers() -> list[Provider]:
    """What this build of ONNX Runtime can run graphs with, in its order of preference."""
    known = {provider.ort_name: provider for provider in PROVIDERS}
    return [
        known.get(name) or Provider(_short(name), name)
        for name in ort.get_available_providers()
        if name != _REMOTE
    ]


def require_used(session: ort.InferenceSession, provider: Provider, what: str) -> None:
    """Make sure that a session runs on the provider that was asked for.

    Args:
        session: as created with `RECORD_ENTRY`.
        provider: what was asked for.
        what: the graph's name, for messages.

    Raises:
        UsageError: ONNX Runtime took another one, or gave it nothing to run, or the graph takes
            images of any size and the provider does not.
    """
    if session.get_providers()[0] != provider.ort_name:
        raise UsageError(
            f"--provider {provider.name} does not start on this computer: its libraries or its "
            f"device are missing; ONNX Runtime would run {what} on the CPU, leave it out for that"
        )
    if provider.fixed_size and not all(isinstance(n, int) for n in session.get_inputs()[0].shape):
        raise UsageError(
            f"--provider {provider.name} takes images of one size only, {what} takes any; export "
            "the model with 'simtool export MODEL --static HxW'"
        )
    nodes = _operators(session)
    if nodes is not None and provider.ort_name not in nodes:
        raise UsageError(
            f"--provider {provider.name} can run no operator of {what}, all of them would run on "
            "the CPU; leave it out"
        )


def operators_elsewhere(session: ort.InferenceSession, provider: Provider) -> str:
    """How many operators run on another provider, and which, in words; empty where none does.

    ONNX Runtime before 1.24 does not tell, which is said where it may matter.
    """
    nodes = _operators(session)
    if nodes is None:
        if provider is CPU:
            return ""
        return f"unknown operators: ONNX Runtime {ort.__version__} does not tell, 1.24 does"
    own = nodes.pop(provider.ort_name, Counter())
    rest = sum(nodes.values(), Counter[str]())
    if not rest:
        return ""
    kinds = ", ".join(f"{count} {kind}" for kind, count in rest.most_common())
    return f"{rest.total()} of {rest.total() + own.total()} operators: {kinds}"


def _operators(session: Any) -> dict[str, Counter[str]] | None:  # noqa: ANN401 - no type stubs
    """Number of operators of each kind by the provider's name; None where it is not told."""
    if not hasattr(session, "get_provider_graph_assignment_info"):
        return None
    operators: dict[str, Counter[str]] = {}
    for part in session.get_provider_graph_assignment_info():
        counter = operators.setdefault(part.ep_name, Counter())
        counter.update(node.op_type for node in part.get_nodes())
    return operators


def _where_to_get(short: str) -> str:
    """What to do for a provider that is missing; empty where it is unknown."""
    for provider in PROVIDERS:
        if short in (provider.name, _short(provider.ort_name)):
            if provider.package in ("", CPU.package):
                return "; it takes a build of ONNX Runtime of your own, see docs/accelerators.md"
            return f"; {provider.package} has it: install that in the place of onnxruntime"
    return ""


def _short(ort_name: str) -> str:
    return ort_name.removesuffix(_SUFFIX).lower()
