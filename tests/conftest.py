"""What all tests share: where data sets and emulated machines are, and skipping without them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# `pytest --hypothesis-profile=fuzz` gives malformed input in quantity.
settings.register_profile("fuzz", max_examples=10_000, deadline=None)

ROOT = Path(__file__).resolve().parent.parent
STROKES = ROOT / "tests" / "fixtures" / "strokes"
"""The smallest bundle there is; `make_strokes.py` beside it makes it."""


def data_folder() -> Path | None:
    """The folder of the full data sets: SIMTOOL_DATA, else ../shared/data beside the checkout."""
    value = os.environ.get("SIMTOOL_DATA")
    folder = Path(value) if value else ROOT.parent / "shared" / "data"
    return folder if folder.is_dir() else None


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of the full data sets; the test is skipped where there is none."""
    folder = data_folder()
    if folder is None:
        pytest.skip("needs the full data sets: set SIMTOOL_DATA, or put them into ../shared/data")
    return folder


@pytest.fixture(scope="session")
def mnist_folder(data: Path) -> Path:
    """The folder of MNIST's four files; the test is skipped where they are not."""
    for folder in (data, data / "mnist"):
        if list(folder.glob("train-images-idx3-ubyte*")):
            return folder
    pytest.skip(f"needs MNIST: no train-images-idx3-ubyte in {data} or {data / 'mnist'}")


@pytest.fixture(scope="session")
def emulated() -> Path:
    """The folder of emulated machines that `make pi` and `make vm` fill; skipped without it."""
    value = os.environ.get("SIMILARNET_EMULATED")
    if not value:
        pytest.skip("needs emulated machines: `make pi` and `make vm` set them up")
    return Path(value).resolve()
