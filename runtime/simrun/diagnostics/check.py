"""`simrun check`: what to look at first when something does not work, and to paste into a report.

Each function looks at one thing and gives findings. Nothing here ends the others: a broken
configuration, library or model is a finding like any other.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from simrun import __version__
from simrun.config.layers import Configuration
from simrun.config.options import option_name
from simrun.config.schema import Settings
from simrun.diagnostics.libraries import Libraries, opencv_features, read_libraries
from simrun.diagnostics.machine import Machine, Query, read_machine, run_quietly
from simrun.errors import ModelError, SimError, SourceError, UsageError
from simrun.redact import hide_secrets
from simrun.sources.devices.discovery import VideoNode, list_cameras

if TYPE_CHECKING:
    from simrun.localizer import Localizer


OK: Final = "ok"
NOTE: Final = "note"
PROBLEM: Final = "problem"

_HOT_C: Final = 75.0
"""A Raspberry Pi slows down from 80."""
_LITTLE_MB: Final = 150
"""simrun with its libraries and a VGA camera takes about half of this."""
_FRAMES: Final = 20
_BUDGET_S: Final = 5.0
"""Frames are timed until there are `_FRAMES` of them or this time is over."""

_WIDTH: Final = 80
_INDENT: Final = " " * 20


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    topic: str
    level: str
    """`ok`, `note`: worth knowing, or `problem`: will not work like this."""
    text: str
    advice: str = ""
    """What to do."""
    exit_code: int = 0
    """For a problem: what a run ends with because of it."""


@dataclass(frozen=True)
class Report:
    """All that was found."""

    machine: Machine
    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> int:
        """Of the first problem; 0 where there is none."""
        return next((f.exit_code for f in self.findings if f.level == PROBLEM), 0)

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON object."""
        return {
            "schema": "simrun-check/1",
            "simrun": __version__,
            "machine": self.machine.to_json(),
            "findings": [
                {
                    "topic": f.topic,
                    "level": f.level,
                    "text": hide_secrets(f.text),
                    "advice": f.advice and hide_secrets(f.advice),
                }
                for f in self.findings
            ],
            "exit_code": self.exit_code,
        }


@dataclass(frozen=True)
class Probes:
    """How the machine is asked; tests put in answers of their own."""

    configuration: Callable[[], Configuration]
    load: Callable[[Settings], Localizer]
    machine: Callable[[], Machine] = read_machine
    libraries: Callable[[], Libraries] = read_libraries
    cameras: Callable[[], list[VideoNode]] = list_cameras
    query: Query = run_quietly
    clock: Callable[[], float] = time.perf_counter


def check(probes: Probes) -> Report:
    """Look at everything."""
    settings, findings = _check_configuration(probes.configuration)
    machine = probes.machine()
    libraries = probes.libraries()
    findings += _check_python() + check_machine(machine) + check_libraries(libraries, machine)
    if libraries.broken is None:
        findings += check_model(settings, probes.load, probes.clock)
    findings += check_cameras(probes.cameras(), settings.camera, probes.query)
    return Report(machine, tuple(findings))


def _check_configuration(read: Callable[[], Configuration]) -> tuple[Settings, list[Finding]]:
    try:
        configuration = read()
    except UsageError as error:
        problem = Finding("config", PROBLEM, str(error), exit_code=error.exit_code)
        return Settings(), [problem]
    origins = configuration.origins
    changed = [
        f"{option_name(name)} ({origin})" for name, origin in origins.items() if origin != "default"
    ]
    file = configuration.file or "no file"
    text = f"{file}; set: {', '.join(changed) or 'nothing'}"
    return configuration.settings, [Finding("config", OK, text)]


def _check_python() -> list[Finding]:
    text = f"simrun {__version__}, Python {platform.python_version()} in {sys.prefix}"
    return [Finding("simrun", OK, text)]


def check_machine(machine: Machine) -> list[Finding]:
    """Board, system, processor, memory, heat, throttling."""
    system = f"{machine.system or 'unknown system'}, Linux {machine.kernel}"
    bits = f"{machine.architecture}, {machine.userland_bits} bit"
    findings = [
        Finding("board", OK, machine.board or "does not say what it is"),
        Finding("system", OK, f"{system}, {bits}"),
    ]
    if machine.userland_bits != 64:
        findings[-1] = Finding(
            "system",
            PROBLEM,
            f"{system}, {bits}: there is no ONNX Runtime for 32-bit systems",
            "install the 64-bit Raspberry Pi OS",
            ModelError.exit_code,
        )
    features = " ".join(machine.features) or "no special instructions"
    clock = f", {machine.clock_mhz} of {machine.clock_max_mhz} MHz" if machine.clock_mhz else ""
    governor = f", governor {machine.governor}" if machine.governor else ""
    findings += [
        Finding("cpu", OK, f"{machine.cores} x {machine.cpu or 'unknown'}{clock}{governor}"),
        Finding("features", OK, features),
        *_check_memory(machine),
        *_check_power(machine),
    ]
    return findings


def _check_memory(machine: Machine) -> list[Finding]:
    if machine.memory_mb is None or machine.available_mb is None:
        return []
    text = f"{machine.available_mb} of {machine.memory_mb} MB available"
    if machine.available_mb < _LITTLE_MB:
        return [Finding("memory", NOTE, text, "end other programs, or choose a smaller --side")]
    return [Finding("memory", OK, text)]


def _check_power(machine: Machine) -> list[Finding]:
    findings = []
    if machine.temperature_c is not None:
        text = f"{machine.temperature_c:.0f} degrees Celsius"
        hot = machine.temperature_c >= _HOT_C
        advice = "add a heat sink or a fan" if hot else ""
        findings.append(Finding("heat", NOTE if hot else OK, text, advice))
    if machine.throttled is not None:
        why = machine.throttling
        text = f"{', '.join(why) or 'none'} ({machine.throttled:#x})"
        under = any("voltage" in reason for reason in why)
        advice = "use the board's own power supply and a short cable" if under else "cool it"
        findings.append(Finding("throttling", NOTE if why else OK, text, advice if why else ""))
    return findings


def check_libraries(libraries: Libraries, machine: Machine) -> list[Finding]:
    """Versions and builds; the one that does not start, explained."""
    findings = []
    for name, fact in libraries.working.items():
        text = f"{name} {fact['version']}"
        if name == "cv2":
            features = opencv_features(fact["build"])
            text += ": " + ", ".join(f"{key} {value}" for key, value in features.items())
        if name == "onnxruntime":
            text += f": {', '.join(fact['providers'])}"
        findings.append(Finding("library", OK, text))
    if libraries.broken:
        advice = _library_advice(libraries, machine)
        findings.append(Finding("library", PROBLEM, libraries.why, advice, ModelError.exit_code))
    return findings


def _library_advice(libraries: Libraries, machine: Machine) -> str:
    if "SIGILL" in libraries.why:
        return (
            f"it was built for a newer processor than {machine.cpu or 'this one'}; onnxruntime 1.21"
            " does so on a Raspberry Pi 4: pip install -U 'onnxruntime!=1.21.*'"
        )
    if "libGL" in libraries.why:
        return "pip uninstall opencv-python; pip install opencv-python-headless"
    package = "opencv-python-headless" if libraries.broken == "cv2" else libraries.broken
    return f"install it again: pip install --force-reinstall {package}"


def check_model(
    settings: Settings, load: Callable[[Settings], Localizer], clock: Callable[[], float]
) -> list[Finding]:
    """Hash and one timed frame, with the settings of a run."""
    from simrun.sources.demo import draw_scene

    try:
        localizer = load(settings)
        times_ms: list[float] = []
        start = clock()
        # Two at the least: the first one plans its memory, and is no measure of the rest.
        while len(times_ms) < _FRAMES and (len(times_ms) < 2 or clock() - start < _BUDGET_S):
            before = clock()
            localizer(draw_scene(1.0))
            times_ms.append((clock() - before) * 1000)
    except SimError as error:
        return [Finding("model", PROBLEM, str(error), exit_code=error.exit_code)]
    meta, digest = localizer.meta, localizer.bundle.sha256
    cold, *warm = times_ms
    return [
        Finding("model", OK, f"{meta.name}, SHA-256 {digest[:16]}... verified"),
        Finding(
            "speed",
            OK,
            f"{statistics.median(warm):.1f} ms a frame of 640x480 at side {localizer.side}, "
            f"median of {len(warm)}; the first took {cold:.1f} ms "
            f"(threads: {localizer.threads}, {localizer.provider})",
        ),
    ]


def check_cameras(nodes: list[VideoNode], asked: str | None, query: Query) -> list[Finding]:
    """V4L2 devices, ribbon-cable cameras, and the one that the run asks for."""
    findings = [f for node in nodes if (f := _node_finding(node)) is not None]
    others = [node for node in nodes if node.state == "other"]
    if others:
        findings.append(Finding("camera", OK, f"{len(others)} video devices that are no cameras"))
    findings += _check_ribbon(nodes, query)
    if not any(node.state in ("capture", "busy", "ribbon", "denied") for node in nodes):
        findings.append(Finding("camera", NOTE, "no camera found"))
    return _judge_asked(findings, nodes, asked)


def _node_finding(node: VideoNode) -> Finding | None:
    text = f"{node.path}: {node.name} ({node.driver})"
    match node.state:
        case "capture":
            return Finding("camera", OK, f"{text}, --camera {node.path.removeprefix('/dev/video')}")
        case "busy":
            advice = f"find the other program: sudo fuser -v {node.path}"
            return Finding("camera", NOTE, f"{text} is in use", advice)
        case "denied":
            advice = "sudo usermod -aG video $USER, then log in again"
            return Finding("camera", NOTE, f"{text}: no permission", advice)
        case "ribbon":
            advice = "use --camera rpicam: V4L2 alone gives no pictures"
            return Finding("camera", NOTE, f"{text} is a ribbon-cable camera", advice)
        case "error":
            return Finding("camera", NOTE, f"{text}: {node.error}")
        case _:
            return None


def _check_ribbon(nodes: list[VideoNode], query: Query) -> list[Finding]:
    listed = query(["rpicam-hello", "--list-cameras"])
    if listed is None:
        if any(node.state == "ribbon" for node in nodes):
            advice = "sudo apt install rpicam-apps"
            return [Finding("camera", NOTE, "rpicam-hello is not there or fails", advice)]
        return []
    lines = [line.strip() for line in listed.splitlines()]
    found = [line for line in lines if line[:1].isdecimal() and " : " in line]
    return [Finding("camera", OK, f"rpicam-hello: {line}") for line in found]


def _judge_asked(
    findings: list[Finding], nodes: list[VideoNode], asked: str | None
) -> list[Finding]:
    """The findings, with a problem where the camera of the run cannot be used."""
    number = (asked or "").removeprefix("/dev/video")
    if not number.isdecimal():
        return findings
    path = f"/dev/video{number}"
    node = next((node for node in nodes if node.path == path), None)
    if node is not None and node.state == "capture":
        return findings
    state = "is not there" if node is None else f"cannot be used ({node.state})"
    text = f"--camera {asked}: {path} {state}"
    return [*findings, Finding("camera", PROBLEM, text, exit_code=SourceError.exit_code)]


def report_text(report: Report) -> str:
    """The report: a line or more for each finding, then a line that sums it up."""
    lines = []
    for finding in report.findings:
        head = f"{finding.level:8}{finding.topic:12}"
        lines += _wrapped(head + hide_secrets(finding.text))
        if finding.advice:
            lines += _wrapped(f"{_INDENT}-> {hide_secrets(finding.advice)}")
    levels = [finding.level for finding in report.findings]
    problems, notes = levels.count(PROBLEM), levels.count(NOTE)
    lines.append(f"{_count(problems, 'problem')}, {_count(notes, 'note')}")
    return "\n".join(lines) + "\n"


def report_json(report: Report) -> str:
    """The report as a JSON object."""
    return json.dumps(report.to_json(), indent=2, ensure_ascii=False) + "\n"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _wrapped(text: str) -> list[str]:
    # A word that is too long is a path or a command: it stays whole, to be copied.
    return textwrap.wrap(
        text,
        _WIDTH,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
