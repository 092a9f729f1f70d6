from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from simrun.errors import UsageError
from simtool.ablation.record import AblationRecord
from simtool.cli.ablate import AblateArguments, ablate
from simtool.cli.train import TrainArguments, train
from simtool.distributed import Peers, joined
from tests.simtool.tiny import digits, write_idx

ROOT = Path(__file__).resolve().parents[2]


def torchrun(*arguments: object) -> dict[str, object]:
    """What the program prints, run in two processes on this machine; only one of them may speak."""
    launcher = (
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        "-m",
        "simtool",
    )
    path = os.pathsep.join([str(ROOT / "runtime"), str(ROOT / "tools")])
    done = subprocess.run(
        [sys.executable, *launcher, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def odd_digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MNIST's files with numbers of pictures that two cannot share evenly."""
    folder = tmp_path_factory.mktemp("data")
    write_idx(folder / "mnist", digits(301), "train")
    write_idx(folder / "mnist", digits(71, "test", seed=1), "t10k")
    return folder


@pytest.fixture(scope="module")
def runs(odd_digits: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """The same run, trained by one process and by two; the first ablated by both."""
    parent = tmp_path_factory.mktemp("runs")
    folders = {1: parent / "1", 2: parent / "2"}
    assert (
        train(TrainArguments(recipe="mnist-lenet", out=folders[1], data=odd_digits))["epoch"] == 10
    )
    trained = torchrun("train", "mnist-lenet", "--out", folders[2], "--data", odd_digits)
    assert trained["epoch"] == 10
    ablate(AblateArguments(run=folders[1], data=odd_digits, weighting="uniform", resamples=40))
    (folders[1] / "ablation.json").rename(parent / "ablation-1.json")
    torchrun("ablate", folders[1], "--data", odd_digits, "--resamples", 40)
    (folders[1] / "ablation.json").rename(parent / "ablation-2.json")
    return folders


def test_two_processes_ablate_to_the_result_of_one(runs: dict[int, Path]) -> None:
    one, two = (AblationRecord.load(runs[1].parent / f"ablation-{n}.json") for n in (1, 2))
    assert one.units_per_class == two.units_per_class
    assert one.right_to_wrong == two.right_to_wrong
    assert one.wrong_to_right == two.wrong_to_right
    for name in one.criteria:
        a, b = one.criterion(name), two.criterion(name)
        # Errors are counted; the others are what a float32 network answers, which may round
        # otherwise in a batch of another size: docs/any-network.md promises 1e-6.
        tolerance = 0 if name == "error" else 1e-6
        for row in ("base", "ablated", "harm_low", "harm_high"):
            assert np.abs(np.subtract(getattr(a, row), getattr(b, row))).max() <= tolerance
    assert one.deletion == two.deletion
    # Of ranks: equal, or far apart.
    assert one.stability == two.stability


def test_two_processes_train_to_the_result_of_one(runs: dict[int, Path]) -> None:
    histories = [json.loads((runs[n] / "history.json").read_text())["epochs"] for n in (1, 2)]
    for a, b in zip(*histories, strict=True):
        # What docs/any-network.md promises; float32 gradients are added up in another order.
        assert a["loss"] == pytest.approx(b["loss"], abs=1e-6)
        assert a["test"] == b["test"]
    weights = [load_file(runs[n] / "checkpoint.safetensors") for n in (1, 2)]
    for name, value in weights[0].items():
        # Ten epochs of float32 rounding: 8e-6 was measured, on weights of up to 20.
        assert np.abs(value - weights[1][name]).max() < 1e-4


def test_parts_are_contiguous_even_and_whole() -> None:
    for count in (0, 1, 7, 100):
        for world in (1, 2, 3, 8):
            parts = [Peers(rank, world).part(count) for rank in range(world)]
            assert [i for part in parts for i in part] == list(range(count))
            assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_variables_that_are_no_numbers_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(UsageError, match="WORLD_SIZE is 'two'"), joined():
        pass


def test_alone_without_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined() as peers:
        assert (peers.rank, peers.world, peers.leads) == (0, 1, True)
