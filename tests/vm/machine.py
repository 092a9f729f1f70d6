"""Boot a virtual machine, run one job in it, and bring back its report.

The machine is emulated (TCG), so it needs no hardware support and its times say nothing of a
board's. Its files are the host's, shared read-only; see `init` and `build.sh`.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

Arch = Literal["amd64", "arm64"]

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
_TAIL_LINES: Final = 60


class MachineError(AssertionError):
    """The guest did not do its job; the message ends with the last lines of its console."""


@dataclass(frozen=True)
class Machine:
    """A virtual machine made by `build.sh ARCH FOLDER`."""

    arch: Arch
    folder: Path
    memory_mb: int = 1024

    def run(self, job: str, out: Path, *, limit_s: float = 300.0) -> dict[str, Any]:
        """Run `tests.vm.jobs.<job>` and return the report that it wrote.

        Args:
            job: name of the module.
            out: folder that the guest writes to; its console goes to console.log there.
            limit_s: seconds until the machine is switched off.

        Raises:
            MachineError: it did not end in time, or the job failed.
        """
        out.mkdir(parents=True, exist_ok=True)
        (out / "job.sh").write_text(self._job(job), encoding="utf-8")
        console = out / "console.log"
        try:
            with console.open("wb") as log:
                subprocess.run(
                    self._command(out),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    timeout=limit_s,
                    check=False,
                )
        except subprocess.TimeoutExpired:
            raise MachineError(_explain(f"{job} took more than {limit_s:g} s", console)) from None
        status = out / "status"
        if not status.exists():
            raise MachineError(_explain(f"the {self.arch} machine did not get to {job}", console))
        if status.read_text().strip() != "0":
            raise MachineError(_explain(f"{job} failed ({status.read_text().strip()})", console))
        return dict(json.loads((out / "report.json").read_text(encoding="utf-8")))

    def _job(self, job: str) -> str:
        """What the guest's first program hands to its shell."""
        # arm64 has the wheels at /site; on amd64 it is this interpreter, on this machine's files.
        python = "/usr/bin/python3.11" if self.arch == "arm64" else sys.executable
        return (
            "cd /tmp\n"
            "export PYTHONPATH=/repo:/repo/runtime:/site PYTHONDONTWRITEBYTECODE=1\n"
            f"exec {shlex.quote(python)} -m tests.vm.jobs.{job}\n"
        )

    def _command(self, out: Path) -> list[str]:
        built = self.folder / f"vm-{self.arch}"
        shares = {"out": out, "repo": ROOT}
        if self.arch == "arm64":
            program = ["qemu-system-aarch64", "-machine", "virt", "-cpu", "cortex-a72"]
            console = "ttyAMA0"
            shares |= {"root": self.folder / "root", "site": self.folder / "site"}
        else:
            program = ["qemu-system-x86_64", "-machine", "q35", "-cpu", "max"]
            console = "ttyS0"
            shares |= {"root": Path("/")}
        # Debian's kernel hangs under KVM on some hosts; emulation works on all.
        program += ["-accel", "tcg", "-smp", "2", "-m", str(self.memory_mb)]
        program += ["-nographic", "-no-reboot"]
        program += ["-kernel", str(built / "vmlinuz"), "-initrd", str(built / "initrd.gz")]
        program += ["-append", f"console={console} quiet panic=-1"]
        for tag, path in shares.items():
            options = f"local,path={path},mount_tag={tag},security_model=none,multidevs=remap"
            program += ["-virtfs", options if tag == "out" else f"{options},readonly=on"]
        return program


def _explain(what: str, console: Path) -> str:
    lines = console.read_text(encoding="utf-8", errors="replace").splitlines()
    tail = "\n".join(f"    {line}" for line in lines[-_TAIL_LINES:])
    return f"{what}; the console's last lines, all of it in {console}:\n{tail}"
