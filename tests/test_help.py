"""The help texts of both programs: an example each, which runs, and lines of 80 columns."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import pytest
import typer

import simrun.cli.app
import simtool.cli.app
from simrun.cli.console import run_app
from simrun.config.layers import parse_settings

from .simtool.evalset import record, region, write_annotations
from .simtool.tiny import digits, write_idx

APPS: Final = {"simrun": simrun.cli.app.app, "simtool": simtool.cli.app.app}
COLUMNS: Final = 80
STAND_INS: Final = {
    "--camera 0": "--demo",
    "--demo": "--demo --max-frames 2",
    # Sides that a small picture and a short time allow.
    "--side 512 --side 640": "--side 320 --tries 0",
    "--side 320,456 --threads 1,auto --paced 30": "--side 64,96 --threads 1,auto --paced 200 "
    "--frames 2 --warmup 0",
    "--seeds 5": "--seeds 1",
}
"""What an example says, and what the test says in its place: shorter, and without a camera."""


def commands(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Every command of a program with the words that call it."""
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(f"{path} {name}", inner)


ALL: Final = {
    path: command
    for program, app in APPS.items()
    for path, command in commands(program, typer.main.get_command(app))
}


def examples(command: Any) -> list[str]:
    """The command lines that a help text gives: in its last part, up to an empty line."""
    told = re.match(r"Examples?: (.+?)(\n\n|$)", command.epilog or "", re.DOTALL)
    return [] if told is None else " ".join(told[1].split()).split("; ")


EXAMPLES: Final = [(path, line) for path, command in ALL.items() for line in examples(command)]


def with_stand_ins(line: str) -> list[str]:
    for said, instead in STAND_INS.items():
        line = re.sub(rf"{re.escape(said)}(?!\S)", instead, line)
    return shlex.split(line)[1:]


@pytest.mark.parametrize("path", ALL)
def test_every_command_has_an_example_of_its_own(path: str) -> None:
    lines = examples(ALL[path])
    assert lines
    assert all(line.startswith(path.split()[0]) for line in lines)
    if path not in APPS:
        assert all(line.startswith(path) for line in lines)


@pytest.mark.parametrize(("path", "line"), EXAMPLES)
def test_the_parser_takes_every_example_as_it_is(path: str, line: str) -> None:
    program, *words = shlex.split(line)
    called = program
    while words and f"{called} {words[0]}" in ALL:
        called = f"{called} {words.pop(0)}"
    context = ALL[called].make_context(called, words)
    if context.args:
        parse_settings(context.args)


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[list[str], str], str]:
    """Run a program from a folder of its own; standard output."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("SIMRUN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nowhere"))

    def call(words: list[str], program: str) -> str:
        with pytest.raises(SystemExit) as ended:
            run_app(APPS[program], program, words)
        out, err = capsys.readouterr()
        assert not ended.value.code, f"{program} {shlex.join(words)}: {err}"
        return out

    return call


@pytest.mark.parametrize("line", [line for _, line in EXAMPLES if line.startswith("simrun")])
def test_examples_of_simrun_run(
    line: str,
    run: Callable[[list[str], str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from simrun.service import install

    units = tmp_path / "units"
    units.mkdir()
    monkeypatch.setattr(install, "UNIT_FOLDER", units)
    monkeypatch.setattr(install, "_check_visible", lambda *_: None)  # the checkout may be anywhere
    (tmp_path / "photos").mkdir()
    cv2.imwrite(str(tmp_path / "photos" / "a.png"), np.zeros((48, 64), np.uint8))
    before = set(tmp_path.rglob("*"))
    out = run(with_stand_ins(line), "simrun")
    assert out or set(tmp_path.rglob("*")) - before, "it gave nothing"


def test_examples_of_simtool_run_one_after_the_other(
    run: Callable[[list[str], str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(tmp_path, monkeypatch)
    left = {line.split()[1]: line for _, line in EXAMPLES if line.startswith("simtool")}
    for command in ("fetch", "train", "ablate"):
        assert run(with_stand_ins(left.pop(command)), "simtool") or command == "fetch"
    run(["ablate", "runs/mnist-lenet/seed-0", "--resamples", "2", "--no-deletion"], "simtool")
    for command in ("export", "eval", "calibrate", "report"):
        assert run(with_stand_ins(left.pop(command)), "simtool")
    run(with_stand_ins(left.pop("compose")), "simtool")
    assert not left, "commands whose example was not run"
    assert (tmp_path / "models" / "mine" / "localizer.onnx").is_file()
    assert (tmp_path / "out" / "report-seed-0" / "index.html").is_file()


def lay_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small stand-ins for what the examples name, where they name it."""
    from simtool.data.objects import canvases
    from simtool.data.text import fetch, material

    write_idx(folder / "mnist", digits(120), "train")
    write_idx(folder / "mnist", digits(40, "test", seed=1), "t10k")
    monkeypatch.setenv("SIMTOOL_DATA", str(folder))
    write_photos(folder / "photos")
    for number, name in enumerate(("cat", "dog")):
        (folder / "pictures" / name).mkdir(parents=True)
        for index in range(4):
            picture = np.full((32, 32, 3), 40 + 150 * number + index, np.uint8)
            cv2.imwrite(str(folder / "pictures" / name / f"{index}.png"), picture)
    (folder / "mynet.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "def build():\n"
        "    net = nn.Sequential()\n"
        "    net.add_module('layer4', nn.Conv2d(3, 2, 3))\n"
        "    net.add_module('pool', nn.AdaptiveAvgPool2d(1))\n"
        "    net.add_module('flat', nn.Flatten())\n"
        "    net.add_module('fc', nn.Linear(2, 2))\n"
        "    return net\n"
    )
    make = "import torch, mynet; torch.save(mynet.build().state_dict(), 'mynet.pt')"
    subprocess.run([sys.executable, "-c", make], cwd=folder, check=True)
    monkeypatch.syspath_prepend(folder)
    # 4 GB of Debian packages are no matter for a test.
    monkeypatch.setattr(fetch, "fetch_materials", lambda _: [])
    # The run of somebody's pictures that it needs takes half a minute to train: test_folder.py.
    monkeypatch.setattr(canvases, "write_canvases", lambda *_: None)
    monkeypatch.setattr(material, "load_digits", lambda *_: None)


def write_photos(folder: Path) -> None:
    """Twelve pictures of a word that the default model finds, annotated."""
    font, size, thick, at = cv2.FONT_HERSHEY_SIMPLEX, 1.5, 4, (30, 100)
    records = []
    for number in range(12):
        picture = np.full((160, 320), 10, np.uint8)
        (width, height), _ = cv2.getTextSize(f"EXIT {number}", font, size, thick)
        cv2.putText(picture, f"EXIT {number}", at, font, size, 240, thick)
        box = (at[0], at[1] - height, at[0] + width, at[1])
        records.append(record(f"{number}.png", region(*box), width=320, height=160))
        folder.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / f"{number}.png"), picture)
    write_annotations(folder, records)


@pytest.mark.parametrize("path", ALL)
def test_help_is_plain_text_of_80_columns(
    path: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    program, *words = path.split()
    with pytest.raises(SystemExit):
        run_app(APPS[program], program, [*words, "--help"])
    out = capsys.readouterr().out
    assert out.isascii()
    assert all(line in " ".join(out.split()) for line in examples(ALL[path]))
    assert "\x1b" not in out
    assert max(map(len, out.splitlines())) <= COLUMNS
    listed = out.partition("Commands:\n")[2].partition("\n\n")[0]
    assert "..." not in listed, "a command's first line is too long for the list"
