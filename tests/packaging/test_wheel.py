"""What is released: the sdist, the wheel out of it, and a fresh environment that runs it."""

from __future__ import annotations

import json
import subprocess
import venv
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from email.parser import Parser
from pathlib import Path
from typing import Final

import pytest

from .wheels import ROOT, build

INSTALL_LIMIT_S: Final = 600
RUN_LIMIT_S: Final = 120
WHEEL_LIMIT_BYTES: Final = 1_500_000
"""Half of it is the models."""
RUNTIME_LIMIT_BYTES: Final = 1_750_000
"""Of the runtime's own code, page and models, installed; the sample pictures are none of these."""
WATCHED: Final = """
import sys
opened = []
sys.addaudithook(lambda event, what: opened.append(str(what[0])) if event == "open" else None)
from simrun.cli.app import app
try:
    app(["--demo", "--max-frames", "1", "--jsonl", sys.argv[1]])
except SystemExit:
    pass
heavy = sorted({"torch", "onnx", "matplotlib", "simtool"} & set(sys.modules))
print("\\n".join([f"heavy={','.join(heavy)}", *opened]))
"""
"""A run that tells which files Python opened."""


@dataclass(frozen=True)
class Release:
    """The two files that `make wheel` makes."""

    sdist: Path
    wheel: Path

    def members(self) -> dict[str, zipfile.ZipInfo]:
        """What is in the wheel, by name."""
        with zipfile.ZipFile(self.wheel) as archive:
            return {info.filename: info for info in archive.infolist()}


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The sdist, and the wheel that was built out of it in a folder that is gone by now."""
    out = build(tmp_path_factory.mktemp("dist"))
    return Release(next(out.glob("*.tar.gz")), next(out.glob("*.whl")))


@pytest.fixture(scope="session")
def installed(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment's `bin`, with the wheel and what it depends on."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, with_pip=True)
    command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    command += ["--disable-pip-version-check", "--only-binary=:all:", str(release.wheel)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=INSTALL_LIMIT_S
    )
    assert done.returncode == 0, done.stderr
    return folder / "bin"


def run_elsewhere(command: Sequence[str | Path], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command from another folder, with nothing of this environment's."""
    return subprocess.run(
        command,
        cwd=folder,
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=RUN_LIMIT_S,
    )


def test_the_sdist_makes_the_wheel_that_the_checkout_makes(
    release: Release, tmp_path: Path
) -> None:
    direct = next(build(tmp_path, "--wheel").glob("*.whl"))
    there = Release(release.sdist, direct).members()
    assert {name: info.CRC for name, info in release.members().items()} == {
        name: info.CRC for name, info in there.items()
    }
    assert release.wheel.read_bytes() == direct.read_bytes()


def test_the_wheel_holds_models_samples_and_pages_and_needs_no_compiler(release: Release) -> None:
    members = release.members()
    reads = {"scene-text": "reader", "mnist-lenet": "classifier", "mnist-maps": "classifier"}
    for model, graph in reads.items():
        for file in ("model.json", "localizer.onnx", f"{graph}.onnx"):
            assert f"simrun/models/{model}/{file}" in members
    for page in (ROOT / "runtime/simrun/sinks/web/static").iterdir():
        assert f"simrun/sinks/web/static/{page.name}" in members
    for template in (ROOT / "tools/simtool/reporting/templates").iterdir():
        assert f"simtool/reporting/templates/{template.name}" in members
    assert any(name.startswith("simrun/samples/") for name in members)
    of_models = {name.split("/")[-1] for name in members if name.startswith("simrun/models/")}
    graphs = {"localizer.onnx", "classifier.onnx", "reader.onnx"}
    assert of_models == {"model.json", "README.md", *graphs}
    assert release.wheel.name.endswith("-py3-none-any.whl")
    assert release.wheel.stat().st_size < WHEEL_LIMIT_BYTES
    assert not [name for name in members if name.endswith((".so", ".pyc"))]
    assert {name.split("/")[0].partition("-")[0] for name in members} == {
        "simrun",
        "simtool",
        "similarnet",
    }


def test_without_extras_it_asks_for_four_packages(release: Release) -> None:
    with zipfile.ZipFile(release.wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith("/METADATA"))
        meta = Parser().parsestr(archive.read(name).decode())
    needed = [line for line in meta.get_all("Requires-Dist", []) if "extra ==" not in line]
    names = sorted(line.split(">")[0].split("<")[0].split("!")[0] for line in needed)
    assert names == ["numpy", "onnxruntime", "opencv-python-headless", "typer"]


@pytest.mark.wheel
def test_it_runs_from_another_folder_in_a_fresh_environment(
    installed: Path, tmp_path: Path
) -> None:
    command = [installed / "simrun", "--demo", "--max-frames", "3", "--jsonl", "-"]
    done = run_elsewhere(command, tmp_path)
    assert done.returncode == 0, done.stderr
    header, *frames = map(json.loads, done.stdout.splitlines())
    assert (header["schema"], header["model"]) == ("simrun/1", "scene-text")
    assert [frame["frame"] for frame in frames] == [0, 1, 2]
    assert any(frame["regions"] for frame in frames)


@pytest.mark.wheel
def test_the_installed_runtime_is_small(installed: Path) -> None:
    (package,) = installed.parent.glob("lib/python*/site-packages/simrun")
    own = [path for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    sizes = {path: path.stat().st_size for path in own if package / "samples" not in path.parents}
    assert package / "models" / "scene-text" / "localizer.onnx" in sizes
    assert sum(sizes.values()) <= RUNTIME_LIMIT_BYTES


@pytest.mark.wheel
def test_nothing_is_read_from_the_checkout_and_nothing_heavy_is_imported(
    installed: Path, tmp_path: Path
) -> None:
    command = [installed / "python", "-c", WATCHED, tmp_path / "out.jsonl"]
    done = run_elsewhere(command, tmp_path)
    assert done.returncode == 0, done.stderr
    heavy, *opened = done.stdout.splitlines()
    assert heavy == "heavy="
    assert any("simrun/models/scene-text/model.json" in path for path in opened)
    assert not [path for path in opened if path.startswith(str(ROOT))]


@pytest.mark.wheel
def test_the_tools_say_what_they_need(installed: Path, tmp_path: Path) -> None:
    done = run_elsewhere([installed / "simtool", "train", "mnist-lenet", "--out", "run"], tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "simtool: 'torch' is not installed, and simtool needs it: pip install 'similarnet[train]'\n"
    )
