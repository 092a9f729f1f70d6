"""The runtime as an arm64 program on the cores of two Raspberry Pis, emulated (`make pi`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.arm.emulator import CORES, ROOT, Emulator

from .dump import look_at_all

pytestmark = pytest.mark.pi

Array = NDArray[Any]

RUNTIME_TESTS: Final = (
    *("bundle/test_load", "cli/test_app", "images/test_read", "localization/test_heatmap"),
    *("localization/test_lines", "localization/test_regions", "recognition/test_classify"),
    *("recognition/test_ctc", "test_localizer", "sinks/test_sinks", "sources/test_registry"),
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
    files = [f"tests/simrun/{name}.py" for name in RUNTIME_TESTS]
    assert all((ROOT / file).is_file() for file in files)
    done = emulator.run("-m", "pytest", "-q", "-p", "no:cacheprovider", *files, capture=True)
    assert done.returncode == 0, done.stdout[-6000:]
    assert " passed" in done.stdout


def test_heatmaps_and_quads_are_those_of_this_machine(emulator: Emulator, tmp_path: Path) -> None:
    file = tmp_path / "board.npz"
    done = emulator.run("-m", "tests.arm.dump", file, capture=True)
    assert done.returncode == 0, done.stdout[-6000:]
    board = np.load(file)
    here = look_at_all()
    assert sorted(here) == sorted(board.files)
    for name, value in here.items():
        if name.endswith("labels"):
            assert board[name].tolist() == value.tolist(), name
        else:
            tolerance = H_TOLERANCE if name.endswith("heatmap") else QUAD_TOLERANCE_PX
            np.testing.assert_allclose(board[name], value, rtol=0, atol=tolerance, err_msg=name)
    print(
        f"{CORES[emulator.board]}: H differs by at most {furthest(board, here, 'heatmap'):.1e}, "
        f"corners of {sum(len(here[name]) for name in here if name.endswith('quads'))} quads by "
        f"{furthest(board, here, 'quads'):.2f} px"
    )


def furthest(board: Mapping[str, Array], here: Mapping[str, Array], kind: str) -> float:
    """Largest difference among the arrays of a kind that are not empty."""
    pairs = [(board[name], here[name]) for name in here if name.endswith(kind)]
    return max(float(np.abs(a - b).max()) for a, b in pairs if a.size)
