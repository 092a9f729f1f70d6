"""A model in 8 bits gives the same on processors that compute it in different ways (`make pi`).

Cortex-A72 has no dot product of bytes, Cortex-A76 has one; x86 with VNNI has another; Haswell adds
products in 16 bits and cuts sums off that do not fit.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import pytest

from benchmarks.arm.emulator import CORES, ROOT, Emulator
from simrun.sources.demo import draw_scene
from simtool.cli.export import ExportArguments, export

from .dump import look_at_all

pytestmark = pytest.mark.pi

PICTURES: Final = 8
STEP: Final = 0.05
"""What one value of F that is rounded the other way can do to H: the layers before are in single
precision, and differ in the seventh digit from processor to processor."""
MEAN_TOLERANCE: Final = 1e-5


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """scene-text in 8 bits."""
    folder = tmp_path_factory.mktemp("int8")
    (folder / "pictures").mkdir()
    for i in range(PICTURES):
        cv2.imwrite(str(folder / "pictures" / f"{i}.png"), draw_scene(i * 0.7))
    export(
        ExportArguments(
            run=Path("scene-text"), out=folder / "scene-text-int8", int8=folder / "pictures"
        )
    )
    return folder / "scene-text-int8"


@pytest.mark.parametrize("board", CORES)
def test_arm_boards_give_what_this_machine_gives(
    board: str, emulated: Path, model: Path, tmp_path: Path
) -> None:
    file = tmp_path / "board.npz"
    done = Emulator(emulated, board).run("-m", "tests.arm.dump", file, model, capture=True)
    assert done.returncode == 0, done.stdout[-6000:]
    compare(file, model, CORES[board])


def test_x86_without_vnni_gives_what_this_machine_gives(model: Path, tmp_path: Path) -> None:
    qemu = shutil.which("qemu-x86_64")
    if qemu is None or platform.machine() != "x86_64":
        pytest.skip("needs qemu-x86_64 and an x86-64 Python for it")
    file = tmp_path / "haswell.npz"
    command = [qemu, "-cpu", "Haswell-v4", sys.executable, "-m", "tests.arm.dump", file, model]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-6000:]
    compare(file, model, "Haswell")


def compare(file: Path, model: Path, core: str) -> None:
    """Assert that the heatmaps in a file are those of this machine."""
    there, here = np.load(file), look_at_all([str(model)])
    names = [name for name in here if name.endswith("heatmap")]
    assert len(names) == 3
    differences = [np.abs(there[name] - here[name]) for name in names]
    largest = max(float(one.max()) for one in differences)
    mean = max(float(one.mean()) for one in differences)
    print(f"{core}: H in 8 bits differs by at most {largest:.1e}, by {mean:.1e} on average")
    assert largest <= STEP
    assert mean <= MEAN_TOLERANCE
