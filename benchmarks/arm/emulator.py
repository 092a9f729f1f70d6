"""The emulated boards: an arm64 Python in a folder that `setup.sh` filled."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.harness.console import BenchmarkError

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
CORES: Final = {"pi4": "cortex-a72", "pi5": "cortex-a76"}


@dataclass(frozen=True)
class Emulator:
    """One board. Two boards of one folder cannot run at the same time."""

    folder: Path
    board: str
    """A key of `CORES`."""

    def run(
        self, *arguments: str | Path, marks: Path | None = None, capture: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run the emulated interpreter on this checkout's sources.

        Args:
            *arguments: what follows `python`.
            marks: file for the instructions between marks; None counts nothing.
            capture: keep standard output and standard error, as one text.

        Raises:
            BenchmarkError: the folder holds no emulated Python.
        """
        if not (self.folder / "python").is_file():
            raise BenchmarkError(
                f"no emulated Python in {self.folder}; bash benchmarks/arm/setup.sh {self.folder}"
            )
        describe_board(self.folder, self.board)
        settings = {
            "QEMU_CPU": CORES[self.board],
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "runtime")]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "COUNT": str(marks or ""),
        }
        return subprocess.run(
            [str(self.folder.resolve() / "python"), *map(str, arguments)],
            env=os.environ | settings,
            cwd=ROOT,
            stdout=subprocess.PIPE if capture else None,
            stderr=subprocess.STDOUT if capture else None,
            text=True,
            check=False,
        )

    def wheels(self) -> list[str]:
        """The wheels that decide what a call costs, as NAME-VERSION."""
        found = sorted(path.stem for path in (self.folder / "site").glob("*.dist-info"))
        return [name for name in found if name.startswith(("numpy", "onnxruntime", "opencv"))]


def describe_board(folder: Path, board: str) -> None:
    """Lay the board's processor description into the emulator's root: it must fit the core."""
    subprocess.run(["sh", HERE / "fakepi.sh", folder / "root", board], check=True)
