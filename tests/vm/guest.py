"""What the jobs inside the guest share: a camera that comes and goes, simrun seen from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

OUT: Final = Path("/out")
MODULES: Final = Path("/modules")
OPTIONS: Final = {
    "v4l2loopback": ["devices=1", "video_nr=0"],
    "vivid": ["n_devs=1", "node_types=0x1", "num_inputs=1", "input_types=0"],
}
CAMERA: Final = Path("/dev/video0")
READ_DIGITS: Final = ("--camera", "0", "--model", "mnist-lenet", "--side", "320", "--hold", "0")
"""Each frame reported as it is, at a size that an emulated machine reads about one of a second."""


def say(text: str) -> None:
    """A line on the console, with the guest's clock."""
    print(f"guest: {time.monotonic():.1f} s: {text}", file=sys.stderr, flush=True)


def wait_for(condition: Callable[[], bool], what: str, limit_s: float = 60.0) -> None:
    """Ask until a condition of the machine holds: nothing announces a device node.

    Raises:
        TimeoutError: it does not hold after `limit_s` seconds.
    """
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {limit_s:g} s")
        time.sleep(0.1)


def plug_in(camera: str) -> None:
    """Load a camera's kernel modules and wait for its device."""
    loaded = {line.split()[0] for line in Path("/proc/modules").read_text().splitlines()}
    for file in (MODULES / camera).read_text().split():
        name = file.removesuffix(".ko").replace("-", "_")
        if name not in loaded:
            options = OPTIONS.get(name, [])
            subprocess.run(["/busybox", "insmod", str(MODULES / file), *options], check=True)
    wait_for(CAMERA.exists, f"{CAMERA} of {camera}")
    say(f"{camera} is there as {CAMERA}")


def unplug(camera: str) -> None:
    """Take the camera away from whoever has it open, then remove its module.

    A module in use cannot be removed; its driver can be unbound from the device. Whoever reads
    gets ENODEV then, as from a camera whose cable is pulled.
    """
    unbind = Path(f"/sys/bus/platform/drivers/{camera}/unbind")
    if unbind.exists():
        unbind.write_text(f"{camera}.0")
        say(f"{camera} is unbound; {CAMERA} {'remains' if CAMERA.exists() else 'is gone'}")
    wait_for(lambda: _remove(camera), f"removal of {camera}", limit_s=120)
    say(f"{camera} is removed")


def _remove(module: str) -> bool:
    done = subprocess.run(["/busybox", "rmmod", module], capture_output=True, check=False)
    return done.returncode == 0


class Simrun:
    """A running `simrun --jsonl -`, its results stamped as they come."""

    def __init__(self, *arguments: str) -> None:
        """Start it."""
        command = [sys.executable, "-m", "simrun", *arguments, "--jsonl", "-"]
        self.results: list[dict[str, Any]] = []
        """Results of frames, each with the moments at which it came and, by its own latency, at
        which the frame was captured: `moment_s`, `captured_s`, by the guest's monotonic clock."""
        self._changed = threading.Condition()
        self._ended = False
        self._log = OUT / "simrun.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            moment_s = time.monotonic()
            result = json.loads(line)
            if "regions" not in result:
                continue
            captured_s = moment_s - result["latency_ms"]["total"] / 1000
            with self._changed:
                self.results.append(result | {"moment_s": moment_s, "captured_s": captured_s})
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait_for_frames(self, count: int, *, since_s: float = 0.0, limit_s: float = 120.0) -> None:
        """Wait until there are so many results of frames that were captured since a moment.

        Raises:
            RuntimeError: simrun ended before.
            TimeoutError: they did not come in time.
        """

        def have() -> int:
            return sum(result["captured_s"] >= since_s for result in self.results)

        with self._changed:
            there = self._changed.wait_for(lambda: have() >= count or self._ended, limit_s)
            if have() >= count:
                return
        said = self._log.read_text(errors="replace")[-2000:]
        if there:
            raise RuntimeError(f"simrun ended after {have()} of {count} frames; it said:\n{said}")
        raise TimeoutError(f"{have()} of {count} frames after {limit_s:g} s; simrun said:\n{said}")

    def memory(self) -> dict[str, float]:
        """Resident memory so far in MB: highest, and now."""
        status = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        fields = dict(line.split(":", 1) for line in status)
        return {
            "peak_mb": int(fields["VmHWM"].split()[0]) / 1024,
            "now_mb": int(fields["VmRSS"].split()[0]) / 1024,
        }

    def stop(self, limit_s: float = 30.0) -> int:
        """Interrupt it and return its exit code.

        Raises:
            subprocess.TimeoutExpired: it does not end.
        """
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            code = self._process.wait(limit_s)
        finally:
            self._process.kill()
            self._reader.join()
        return code

    def log(self) -> list[str]:
        """What it said on standard error."""
        return self._log.read_text(errors="replace").splitlines()


def report(**facts: Any) -> None:
    """Leave the facts for the test."""
    (OUT / "report.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    os.sync()
