"""The text of a systemd unit that runs simrun: hardened, watched, restarted.

Pure text: what there is on this machine is looked up in `simrun.service.install`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_MARK: Final = "# Made by: simrun service"
"""First line of every unit that is made here."""

_PLAIN: Final = re.compile(r"[A-Za-z0-9_./:=@,+-]+")
_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "%": "%%"}


@dataclass(frozen=True)
class UnitPlan:
    """What a unit depends on."""

    name: str
    """Name of the service; also that of its folder below /var/lib."""
    program: tuple[str, ...]
    """Absolute path of simrun, or of Python and `-m simrun`."""
    arguments: tuple[str, ...]
    """Options of the run."""
    config: str | None = None
    """Absolute path of a configuration file that the service is given to read."""
    keys: tuple[tuple[str, str], ...] = ()
    """Option and absolute path of further files that it is given to read: `mqtt-key`, a path."""
    user: str | None = None
    """Existing user to run as; None makes one up for as long as the service runs."""
    reads_home: bool = False
    """Whether the program, or what it reads, lies in somebody's home."""
    network: bool = False
    """Whether the run reaches over the network."""
    libcamera: bool = False
    """Whether the camera is driven through libcamera, which uses more devices."""
    compiles: bool = False
    """Whether the execution provider may write machine code at run time; the CPU's does not."""
    watchdog_s: float = 30.0
    """Longest time between two processed frames."""


def unit_text(plan: UnitPlan) -> str:
    """The unit file's content."""
    return "\n".join(
        [
            _MARK,
            *_unit_section(plan),
            "",
            "[Service]",
            *_run_lines(plan),
            "",
            *_restart_lines(plan),
            "",
            *_access_lines(plan),
            "",
            *_hardening(plan),
            "",
            "[Install]",
            "WantedBy=multi-user.target",
            "",
        ]
    )


def quote(argument: str, *, program: bool = False) -> str:
    r"""An argument as a systemd unit spells it on an ExecStart line.

    Quotes and C escapes as far as needed; `%` is doubled against specifiers, and `$` against
    variables. Bytes that are not UTF-8, which Python keeps as surrogates, become `\xNN`.

    Args:
        argument: any text without a NUL.
        program: it is the path of the program, in which systemd replaces no variables.
    """
    if _PLAIN.fullmatch(argument):
        return argument
    escaped = "".join(map(_escape, argument))
    return f'"{escaped}"' if program else f'"{escaped}"'.replace("$", "$$")


def _escape(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def _unit_section(plan: UnitPlan) -> list[str]:
    # A class of devices has a number, by which access is granted, only once its module is loaded:
    # otherwise a camera that is plugged in after the start could not be opened.
    after = ["modprobe@videodev.service"]
    if plan.libcamera:
        after.append("modprobe@mc.service")
    if plan.network:
        after.append("network-online.target")
    return [
        "[Unit]",
        f"Description=simrun finds and reads text in pictures ({plan.name})",
        "# Restarted for ever: nobody is there to start it again.",
        "StartLimitIntervalSec=0",
        f"Wants={' '.join(after)}",
        f"After={' '.join(after)}",
    ]


def _run_lines(plan: UnitPlan) -> list[str]:
    files = [("config", "config.toml", plan.config)] if plan.config else []
    files += [(option, option, path) for option, path in plan.keys]
    given = [f"--{option}=${{CREDENTIALS_DIRECTORY}}/{name}" for option, name, _ in files]
    first, *rest = plan.program
    command = [quote(first, program=True), *map(quote, rest), *given, *map(quote, plan.arguments)]
    lines = ["Type=notify", "NotifyAccess=main", f"ExecStart={' '.join(command)}"]
    # A signal, and no program: files are opened anew, after logrotate has renamed them say.
    lines += ["ExecReload=kill -HUP $MAINPID"]
    if files:
        lines += [
            "# Read by systemd, as root, at each start: files can be kept from everybody else.",
            *(f"LoadCredential={name}:{path.replace('%', '%%')}" for _, name, path in files),
        ]
    return [
        *lines,
        "# Results with a relative name go here.",
        f"StateDirectory={plan.name}",
        f"WorkingDirectory=%S/{plan.name}",
        "UMask=0022",
        "Environment=PYTHONUNBUFFERED=1",
    ]


def _restart_lines(plan: UnitPlan) -> list[str]:
    return [
        "Restart=always",
        "RestartSec=5",
        "# Wrong options and a broken model stay wrong.",
        "RestartPreventExitStatus=2 3",
        "SuccessExitStatus=143",
        "# Fed by processed frames alone. SIGTERM: a run that can still end completes its files.",
        f"WatchdogSec={plan.watchdog_s:g}",
        "WatchdogSignal=SIGTERM",
        "TimeoutStopSec=20",
        "# Of the machine's. The most that was measured is 251 MiB: 1080p and every output. On a",
        "# board of 512 MB this is 320, and what grows beyond it is started anew before sshd goes.",
        "MemoryMax=75%",
    ]


def _access_lines(plan: UnitPlan) -> list[str]:
    user = [f"User={plan.user}"] if plan.user else ["DynamicUser=yes"]
    devices = ["char-video4linux"]
    if plan.libcamera:
        devices += ["char-media", "char-dma_heap"]
    return [
        *user,
        "SupplementaryGroups=video",
        "DevicePolicy=closed",
        *(f"DeviceAllow={device} rw" for device in devices),
        "ProtectSystem=strict",
        f"ProtectHome={'read-only' if plan.reads_home else 'yes'}",
    ]


def _hardening(plan: UnitPlan) -> list[str]:
    return [line for line in _HARDENING if not (plan.compiles and line == _NO_NEW_CODE)]


_NO_NEW_CODE: Final = "MemoryDenyWriteExecute=yes"
_HARDENING: Final[Sequence[str]] = (
    "# Not ProcSubset=pid: ONNX Runtime reads /proc/cpuinfo.",
    "PrivateTmp=yes",
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=",
    "KeyringMode=private",
    "LockPersonality=yes",
    _NO_NEW_CODE,
    "ProtectClock=yes",
    "ProtectControlGroups=yes",
    "ProtectHostname=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "ProtectProc=invisible",
    "RemoveIPC=yes",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallFilter=~@privileged @resources",
    "SystemCallErrorNumber=EPERM",
)
