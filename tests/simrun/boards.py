"""The files of /proc, /sys and /etc of some computers, to be laid below a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

_CPU: Final = "sys/devices/system/cpu/cpu0/cpufreq"

PI4: Final = {
    "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.1\0",
    "proc/cpuinfo": (
        "processor\t: 0\nFeatures\t: fp asimd evtstrm crc32 cpuid\n"
        "CPU implementer\t: 0x41\nCPU part\t: 0xd08\n\n"
        "processor\t: 1\nFeatures\t: fp asimd evtstrm crc32 cpuid\n"
        "CPU implementer\t: 0x41\nCPU part\t: 0xd08\n\n"
        "Model\t\t: Raspberry Pi 4 Model B Rev 1.1\n"
    ),
    "proc/meminfo": "MemTotal:        1893340 kB\nMemAvailable:     102400 kB\n",
    "etc/os-release": 'NAME="Debian GNU/Linux"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "78342\n",
    f"{_CPU}/scaling_cur_freq": "600000\n",
    f"{_CPU}/cpuinfo_max_freq": "1800000\n",
    f"{_CPU}/scaling_governor": "ondemand\n",
    "sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
    "sys/class/video4linux/video0/name": "HD Webcam: HD Webcam\n",
    "sys/class/video4linux/video1/name": "HD Webcam: HD Webcam\n",
    "sys/class/video4linux/video10/name": "bcm2835-codec-decode\n",
    "sys/class/video4linux/video2/name": "unicam-image\n",
}
PI5: Final = {
    "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
    "proc/cpuinfo": (
        "processor\t: 0\nFeatures\t: fp asimd fphp asimdhp asimddp\n"
        "CPU implementer\t: 0x41\nCPU part\t: 0xd0b\n"
    ),
    "proc/meminfo": "MemTotal:        8245248 kB\nMemAvailable:    7340032 kB\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "51000\n",
    "sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled": "0\n",
}
X86: Final = {
    "sys/class/dmi/id/product_name": "NUC11\n",
    "proc/cpuinfo": (
        "processor\t: 0\nmodel name\t: Some Core i5\nflags\t\t: fpu sse4_2 avx avx2 fma\n"
    ),
    "sys/class/thermal/thermal_zone0/type": "acpitz\n",
    "sys/class/thermal/thermal_zone0/temp": "27800\n",
    "sys/class/thermal/thermal_zone1/type": "x86_pkg_temp\n",
    "sys/class/thermal/thermal_zone1/temp": "44000\n",
}


def lay(files: Mapping[str, str], root: Path) -> Path:
    """Write the files below a folder, and give that folder."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root
