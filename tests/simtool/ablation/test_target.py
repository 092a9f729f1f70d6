from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from simtool.ablation.record import AblationRecord
from simtool.data import load_split
from simtool.runs.recipes import RECIPES
from simtool.training.labelled import train_seeds
from tests.simtool.example_nets import resnet, settled
from tests.simtool.program import call

FACTORY = "tests.simtool.example_nets:resnet"
QUICK = ("--resamples", "20", "--size", "16", "--mean", "0.5", "--std", "0.25")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four classes of pictures of several shapes, some grey, one turned on its side."""
    root = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for index, name in enumerate("abcd"):
        (root / name).mkdir()
        for number in range(6):
            image = random.integers(0, 120, (20 + number, 30 - number, 3), dtype=np.uint8)
            image[..., index % 3] += np.uint8(100)
            cv2.imwrite(str(root / name / f"{number}.png"), image[..., 0] if number == 5 else image)
    return root


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "resnet.pt"
    torch.save(settled(resnet()).state_dict(), path)
    return path


def test_a_network_is_ablated_into_a_run_folder(
    capsys: pytest.CaptureFixture[str], pictures: Path, weights: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    code, out, err = call(
        *(capsys, "ablate", "--model", FACTORY, "--weights", weights, "--data", pictures),
        *("--layer", "layer2", "--out", run, *QUICK),
    )
    assert code == 0, err
    summary = json.loads(out)
    assert summary["layer"] == "layer2"
    assert len(summary["margin"]["e_i"]) == 8
    record = AblationRecord.load(run / "ablation.json")
    assert record.classes == ("a", "b", "c", "d")
    assert record.samples == 24
    assert -1 <= record.stability["loss"].least <= record.stability["loss"].mean <= 1
    assert record.deletion.blocked[0] == 0
    assert record.deletion.blocked[-1] == 8
    assert record.deletion.by_harm[0] == pytest.approx(1 - record.criterion("error").base)
    ends = {curve[-1] for curve in (record.deletion.by_harm, *record.deletion.random)}
    assert len(ends) == 1  # with every filter blocked the order is of no account
    assert {path.name for path in run.iterdir()} == {
        *("config.json", "checkpoint.safetensors", "ablation.json")
    }


def test_several_layers_of_several_checkpoints(
    capsys: pytest.CaptureFixture[str], pictures: Path, weights: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.safetensors"
    facts = {"mean": "[0.5, 0.5, 0.5]", "std": "0.25", "size": "16", "classes": '["a","b","c","d"]'}
    state = {
        k: v + 0.01 * torch.randn(v.shape) if v.is_floating_point() else v
        for k, v in torch.load(weights).items()
    }
    save_file(state, other, facts)
    run = tmp_path / "run"
    code, out, err = call(
        *(capsys, "ablate", "--model", FACTORY, "--weights", weights, "--weights", other),
        *("--data", pictures, "--layer", "layer2.1.conv2", "--layer", "layer1", "--out", run),
        *QUICK,
    )
    assert code == 0, err
    between = json.loads((run / "stability.json").read_text())
    assert set(between) == {"layer2.1.conv2", "layer1"}
    assert 0.3 < between["layer1"]["logit"]["mean"] <= 1
    assert json.loads(out)["stability between checkpoints"] == between
    for index in (0, 1):
        assert (run / f"checkpoint-{index}" / "layer1" / "ablation.json").is_file()


def test_mean_baseline_and_small_memory_change_no_more_than_they_say(
    capsys: pytest.CaptureFixture[str], pictures: Path, weights: Path, tmp_path: Path
) -> None:
    records = {}
    for name, more in {
        "zero": (),
        "small": ("--memory-mb", "1"),
        "mean": ("--baseline", "mean"),
    }.items():
        code, _, err = call(
            *(capsys, "ablate", "--model", FACTORY, "--weights", weights, "--data", pictures),
            *("--layer", "layer2", "--out", tmp_path / name, *QUICK, *more),
        )
        assert code == 0, err
        records[name] = AblationRecord.load(tmp_path / name / "ablation.json")
    zero, small, mean = (records[name].criterion("loss") for name in ("zero", "small", "mean"))
    assert small.ablated == pytest.approx(zero.ablated, abs=1e-6)
    assert small.harm_low == pytest.approx(zero.harm_low, abs=1e-6)
    assert records["mean"].baseline == "mean"
    assert mean.base == pytest.approx(zero.base, abs=1e-6)
    assert mean.ablated != pytest.approx(zero.ablated, abs=1e-4)


def test_no_layer_takes_the_last_spatial_one_and_says_so(
    capsys: pytest.CaptureFixture[str], pictures: Path, weights: Path, tmp_path: Path
) -> None:
    code, out, err = call(
        *(capsys, "ablate", "--model", FACTORY, "--weights", weights, "--data", pictures),
        *("--out", tmp_path / "run", "--no-deletion", *QUICK),
    )
    assert code == 0, err
    assert "no --layer given: taking the last spatial one, 'layer2'" in err
    assert json.loads(out)["layer"] == "layer2"


@pytest.fixture
def fails(
    capsys: pytest.CaptureFixture[str], pictures: Path, weights: Path, tmp_path: Path
) -> Callable[..., None]:
    """Call with other options than those that work: one line, with these messages, and the code."""

    def call_and_look(code: int, *messages: str, **changes: object) -> None:
        given = {"model": FACTORY, "weights": weights, "data": pictures, "out": tmp_path / "x"}
        given |= {"mean": "0", "std": "1", "size": 16} | changes
        flags = [part for name, value in given.items() for part in (f"--{name}", value)]
        got, out, err = call(capsys, "ablate", *flags)
        assert got == code, err
        assert out == ""
        assert err.count("\n") == 1, err
        for message in messages:
            assert message in err

    return call_and_look


def test_a_layer_or_a_factory_that_is_none_is_one_line(fails: Callable[..., None]) -> None:
    fails(2, "no layer 'layer3'", "near names: layer2, layer1", layer="layer3")
    fails(3, "'fc' gives shape (1, 4); only maps", layer="fc")
    fails(2, "must be package.module:factory", model="tests.simtool.nets")
    fails(2, "has no 'resnett'", model="tests.simtool.example_nets:resnett")
    fails(2, "cannot import tests.nowhere", model="tests.nowhere:x")
    fails(3, "must take no arguments", model="tests.simtool.example_nets:settled")
    fails(3, "does not fit the network", model="tests.simtool.example_nets:untraceable")
    fails(3, "the network fails on images (1, 16, 16)", "check --channels", channels="grey")


def test_a_number_or_a_device_that_is_none_is_one_line(fails: Callable[..., None]) -> None:
    fails(2, "--size is 4", size=4)
    fails(2, "--mean is 'x'", mean="x")
    fails(2, "--mean has 2 numbers", mean="0.5,0.5")
    fails(2, "--device nowhere cannot be used", device="nowhere")


def test_pictures_that_are_not_a_folder_a_class_are_one_line(
    fails: Callable[..., None], pictures: Path, tmp_path: Path
) -> None:
    fails(4, "no data folder", data=tmp_path / "nowhere")
    fails(4, "no sub-folder for class 'e'", classes="a,b,c,e")
    fails(4, "has 4 outputs", "3 class folders", classes="a,b,c")
    fails(4, "has 0 class folders", data=pictures / "a")
    single = tmp_path / "single" / "a"
    single.mkdir(parents=True)
    fails(4, "has 1 class folders ('a')", data=single.parent)
    (single.parent / "b").mkdir()
    fails(4, "no picture of class 'a', 'b'", data=single.parent)


def test_weights_that_cannot_be_used_are_one_line(
    fails: Callable[..., None], weights: Path, tmp_path: Path
) -> None:
    fails(3, "cannot read", weights=tmp_path / "no.pt")
    broken = tmp_path / "broken.pt"
    broken.write_bytes(b"no weights")
    fails(3, "broken.pt is not a file of weights; give", weights=broken)
    broken.write_bytes(weights.read_bytes()[:-100])
    fails(3, "broken.pt is damaged", weights=broken)
    torch.save({"x": print}, broken)
    fails(3, "holds more than weights", weights=broken)
    state = torch.load(weights)
    state["fc.bias"][0] = torch.nan
    torch.save(state, broken)
    fails(3, "not finite (NaN or infinity)", weights=broken)


def test_options_that_do_not_go_together(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        (("--model", FACTORY), "--model needs --weights FILE"),
        (("runs/x", "--layer", "conv"), "belong to --model"),
        ((), "name a run folder"),
        (("runs/x", "--model", FACTORY, "--weights", "w"), "do not go together"),
    ):
        code, _, err = call(capsys, "ablate", *arguments)
        assert (code, err.count("\n")) == (2, 1)
        assert message in err


def test_a_folder_of_something_else_is_not_written_to(
    capsys: pytest.CaptureFixture[str], pictures: Path, weights: Path
) -> None:
    code, _, err = call(
        *(capsys, "ablate", "--model", FACTORY, "--weights", weights, "--data", pictures),
        *("--out", pictures, *QUICK),
    )
    assert code == 5
    assert "is not empty and holds no such run" in err


def test_the_seeds_of_a_run_are_ablated_and_compared(
    capsys: pytest.CaptureFixture[str], digit_folder: Path, tmp_path: Path
) -> None:
    recipe = replace(RECIPES["mnist-lenet"], epochs=1, batch=50)
    splits = [load_split("mnist", name, digit_folder) for name in ("train", "test")]
    train_seeds(recipe, splits[0], splits[1], tmp_path / "runs", 2)
    arguments = ("ablate", tmp_path / "runs", "--seeds", "--data", digit_folder)
    code, out, err = call(capsys, *arguments, "--resamples", "20")
    assert code == 0, err
    stability = json.loads((tmp_path / "runs" / "stability.json").read_text())
    assert json.loads(out)["stability"] == stability
    assert stability["seeds"] == len(stability["loss"]["within"]) == 2
    assert 0 <= stability["loss"]["profile distance"] <= 1
    code, _, err = call(capsys, "ablate", tmp_path, "--seeds")
    assert code == 2
    assert "holds 0 trained seeds" in err
