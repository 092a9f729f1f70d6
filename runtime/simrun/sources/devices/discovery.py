"""The video devices of this computer, and what each of them is good for."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# From linux/videodev2.h.
_QUERYCAP: Final = 0x80685600
_QUERYCAP_STRUCT: Final = struct.Struct("16s32s32s3I12x")
_REQBUFS: Final = 0xC0145608
_REQBUFS_STRUCT: Final = struct.Struct("5I")
_CAPTURE: Final = 0x1
_CAPTURE_MPLANE: Final = 0x1000
_DEVICE_CAPS: Final = 0x80000000
_M2M: Final = 0x8000 | 0x4000
_TYPE_CAPTURE: Final = 1
_TYPE_CAPTURE_MPLANE: Final = 9
_MEMORY_MMAP: Final = 1

RIBBON_DRIVERS: Final = ("unicam", "rp1-cfe")
"""Drivers of ribbon-cable cameras, which give raw sensor data: only libcamera makes pictures."""

Probe = Callable[[Path], str]
"""What a device is: `capture`, `other`, `busy`; raises OSError where it cannot be opened."""


@dataclass(frozen=True)
class VideoNode:
    """One `/dev/videoN`."""

    path: str
    name: str
    """What the driver calls it."""
    driver: str
    state: str
    """`capture`: usable; `busy`: another program captures from it; `other`: gives no pictures;
    `ribbon`: a ribbon-cable camera; `denied`: no permission; `error`: see `error`."""
    error: str = ""


def list_cameras(root: Path = Path("/"), *, probe: Probe | None = None) -> list[VideoNode]:
    """All V4L2 devices, by number.

    Args:
        root: where /sys and /dev are.
        probe: asks a device what it is; None asks the kernel.
    """
    folders = (root / "sys/class/video4linux").glob("video*")
    numbers = sorted(int(m[1]) for f in folders if (m := re.fullmatch(r"video(\d+)", f.name)))
    return [_node(root, f"video{number}", probe or probe_device) for number in numbers]


def probe_device(path: Path) -> str:
    """Ask a device whether it captures pictures, and whether it is free.

    Raises:
        OSError: it cannot be opened, or is no V4L2 device.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        answer = fcntl.ioctl(descriptor, _QUERYCAP, bytes(_QUERYCAP_STRUCT.size))
        everything, this_node = _QUERYCAP_STRUCT.unpack(answer)[4:]
        can = this_node if everything & _DEVICE_CAPS else everything
        if can & _M2M or not can & (_CAPTURE | _CAPTURE_MPLANE):
            return "other"
        kind = _TYPE_CAPTURE if can & _CAPTURE else _TYPE_CAPTURE_MPLANE
        # To ask for no buffers changes nothing, and fails while another program has some.
        request = _REQBUFS_STRUCT.pack(0, kind, _MEMORY_MMAP, 0, 0)
        try:
            fcntl.ioctl(descriptor, _REQBUFS, request)
        except OSError as error:
            if error.errno == errno.EBUSY:
                return "busy"
            raise
        return "capture"
    finally:
        os.close(descriptor)


def _node(root: Path, device: str, probe: Probe) -> VideoNode:
    folder = root / "sys/class/video4linux" / device
    try:
        name = (folder / "name").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        name = "?"
    link = folder / "device/driver"
    driver = link.resolve().name if link.exists() else "?"
    state, error = _state(root / "dev" / device, probe)
    if state in ("capture", "busy") and any(ribbon in driver + name for ribbon in RIBBON_DRIVERS):
        state = "ribbon"
    return VideoNode(f"/dev/{device}", name, driver, state, error)


def _state(path: Path, probe: Probe) -> tuple[str, str]:
    try:
        return probe(path), ""
    except PermissionError:
        return "denied", ""
    except OSError as error:
        return ("busy", "") if error.errno == errno.EBUSY else ("error", str(error.strerror))
