"""Execution providers: what is asked for is what runs, or one line says why not."""

from __future__ import annotations

import importlib.util
import logging
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort
import pytest

from simrun import Localizer
from simrun.bundle.load import load_bundle
from simrun.errors import UsageError
from simrun.inference import providers
from simrun.inference.providers import (
    CPU,
    PROVIDERS,
    Provider,
    find_provider,
    operators_elsewhere,
    require_used,
)
from simrun.inference.session import Engine, EngineConfig
from simrun.sources.demo import draw_scene
from tests.conftest import ROOT
from tests.simrun.conftest import STROKES

TOLERANCE = 1e-3
SAMPLES = sorted(
    path
    for path in (ROOT / "runtime" / "simrun" / "samples").iterdir()
    if path.suffix in (".jpg", ".png")
)

needs_openvino = pytest.mark.skipif(
    "OpenVINOExecutionProvider" not in ort.get_available_providers(),
    reason="needs onnxruntime-openvino in the place of onnxruntime",
)


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make simrun believe that the build of ONNX Runtime has these providers."""
    return lambda *names: monkeypatch.setattr(ort, "get_available_providers", lambda: list(names))


def test_the_short_and_the_long_name_find_a_provider(build: Any) -> None:
    build("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")
    assert find_provider("CUDA").ort_name == "CUDAExecutionProvider"
    assert find_provider("cudaexecutionprovider").name == "cuda"
    assert find_provider("tensorrt").fixed_size
    assert find_provider(None) is CPU


def test_one_that_is_not_in_the_table_can_be_asked_for(build: Any) -> None:
    build("MIGraphXExecutionProvider", "CPUExecutionProvider")
    assert find_provider("migraphx") == Provider("migraphx", "MIGraphXExecutionProvider")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("qnn", "which has coreml, cpu; onnxruntime-qnn has it: install that in the place of"),
        ("XnnpackExecutionProvider", "which has coreml, cpu; it takes a build of ONNX Runtime of"),
        ("toaster", "which has coreml, cpu$"),
        ("azure", "which has coreml, cpu$"),
    ],
)
def test_a_missing_one_is_refused_with_what_to_do(build: Any, asked: str, message: str) -> None:
    build("CoreMLExecutionProvider", "AzureExecutionProvider", "CPUExecutionProvider")
    with pytest.raises(UsageError, match=rf"--provider {asked} is not in this build.*{message}"):
        find_provider(asked)


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_one_that_does_not_start_is_refused(build: Any) -> None:
    build("CUDAExecutionProvider", "CPUExecutionProvider")
    if "CUDAExecutionProvider" in ort.capi._pybind_state.get_available_providers():
        pytest.skip("this build has CUDA")
    with pytest.raises(UsageError, match="--provider cuda does not start on this computer"):
        Localizer.load(STROKES, provider="cuda")


class _Session:
    """A session of which only the assignment of its operators is known."""

    def __init__(self, assigned: dict[str, list[str]], provider: str) -> None:
        self._assigned, self._provider = assigned, provider

    def get_providers(self) -> list[str]:
        return [self._provider, CPU.ort_name]

    def get_provider_graph_assignment_info(self) -> list[Any]:
        return [
            SimpleNamespace(
                ep_name=name,
                get_nodes=lambda kinds=kinds: [SimpleNamespace(op_type=k) for k in kinds],
            )
            for name, kinds in self._assigned.items()
        ]


def test_operators_left_to_the_cpu_are_counted() -> None:
    nodes = {"X": ["Conv", "Conv", "Relu"], CPU.ort_name: ["Cast", "Sigmoid", "Cast"]}
    session: Any = _Session(nodes, "X")
    provider = Provider("x", "X")
    require_used(session, provider, "a.onnx")
    assert operators_elsewhere(session, provider) == "3 of 6 operators: 2 Cast, 1 Sigmoid"


def test_one_that_runs_nothing_is_refused() -> None:
    session: Any = _Session({CPU.ort_name: ["Conv"]}, "X")
    with pytest.raises(UsageError, match=r"--provider x can run no operator of a\.onnx"):
        require_used(session, Provider("x", "X"), "a.onnx")


def test_an_older_onnx_runtime_does_not_tell() -> None:
    session: Any = SimpleNamespace(get_providers=lambda: ["X"])
    require_used(session, Provider("x", "X"), "a.onnx")
    assert "1.24 does" in operators_elsewhere(session, Provider("x", "X"))
    assert operators_elsewhere(session, CPU) == ""


def test_operators_left_to_the_cpu_are_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(
        "simrun.inference.session.operators_elsewhere", lambda *_: "2 of 3 operators: 2 Cast"
    )
    Localizer.load(STROKES, provider="cpu")
    assert "leaves operators of localizer.onnx to the CPU, 2 of 3 operators" in caplog.text


def test_the_default_says_what_else_there_is(build: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    build("OpenVINOExecutionProvider", "CPUExecutionProvider")
    Localizer.load(STROKES, provider="cpu")
    assert caplog.text == ""
    Localizer.load(STROKES)
    assert "running on the CPU; ONNX Runtime has openvino too" in caplog.text


def test_the_default_says_nothing_where_there_is_nothing_else(
    build: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    build("CPUExecutionProvider")
    Localizer.load(STROKES)
    assert caplog.text == ""


@pytest.mark.parametrize(("fixed_size", "asked"), [(False, "cpu"), (True, None)])
def test_crops_come_in_batches_that_one_of_a_fixed_size_does_not_take(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fixed_size: bool,
    asked: str | None,
) -> None:
    providers_asked: dict[str, str | None] = {}

    class Recorded(Engine):
        def __init__(self, graph: bytes, config: EngineConfig, *, what: str) -> None:
            super().__init__(graph, config, what=what)
            providers_asked[what] = config.provider
            self.provider = replace(self.provider, fixed_size=fixed_size)

    caplog.set_level(logging.INFO)
    monkeypatch.setattr("simrun.localizer.Engine", Recorded)
    Localizer.load(STROKES, provider="cpu")
    assert providers_asked == {"localizer.onnx": "cpu", "classifier.onnx": asked}
    assert ("classifier.onnx runs on the CPU" in caplog.text) == fixed_size


def test_one_that_takes_one_size_refuses_a_graph_of_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "PROVIDERS", (replace(CPU, fixed_size=True),))
    with pytest.raises(UsageError, match=r"takes images of one size only, localizer\.onnx takes"):
        Localizer.load(STROKES, provider="cpu")


def test_threads_are_its_own_where_it_has_options_for_them() -> None:
    by_name = {provider.name: provider for provider in PROVIDERS}
    assert by_name["xnnpack"].options_for(3) == {"intra_op_num_threads": "3"}
    assert by_name["xnnpack"].has_own_threads
    assert not by_name["cuda"].has_own_threads


def test_the_page_has_the_table_of_the_providers() -> None:
    path = ROOT / "docs" / "make_accelerators.py"
    spec = importlib.util.spec_from_file_location("make_accelerators", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = (ROOT / "docs" / "accelerators.md").read_text(encoding="utf-8")
    assert module.with_table(page) == page
    assert all(f"| `{provider.name}` |" in page for provider in PROVIDERS)


@needs_openvino
@pytest.mark.parametrize("model", ["mnist-lenet", "mnist-maps", "scene-text"])
def test_openvino_gives_the_heatmap_of_the_cpu(
    model: str, caplog: pytest.LogCaptureFixture
) -> None:
    cpu = Localizer.load(model, provider="cpu")
    other = Localizer.load(model, provider="openvino")
    assert other.provider == "OpenVINOExecutionProvider"
    assert "leaves operators" not in caplog.text
    frames = [cv2.imread(str(path)) for path in SAMPLES]
    for frame in [*frames, *map(draw_scene, (0.0, 1.0, 2.5))]:
        here, there = cpu(frame), other(frame)
        assert here.heatmap is not None
        assert there.heatmap is not None
        np.testing.assert_allclose(there.heatmap.values, here.heatmap.values, atol=TOLERANCE)
        assert [r.label for r in there.regions] == [r.label for r in here.regions]


@needs_openvino
@pytest.mark.parametrize("model", ["mnist-lenet", "mnist-maps", "scene-text"])
def test_openvino_gives_the_heatmap_of_the_cpu_at_one_size(model: str) -> None:
    onnx = pytest.importorskip("onnx", reason="needs onnx, to fix the size of a graph")
    bundle = load_bundle(model)
    graph = onnx.load_model_from_string(bundle.localizer)
    for axis, size in zip(
        graph.graph.input[0].type.tensor_type.shape.dim, (1, 1, 480, 640), strict=True
    ):
        axis.dim_value = size
    del graph.graph.output[0].type.tensor_type.shape.dim[:]
    content = graph.SerializeToString()
    engines = [Engine(content, EngineConfig(provider=p), what=model) for p in ("cpu", "openvino")]
    frame = cv2.cvtColor(draw_scene(1.0), cv2.COLOR_BGR2GRAY)[None, None]
    here, there = (engine.run(frame) for engine in engines)
    np.testing.assert_allclose(there, here, atol=TOLERANCE)
