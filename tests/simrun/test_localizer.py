"""A frame in, regions out."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from simrun import Localizer
from simrun.bundle.load import load_bundle
from simrun.bundle.metadata import Task
from simrun.errors import SourceError, UsageError
from simrun.images.read import to_bgr
from simrun.localizer import require_side
from simrun.result import Heatmap, Reading
from tests.simrun.conftest import STROKES


def test_bars_are_found_and_read(bars: np.ndarray) -> None:
    result = Localizer.load(STROKES)(bars)
    assert (result.width, result.height) == (320, 240)
    standing, lying = result.regions
    assert (standing.label, lying.label) == ("|", "-")
    np.testing.assert_allclose(standing.box, (240, 60, 248, 100), atol=2)
    np.testing.assert_allclose(lying.box, (40, 100, 80, 108), atol=2)
    assert standing.score > 0.9
    assert lying.label_score == pytest.approx(1.0, abs=0.1)
    # There is only one map that could have found them.
    assert (standing.channel, lying.channel) == (None, None)


def test_characters_side_by_side_are_read_one_by_one() -> None:
    frame = np.full((240, 320), 10, np.uint8)
    frame[60:84, 100:116] = frame[60:84, 126:142] = frame[60:84, 152:168] = 240
    (line,) = Localizer.load(STROKES)(frame).regions
    assert line.label == "|||"


def test_lines_are_found_map_by_map_and_a_thing_in_all_maps_at_once(
    bars: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.zeros((2, 60, 80), np.float32)
    values[0, 10:20, 10:20] = 0.8
    values[1, 10:20, 10:20] = 0.9
    heatmap = Heatmap(values, 4.0, 1.5)
    monkeypatch.setattr("simrun.localizer.compute_heatmap", lambda *_: heatmap)
    localizer = Localizer.load(STROKES, classify=False)
    localizer.meta = replace(localizer.meta, heatmap_channels=("digits", "letters"))
    found = [(r.channel, round(r.score, 3)) for r in localizer(bars).regions]
    assert found == [("digits", 0.8), ("letters", 0.9)]
    localizer.meta = replace(localizer.meta, task=Task.OBJECTS)
    found = [(r.channel, round(r.score, 3)) for r in localizer(bars).regions]
    assert found == [(None, 0.9)]


@pytest.mark.parametrize(
    ("channels", "task", "how"),
    [(1, Task.TEXT, "read"), (1, Task.OBJECTS, "named"), (3, Task.OBJECTS, "named")],
)
def test_the_task_says_whether_regions_are_read_or_named(
    bars: np.ndarray, monkeypatch: pytest.MonkeyPatch, channels: int, task: Task, how: str
) -> None:
    values = np.zeros((1, 60, 80), np.float32)
    values[0, 10:20, 10:20] = 0.8
    heatmap = Heatmap(values, 4.0, 1.5)
    monkeypatch.setattr("simrun.localizer.compute_heatmap", lambda *_: heatmap)
    monkeypatch.setattr("simrun.localizer.read_regions", lambda *_: [Reading("read", 1.0)])
    monkeypatch.setattr("simrun.localizer.label_regions", lambda *_: [Reading("named", 1.0)])
    localizer = Localizer.load(STROKES)
    localizer.meta = replace(localizer.meta, channels=channels, task=task)
    assert [region.label for region in localizer(bars).regions] == [how]


def test_grey_and_colour_give_the_same(bars: np.ndarray) -> None:
    localizer = Localizer.load(STROKES)
    assert localizer(bars).regions == localizer(to_bgr(bars)).regions


def test_a_larger_frame_gives_the_same_places_in_its_own_pixels(bars: np.ndarray) -> None:
    localizer = Localizer.load(STROKES)
    large = np.kron(bars, np.ones((4, 4), np.uint8))
    for small_one, large_one in zip(localizer(bars).regions, localizer(large).regions, strict=True):
        np.testing.assert_allclose(large_one.box, np.multiply(small_one.box, 4), atol=4)


@pytest.mark.parametrize("shape", [(1, 1), (7, 9999), (9999, 7), (2, 2, 3), (240, 1)])
def test_odd_frames_give_a_result(shape: tuple[int, ...]) -> None:
    result = Localizer.load(STROKES)(np.full(shape, 255, np.uint8))
    assert (result.height, result.width) == shape[:2]
    json.dumps(result.to_json())


def test_without_classification_nothing_is_labelled(bars: np.ndarray) -> None:
    result = Localizer.load(STROKES, classify=False)(bars)
    assert [region.label for region in result.regions] == [None, None]


def test_the_stages_add_up_on_a_scripted_clock(bars: np.ndarray) -> None:
    ticks = itertools.accumulate([100.0, 0.001, 0.004, 0.0005, 0.002])
    localizer = Localizer(load_bundle(STROKES), clock=lambda: next(ticks))
    latency = localizer(bars).latency_ms
    assert latency.to_json() == pytest.approx(
        {"capture": 0, "preprocess": 1, "infer": 4, "regions": 0.5, "classify": 2, "total": 7.5}
    )


def test_bad_arguments_are_named() -> None:
    with pytest.raises(UsageError, match="--side is 5"):
        Localizer.load(STROKES, side=5)
    with pytest.raises(UsageError, match="--threads is 0"):
        Localizer.load(STROKES, threads=0)
    with pytest.raises(UsageError, match=r"--provider toaster is not in this build.*cpu"):
        Localizer.load(STROKES, provider="toaster")
    with pytest.raises(SourceError, match="a frame must be uint8"):
        Localizer.load(STROKES)(np.zeros((4, 4)))


def test_a_side_may_be_as_small_or_large_as_the_message_says() -> None:
    for side in (None, 32, 16384):
        require_side(side)
    for side in (31, 16385):
        with pytest.raises(UsageError, match=f"--side is {side}; it must be 32 to 16384 pixels"):
            require_side(side)


def test_the_provider_in_use_is_told() -> None:
    assert Localizer.load(STROKES, provider="cpu").provider == "CPUExecutionProvider"


def test_the_runtime_loads_neither_torch_nor_onnx_nor_matplotlib() -> None:
    code = (
        "import sys, numpy, simrun.cli.app, simrun.run.loop, simrun.sinks.save\n"
        "import simrun.sources.devices.v4l2\n"
        f"simrun.Localizer.load({str(STROKES)!r})(numpy.zeros((9, 9), 'uint8'))\n"
        "heavy = {'torch', 'onnx', 'matplotlib', 'onnxscript', 'PIL'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['simrun', '--help']\n"
        "from simrun.cli.app import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'cv2', 'numpy', 'onnxruntime', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_onnx_runtime_reports_nothing_to_anybody(tmp_path: Path) -> None:
    """The telemetry in its Linux builds would leave a number of this computer in the home."""
    code = "from simrun import Localizer; import sys; Localizer.load(sys.argv[1])"
    environment = os.environ | {"HOME": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    environment.pop("XDG_CACHE_HOME", None)
    subprocess.run([sys.executable, "-c", code, STROKES], check=True, env=environment)
    assert list(tmp_path.rglob("*")) == []
