from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from simrun.errors import ModelError, OutputError, UsageError
from simtool.data.mnist import load_mnist
from simtool.nets import build_net
from simtool.runs.checkpoint import CHECKPOINT_FILE, read_checkpoint
from simtool.runs.folder import CONFIG_FILE, HISTORY_FILE, RunFolder
from simtool.runs.recipes import RECIPES
from simtool.training import labelled as train_module
from simtool.training.accuracy import measure_accuracy
from simtool.training.labelled import summarise, train, train_seeds
from tests.simtool.tiny import digits

SHORT = replace(RECIPES["mnist-lenet"], epochs=3, batch=40)
TRAIN, TEST = digits(200), digits(100, "test", seed=1)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / CHECKPOINT_FILE)


def same(one: Path, other: Path) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_lenet_is_the_papers_table_1() -> None:
    net = build_net("lenet")
    shapes = {name: tuple(p.shape) for name, p in net.named_parameters() if "weight" in name}
    assert shapes == {
        "trunk.conv1.weight": (6, 1, 5, 5),
        "trunk.conv2.weight": (16, 6, 5, 5),
        "head.fc1.weight": (120, 784),
        "head.fc2.weight": (84, 120),
        "head.fc3.weight": (10, 84),
    }
    maps = net.trunk(torch.zeros(2, 1, 28, 28))
    assert maps.shape == (2, 16, 14, 14)
    assert net(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert dict(net.named_modules())[net.spec.layer] is net.trunk[-1]


def test_recipe_is_the_papers() -> None:
    recipe = RECIPES["mnist-lenet"]
    assert (recipe.epochs, recipe.batch) == (10, 300)
    assert (recipe.learning_rate, recipe.lr_decay) == (1e-3, 1e-5)


def test_resumed_training_equals_uninterrupted_training_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = train(SHORT, TRAIN, TEST, tmp_path / "straight", seed=3)
    calls = []

    def interrupted(*arguments: object, **options: object) -> object:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return measure_accuracy(*arguments, **options)

    monkeypatch.setattr(train_module, "measure_accuracy", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(SHORT, TRAIN, TEST, tmp_path / "stopped", seed=3)
    assert read_checkpoint(tmp_path / "stopped").epoch == 1
    resumed = train(SHORT, TRAIN, TEST, tmp_path / "stopped", seed=3)
    assert same(tmp_path / "straight", tmp_path / "stopped")
    assert [r["loss"] for r in resumed] == [r["loss"] for r in straight]


def test_seed_decides_the_result(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(replace(SHORT, epochs=1), TRAIN, TEST, tmp_path / name, seed)
    assert same(tmp_path / "a", tmp_path / "b")
    assert not same(tmp_path / "a", tmp_path / "c")


def test_training_leaves_the_global_random_state_alone(tmp_path: Path) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    train(replace(SHORT, epochs=1), TRAIN, TEST, tmp_path / "run", seed=0)
    assert torch.equal(torch.rand(3), expected)


def test_seeds_are_summarised(tmp_path: Path) -> None:
    summary = train_seeds(replace(SHORT, epochs=1), TRAIN, TEST, tmp_path / "runs", 2)
    assert summary["mean"] == pytest.approx(np.mean(summary["overall"]))
    assert json.loads((tmp_path / "runs" / "summary.json").read_text()) == summary
    with pytest.raises(ModelError, match="holds several seeds"):
        RunFolder.open(tmp_path / "runs")


def test_summary_by_hand() -> None:
    accuracies = [
        {"overall": 0.5, "per_class": [0.25, 0.75]},
        {"overall": 0.7, "per_class": [0.65, 0.75]},
    ]
    summary = summarise(accuracies)
    assert summary["mean"] == pytest.approx(0.6)
    assert summary["std"] == pytest.approx(0.2 / 2**0.5)
    assert summary["per_class_mean"] == pytest.approx([0.45, 0.75])


def test_foreign_folders_and_other_runs_are_refused(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="is not empty and holds no run"):
        train(SHORT, TRAIN, TEST, foreign, 0)
    train(replace(SHORT, epochs=1), TRAIN, TEST, tmp_path / "run", 0)
    with pytest.raises(UsageError, match="another recipe, seed or data"):
        train(replace(SHORT, epochs=1), TRAIN, TEST, tmp_path / "run", 1)
    with pytest.raises(OutputError, match="cannot write"):
        train(SHORT, TRAIN, TEST, foreign / "thesis.txt" / "run", 0)
    assert (foreign / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize("file", [CHECKPOINT_FILE, CONFIG_FILE, HISTORY_FILE])
def test_damaged_run_files_are_refused(tmp_path: Path, file: str) -> None:
    recipe = replace(SHORT, epochs=1)
    train(recipe, TRAIN, TEST, tmp_path / "run", 0)
    path = tmp_path / "run" / file
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ModelError, match=file):
        train(replace(recipe), TRAIN, TEST, tmp_path / "run", 0)


def test_diverging_training_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="lower the learning rate"):
        train(replace(SHORT, learning_rate=1e30), TRAIN, TEST, tmp_path / "run", 0)


def test_accuracy_per_class_and_training_mode() -> None:
    net = build_net("lenet").train()
    accuracy = measure_accuracy(net, TEST, batch=7)
    with torch.no_grad():
        guesses = net(torch.from_numpy(TEST.images).float() / 255).argmax(1).numpy()
    assert accuracy.overall == pytest.approx((guesses == TEST.labels).mean())
    expected = [(guesses[TEST.labels == c] == c).mean() for c in range(10)]
    assert accuracy.per_class == pytest.approx(expected)
    assert net.training


@pytest.mark.data
def test_real_mnist_is_learned_in_a_few_hundred_steps(mnist_folder: Path, tmp_path: Path) -> None:
    recipe = replace(RECIPES["mnist-lenet"], epochs=2)
    history = train(
        recipe, load_mnist("train", mnist_folder), load_mnist("test", mnist_folder), tmp_path, 0
    )
    assert history[-1]["test"]["overall"] > 0.95
