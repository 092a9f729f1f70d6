from __future__ import annotations

import argparse
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from simrun.errors import ModelError
from simtool.nets.base import load_weights
from simtool.nets.state_dict import fitting_weights, read_weights
from tests.simtool.example_nets import ResNet, settled

State = dict[str, Tensor]


def under(prefix: str, state: State) -> State:
    return {prefix + name: value for name, value in state.items()}


def changed(state: State) -> State:
    return {name: value + 1 for name, value in state.items()}


SAVED: dict[str, Callable[[State], Any]] = {
    "plain": lambda s: s,
    "state_dict": lambda s: {"state_dict": s, "epoch": 3},
    "model": lambda s: {"model": s, "epoch": 3},
    "model_state_dict": lambda s: {"model_state_dict": s, "loss": 0.2},
    "net": lambda s: {"net": s, "acc": np.float64(0.9), "n": np.float32(1)},
    "module.": lambda s: under("module.", s),
    "_orig_mod.": lambda s: under("_orig_mod.", s),
    "both": lambda s: under("module._orig_mod.", s),
    "lightning": lambda s: {"state_dict": under("model.", s), "hparams": {"lr": 0.1}},
    "criterion": lambda s: {"state_dict": under("net.", s) | {"criterion.w": torch.ones(2)}},
    "backbone": lambda s: under("backbone.", s),
    "options": lambda s: {"state_dict": s, "args": argparse.Namespace(lr=0.1, out=Path("x"))},
    "deep": lambda s: {"checkpoint": {"model": {"state_dict": under("module.", s)}}},
    "ema beside": lambda s: {"ema": changed(s), "model": s},
    "ema first": lambda s: {"model_ema": {"module": changed(s)}, "model": s},
    "ema by prefix": lambda s: under("ema_model.", changed(s)) | under("model.", s),
    "ema alone": lambda s: {"ema_state_dict": s},
    "averaged": lambda s: {"n_averaged": torch.tensor(3)} | under("module.", s),
    "optimizer": lambda s: {"optimizer": {"state": {0: {"m": torch.ones(3)}}}, "state_dict": s},
    "no counters": lambda s: {k: v for k, v in s.items() if "num_batches" not in k},
}


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return settled(ResNet())


def unwrapped(content: object, model: nn.Module, folder: Path) -> State:
    path = folder / "w.pt"
    torch.save(content, path)
    return fitting_weights(path, read_weights(path)[0], model)


@pytest.mark.parametrize("how", SAVED)
def test_weights_are_found_in_what_training_scripts_save(
    how: str, model: nn.Module, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = model.state_dict()
    with caplog.at_level(logging.INFO, "simtool"):
        weights = unwrapped(SAVED[how](state), model, tmp_path)
    load_weights(ResNet(), weights)
    assert all(torch.equal(value, state[name]) for name, value in weights.items())
    assert len(caplog.messages) == (
        how not in ("plain", "state_dict", "no counters", "options", "optimizer")
    )
    for line in caplog.messages:
        assert "w.pt: the weights are " in line


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("criterion", r"'state_dict' without 'net\.'; 1 tensors beside them .*: criterion\.w"),
        ("ema beside", "are 'model'; there are also 'ema', to be used saved alone"),
        ("averaged", r"the file's own names without 'module\.'; 1 tensors .*: n_averaged"),
    ],
)
def test_what_is_left_out_is_named(
    how: str, said: str, model: nn.Module, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "simtool"):
        unwrapped(SAVED[how](model.state_dict()), model, tmp_path)
    assert len(caplog.messages) == 1
    assert re.search(said, caplog.text)


def test_a_part_of_the_weights_is_never_loaded(model: nn.Module, tmp_path: Path) -> None:
    state = model.state_dict()
    part = {name: value for name, value in state.items() if not name.startswith("fc.")}
    other = state | {"fc.weight": torch.zeros(7, 8)}
    for content in (
        part,
        under("module.", part),
        {"model": other},
        state | {"more.w": state["fc.bias"]},
    ):
        with pytest.raises(ModelError, match="does not fit the network"):
            load_weights(ResNet(), unwrapped(content, model, tmp_path))


def test_code_in_a_file_is_named_and_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
            return (Path(tmp_path / "ran").touch, ())  # type: ignore[return-value]

    path = tmp_path / "w.pt"
    torch.save({"state_dict": {}, "more": Evil()}, path)
    with pytest.raises(ModelError, match=r"holds more than weights \(\S+\) and is not run; save"):
        read_weights(path)
    assert not (tmp_path / "ran").exists()
