"""Fixtures of the simtool tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.simtool.tiny import digits, write_idx


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Networks this small gain nothing by more threads."""
    torch.set_num_threads(1)


@pytest.fixture
def double() -> Iterator[None]:
    """Tensors and layers of this test are float64."""
    former = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(former)


@pytest.fixture(scope="session")
def digit_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of MNIST's format with few and easy images."""
    folder = tmp_path_factory.mktemp("data")
    write_idx(folder / "mnist", digits(600), "train")
    write_idx(folder / "mnist", digits(200, "test", seed=1), "t10k")
    return folder
