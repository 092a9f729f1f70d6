"""Wheels of this checkout and of what it needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
BUILD_LIMIT_S: Final = 120
DOWNLOAD_LIMIT_S: Final = 600
GLIBC_OF_BOOKWORM: Final = 36
"""Its minor version; wheels for older ones fit too."""


def build(out: Path, *options: str) -> Path:
    """Build into a folder with what is installed here: sdist and wheel, unless told otherwise."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), *options]
    subprocess.run([*command, str(ROOT)], check=True, capture_output=True, timeout=BUILD_LIMIT_S)
    return out


def arm64_wheels(folder: Path) -> None:
    """What pip would download on Raspberry Pi OS bookworm, with the wheel and with pip itself."""
    (wheel,) = build(folder, "--wheel").glob("*.whl")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder)]
    for minor in range(GLIBC_OF_BOOKWORM, 16, -1):
        command += ["--platform", f"manylinux_2_{minor}_aarch64"]
    command += ["--platform", "manylinux2014_aarch64", "--python-version", "3.11"]
    command += ["--implementation", "cp", "--abi", "cp311", "--abi", "abi3", "--abi", "none"]
    command += ["--only-binary=:all:", str(wheel), "pip"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=DOWNLOAD_LIMIT_S
    )
    assert done.returncode == 0, done.stderr
