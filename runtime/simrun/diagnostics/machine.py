"""What this computer is and how it is doing: board, processor, memory, heat, throttling.

Read from /proc, /sys and /etc below a root folder, so that tests can lay out any board.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

_FEATURES: Final = {
    "asimd": "neon",
    "neon": "neon",
    "asimddp": "dotprod",
    "asimdhp": "fp16",
    "i8mm": "i8mm",
    "bf16": "bf16",
    "sve": "sve",
    "sse4_2": "sse4.2",
    "avx": "avx",
    "f16c": "f16c",
    "fma": "fma",
    "avx2": "avx2",
    "avx_vnni": "avx-vnni",
    "avx512f": "avx512f",
    "avx512_vnni": "avx512-vnni",
    "amx_int8": "amx-int8",
}
"""Flags of /proc/cpuinfo that make a difference to us, and what they are commonly called."""

_ARM_PARTS: Final = {
    "0xd03": "Cortex-A53",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd09": "Cortex-A73",
    "0xd0a": "Cortex-A75",
    "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1",
}
_CPU_ZONE: Final = re.compile(r"cpu|soc|x86_pkg", re.IGNORECASE)
_THROTTLED: Final = {
    0: "under-voltage now",
    1: "clock capped now",
    2: "throttled now",
    3: "at the soft temperature limit now",
    16: "under-voltage since start-up",
    17: "clock was capped since start-up",
    18: "was throttled since start-up",
    19: "reached the soft temperature limit since start-up",
}
"""Bits of the Raspberry Pi firmware's word."""

_QUERY_S: Final = 10.0

Query = Callable[[Sequence[str]], str | None]
"""Runs a program: its standard output, or None where it is not there or fails."""


@dataclass(frozen=True)
class Machine:
    """A computer at one moment; None where it does not say."""

    board: str | None
    system: str | None
    """Name and version of the distribution."""
    kernel: str
    architecture: str
    """Of the kernel, as `uname -m` has it."""
    userland_bits: int
    """32 or 64: of this Python."""
    cpu: str | None
    cores: int
    features: tuple[str, ...]
    """Instructions beyond the basic set that make a difference to us."""
    memory_mb: int | None
    available_mb: int | None
    """What programs could still take."""
    temperature_c: float | None
    clock_mhz: int | None
    clock_max_mhz: int | None
    governor: str | None
    throttled: int | None
    """The Raspberry Pi firmware's word; 0 is fine, `throttling` spells it out."""

    @property
    def throttling(self) -> tuple[str, ...]:
        """What the firmware holds against the power supply and the cooling."""
        word = self.throttled or 0
        return tuple(text for bit, text in _THROTTLED.items() if word >> bit & 1)

    def to_json(self) -> dict[str, Any]:
        """All of it as a JSON object, with `throttling` in words."""
        return {
            **asdict(self),
            "features": list(self.features),
            "throttling": list(self.throttling),
        }


def run_quietly(command: Sequence[str]) -> str | None:
    """The standard output of a program; None where it is not installed, fails or hangs."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_QUERY_S, check=True)
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout


def read_machine(
    root: Path = Path("/"),
    *,
    kernel: tuple[str, str] | None = None,
    userland_bits: int = 64 if sys.maxsize > 2**32 else 32,
    query: Query = run_quietly,
) -> Machine:
    """Read this computer, or the one whose files lie below `root`.

    Args:
        root: where /proc, /sys and /etc are.
        kernel: its release and architecture; None asks the running one.
        userland_bits: of the Python that runs.
        query: runs `vcgencmd`.
    """
    release, architecture = kernel or (platform.release(), platform.machine())
    info = _text(root / "proc/cpuinfo") or ""
    cpufreq = root / "sys/devices/system/cpu/cpu0/cpufreq"
    memory = _table(_text(root / "proc/meminfo") or "")
    return Machine(
        board=_board(root, info),
        system=_system(root),
        kernel=release,
        architecture=architecture,
        userland_bits=userland_bits,
        cpu=_cpu(info),
        cores=max(len(re.findall(r"^processor\s*:", info, re.MULTILINE)), 1),
        features=_features(info),
        memory_mb=_mb(memory.get("MemTotal")),
        available_mb=_mb(memory.get("MemAvailable")),
        temperature_c=_temperature_c(root),
        clock_mhz=_mhz(cpufreq / "scaling_cur_freq"),
        clock_max_mhz=_mhz(cpufreq / "cpuinfo_max_freq"),
        governor=_text(cpufreq / "scaling_governor"),
        throttled=_throttled(root, query),
    )


def read_peak_memory_mib(root: Path = Path("/")) -> float | None:
    """Most resident memory that this process has had; None where the system does not say."""
    status = _table(_text(root / "proc/self/status") or "")
    number = re.fullmatch(r"(\d{1,12}) kB", status.get("VmHWM", ""))
    return round(int(number[1]) / 1024, 1) if number else None


def _text(path: Path) -> str | None:
    """A small file's content without the blanks and zeros around it; None if it has none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip(" \t\r\n\0") or None
    except OSError:  # not there, not for us, or the device behind it does not answer
        return None


def _number(path: Path) -> int | None:
    text = _text(path) or ""
    return int(text) if re.fullmatch(r"-?\d{1,12}", text) else None


def _table(text: str) -> Mapping[str, str]:
    """Lines `key : value`; the first of a key counts."""
    pairs = (line.partition(":") for line in reversed(text.splitlines()))
    return {key.strip(): value.strip() for key, _, value in pairs}


def _board(root: Path, info: str) -> str | None:
    return (
        _text(root / "proc/device-tree/model")
        or _table(info).get("Model")
        or _text(root / "sys/class/dmi/id/product_name")
    )


def _system(root: Path) -> str | None:
    release = _text(root / "etc/os-release") or ""
    name = re.search(r'^PRETTY_NAME="?([^"\n]*)', release, re.MULTILINE)
    return name[1] if name else None


def _cpu(info: str) -> str | None:
    table = _table(info)
    part = table.get("CPU part")
    if part and table.get("CPU implementer") == "0x41":
        return _ARM_PARTS.get(part, f"ARM part {part}")
    return table.get("model name") or part


def _features(info: str) -> tuple[str, ...]:
    table = _table(info)
    flags = set((table.get("Features") or table.get("flags") or "").split())
    return tuple(dict.fromkeys(name for flag, name in _FEATURES.items() if flag in flags))


def _mb(text: str | None) -> int | None:
    """From `1234 kB`."""
    number = re.fullmatch(r"(\d{1,12}) kB", text or "")
    return int(number[1]) // 1024 if number else None


def _mhz(path: Path) -> int | None:
    khz = _number(path)
    return None if khz is None else khz // 1000


def _temperature_c(root: Path) -> float | None:
    """Of the processor; where no sensor says that it is there, of the hottest one."""
    zones = sorted((root / "sys/class/thermal").glob("thermal_zone*"))
    read = [(_text(zone / "type") or "", _number(zone / "temp")) for zone in zones]
    there = [(kind, value / 1000) for kind, value in read if value is not None]
    cpu = [value for kind, value in there if _CPU_ZONE.search(kind)]
    return max(cpu or [value for _, value in there], default=None)


def _throttled(root: Path, query: Query) -> int | None:
    """The firmware's word; its folder is `soc` on a Raspberry Pi 4 and `soc@...` on a 5."""
    places = sorted((root / "sys/devices/platform").glob("soc*/soc*firmware/get_throttled"))
    text = next(filter(None, map(_text, places)), None)
    if text is None:
        text = (query(["vcgencmd", "get_throttled"]) or "").strip().removeprefix("throttled=")
    return int(text, 16) if re.fullmatch(r"(0x)?[0-9a-fA-F]{1,8}", text) else None
