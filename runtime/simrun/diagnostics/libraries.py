"""Which libraries there are and whether they start at all, found out in a process of their own.

A library that was built for another processor ends the process that imports it with a signal. This
happens to onnxruntime 1.21 on a Raspberry Pi 4, for instance.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Final

NAMES: Final = ("numpy", "cv2", "onnxruntime")
"""Modules, in the order in which they are tried."""

_TIMEOUT_S: Final = 120.0
_PROGRAM: Final = """
import json
def say(name, version, **facts):
    print(json.dumps({"name": name, "version": version, **facts}), flush=True)
import numpy
say("numpy", numpy.__version__)
import cv2
say("cv2", cv2.__version__, build=cv2.getBuildInformation())
import onnxruntime
say("onnxruntime", onnxruntime.__version__, providers=onnxruntime.get_available_providers())
"""
_PACKAGES: Final = {
    "cv2": ("opencv-python-headless", "opencv-python", "opencv-contrib-python"),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino"),
}


@dataclass(frozen=True)
class Probed:
    """How the process that imports the libraries ended."""

    out: str
    """One JSON object a line, for each library that works."""
    err: str
    code: int
    """Exit code; negative: the signal that ended it."""


@dataclass(frozen=True)
class Libraries:
    """What was found."""

    working: Mapping[str, Mapping[str, Any]]
    """By name: `version`, and what else the library said of itself."""
    broken: str | None
    """The library that could not be imported; those after it were not tried."""
    why: str
    """In a line."""


def probe_libraries() -> Probed:
    """Import the libraries in a new process of this Python."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Probed("", f"TimeoutError: no answer within {_TIMEOUT_S:g} s", 1)
    return Probed(done.stdout, done.stderr, done.returncode)


def read_libraries(probe: Callable[[], Probed] = probe_libraries) -> Libraries:
    """Find out which libraries work, and what is wrong with the first that does not."""
    probed = probe()
    facts = [json.loads(line) for line in probed.out.splitlines() if line.startswith("{")]
    working = {fact["name"]: fact for fact in facts}
    broken = next((name for name in NAMES if name not in working), None)
    return Libraries(working, broken, _why(broken, probed) if broken else "")


def opencv_features(build: str) -> dict[str, str]:
    """What this OpenCV was built with: `gui`, `ffmpeg`, `gstreamer`, `v4l2`, a word each."""
    wanted = {"gui": "GUI", "ffmpeg": "FFMPEG", "gstreamer": "GStreamer", "v4l2": "v4l/v4l2"}
    found = {}
    for key, label in wanted.items():
        line = re.search(rf"^\s+{re.escape(label)}:\s*(\S+)", build, re.MULTILINE)
        found[key] = line[1].lower() if line else "no"
    return found


def _why(name: str, probed: Probed) -> str:
    if probed.code < 0:
        ended = signal.Signals(-probed.code)
        meaning = {
            signal.SIGILL: "an instruction that this processor does not have (SIGILL)",
            signal.SIGSEGV: "a memory fault (SIGSEGV)",
        }
        return f"{_installed(name)} dies of {meaning.get(ended, ended.name)}"
    lines = [line for line in probed.err.splitlines() if line.strip()]
    return lines[-1].strip()[:200] if lines else f"{name} gave no answer (status {probed.code})"


def _installed(name: str) -> str:
    """The package and its version, which can be had without importing it."""
    for package in _PACKAGES.get(name, (name,)):
        try:
            return f"{package} {metadata.version(package)}"
        except metadata.PackageNotFoundError:
            continue
    return name
