"""The runtime as an arm64 program on the cores of two Raspberry Pis, emulated (`make pi`)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pytest

from benchmarks.arm.emulator import CORES, ROOT, Emulator

from .dump import MODELS, PICTURES, look, open_picture

pytestmark = pytest.mark.pi

RUNTIME_TESTS: Final = (
    *("bundle", "classify", "cli", "images", "localize"),
    *("pipeline", "regions", "sinks", "sources"),
)
"""The tests of what computes, and of the journeys of the command. Those of servers and of faults
that fakes play test no arithmetic, and wait for real time."""
H_TOLERANCE: Final = 1e-5
QUAD_TOLERANCE_PX: Final = 2.0


@pytest.fixture(params=CORES)
def emulator(request: pytest.FixtureRequest, emulated: Path) -> Emulator:
    """A Raspberry Pi 4, then a Raspberry Pi 5."""
    return Emulator(emulated, request.param)


def test_the_runtimes_own_tests_pass(emulator: Emulator) -> None:
    files = [f"tests/simrun/test_{name}.py" for name in RUNTIME_TESTS]
    assert all((ROOT / file).is_file() for file in files)
    done = emulator.run("-m", "pytest", "-q", "-p", "no:cacheprovider", *files, capture=True)
    assert done.returncode == 0, done.stdout[-6000:]
    assert " passed" in done.stdout


def test_heatmaps_and_quads_are_those_of_this_machine(emulator: Emulator, tmp_path: Path) -> None:
    file = tmp_path / "board.npz"
    done = emulator.run("-m", "tests.arm.dump", file, capture=True)
    assert done.returncode == 0, done.stdout[-6000:]
    board = np.load(file)
    found = 0
    for model in MODELS:
        for picture in PICTURES:
            here = look(model, open_picture(picture))
            there = {key: board[f"{model}/{picture}/{key}"] for key in here}
            where = f"{model} on {picture}"
            np.testing.assert_allclose(
                there["heatmap"], here["heatmap"], rtol=0, atol=H_TOLERANCE, err_msg=where
            )
            np.testing.assert_allclose(
                there["quads"], here["quads"], rtol=0, atol=QUAD_TOLERANCE_PX, err_msg=where
            )
            assert there["labels"].tolist() == here["labels"].tolist(), where
            found += len(here["quads"])
    assert found > 10, "too few regions to compare"
