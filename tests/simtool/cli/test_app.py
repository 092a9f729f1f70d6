from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import simtool.cli.app
from simrun.cli.console import run_app
from simtool.cli import train
from simtool.cli.app import app, main
from tests.simtool.program import call


def test_help_imports_nothing_heavy() -> None:
    probe = (
        "import sys; from simrun.cli.console import run_app; from simtool.cli.app import app\n"
        "try: run_app(app, 'simtool', ['export', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'onnx', 'numpy', 'matplotlib', 'onnxruntime'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["train", "mnist-lenett", "--out", "x"], 2, "did you mean 'mnist-lenet'?"),
        (["train", "mnist-lenet", "--data", "nowhere", "--out", "x"], 4, "no train-images"),
        (["ablate", "nowhere"], 3, "is not a run folder"),
        (["export", "nowhere", "--out", "x"], 3, "no model 'nowhere'"),
    ],
)
def test_errors_are_one_line_and_a_code(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    got, out, err = call(capsys, *arguments)
    assert got == code
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("simtool: ")
    assert message in err


def test_unknown_options_are_usage_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "train", "mnist-lenet", "--outt", "x")[0] == 2


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_app(app, "simtool", ["ablate", "nowhere", "--debug"])
    assert ended.value.code == 3
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c_exits_with_130(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "train", interrupted)
    assert call(capsys, "train", "mnist-lenet", "--out", "x")[0] == 130


def test_the_whole_path_by_command(
    capsys: pytest.CaptureFixture[str],
    digit_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SIMTOOL_DATA", str(digit_folder))
    run, model = str(tmp_path / "run"), str(tmp_path / "model")
    code, out, err = call(capsys, "train", "mnist-lenet", "--out", run)
    assert code == 0, err
    assert json.loads(out)["epoch"] == 10
    assert err.count("test accuracy") == 10
    code, out, err = call(capsys, "ablate", run, "--resamples", "20", "--weighting", "signed")
    assert code == 0, err
    summary = json.loads(out)
    assert len(summary["error"]["e_i"]) == 16
    assert summary["weighting"]["method"] == "signed"
    assert summary["entropies"]["uniform"] == 1
    code, out, err = call(capsys, "export", run, "--out", model, "--weighting", "signed")
    assert code == 0, err
    assert json.loads(out)["difference_to_pytorch"]["localizer"] <= 1e-5
    assert "Traceback" not in err
    assert "torch" not in err


@pytest.mark.parametrize(
    ("module", "code"), [("torch", 2), ("PIL.Image", 2), ("simtool.mistyped", None)]
)
def test_without_the_extra_the_install_command_is_told(
    module: str,
    code: int | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def lacking(**_: object) -> None:
        raise ModuleNotFoundError(f"No module named '{module}'", name=module)

    monkeypatch.setattr(simtool.cli.app, "app", lacking)
    with pytest.raises((SystemExit, ModuleNotFoundError)) as ended:
        main()
    assert getattr(ended.value, "code", None) == code
    told = "pip install 'similarnet[train]'" in capsys.readouterr().err
    assert told == (code is not None)
