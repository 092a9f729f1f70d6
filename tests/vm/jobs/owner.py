"""The first hour of a Raspberry Pi owner: install the wheel, look, run, open the page, a service.

Wheels for arm64 lie in /out/wheels, as pip would download them; the machine has no network.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any, Final

from tests.vm.guest import OUT, plug_in, report, say, wait_for

VENV: Final = Path("/opt/simrun")
SIMRUN: Final = str(VENV / "bin" / "simrun")
PAGE: Final = "http://127.0.0.1:8080"
UNIT: Final = Path("/etc/systemd/system/simrun.service")
LIVE_RUN: Final = ("--camera", "0", "--jsonl", "-", "--serve", "8080")
# What a shell of the owner's has: nothing of this job's own.
CLEAN: Final = {"HOME": "/root", "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}


class Diary:
    """The commands that were given, with what they printed."""

    def __init__(self) -> None:
        """Begin with an empty one."""
        self.steps: list[dict[str, Any]] = []

    def run(self, *command: str) -> str:
        """Run a command as the owner would, from a folder of his own; standard output."""
        begin = time.monotonic()
        done = subprocess.run(
            command, cwd="/root", env=CLEAN, capture_output=True, text=True, check=False
        )
        self.note(command, done.returncode, done.stdout, done.stderr, time.monotonic() - begin)
        return done.stdout

    def note(self, command: Any, code: int, out: str, err: str, took_s: float) -> None:
        """Write a step down."""
        said = {"command": list(command), "code": code, "stdout": out, "stderr": err}
        self.steps.append(said | {"took_s": round(took_s, 1)})
        say(f"{' '.join(command)}: {code} after {took_s:.0f} s")


def main() -> None:
    """Go through the guide, docs/raspberry-pi.md."""
    Path("/root").mkdir(exist_ok=True)
    subprocess.run(["/busybox", "ifconfig", "lo", "up"], check=True)
    diary = Diary()
    install(diary)
    diary.run(SIMRUN, "check")
    diary.run(SIMRUN, "--demo", "--max-frames", "3", "--jsonl", "-")
    plug_in("vivid")
    diary.run(SIMRUN, "check", "--camera", "0")
    pages = watch(diary)
    diary.run(SIMRUN, "bench", "--frames", "3", "--warmup", "1", "--json", "/out/pi.json")
    UNIT.parent.mkdir(parents=True, exist_ok=True)
    diary.run(SIMRUN, "service", "print", *LIVE_RUN)
    diary.run(SIMRUN, "service", "install", *LIVE_RUN)
    report(steps=diary.steps, pages=pages, unit=UNIT.read_text(encoding="utf-8"))


def install(diary: Diary) -> None:
    """A virtual environment, and the wheel in it."""
    # Debian's python3-venv would bring pip along; this root has pip's wheel alone.
    diary.run(sys.executable, "-m", "venv", "--without-pip", str(VENV))
    python, wheels = str(VENV / "bin" / "python"), OUT / "wheels"
    pip = next(wheels.glob("pip-*.whl")) / "pip"
    offline = ("--no-index", "--find-links", str(wheels), "--no-compile", "--no-cache-dir")
    wheel = next(wheels.glob("similarnet-*.whl"))
    diary.run(python, str(pip), "install", "--quiet", *offline, str(wheel))


def watch(diary: Diary) -> dict[str, Any]:
    """Run live until the page has shown a few frames; what each address answered."""
    command = (SIMRUN, *LIVE_RUN)
    begin = time.monotonic()
    results, said = OUT / "live.jsonl", OUT / "live.log"
    with results.open("wb") as out, said.open("wb") as err:
        process = subprocess.Popen(command, cwd="/root", env=CLEAN, stdout=out, stderr=err)
    try:
        wait_for(lambda: results.read_text().count("\n") > 3, "three frames", 240)
        pages = {path: fetch(path) for path in ("/", "/healthz", "/metrics", "/snapshot.jpg")}
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(60)
    diary.note(command, code, results.read_text(), said.read_text(), time.monotonic() - begin)
    return pages


def fetch(path: str) -> dict[str, Any]:
    """Status, kind and size of an answer; a picture is kept for the test."""
    with urllib.request.urlopen(PAGE + path, timeout=60) as answer:
        body = answer.read()
        if path == "/snapshot.jpg":
            (OUT / "snapshot.jpg").write_bytes(body)
        return {
            "status": answer.status,
            "kind": answer.headers["Content-Type"],
            "bytes": len(body),
            "start": body[:400].decode("utf-8", "replace"),
        }


if __name__ == "__main__":
    main()
