"""`simrun check` on computers in all states."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

import pytest

from simrun.config.layers import Configuration
from simrun.config.schema import Settings
from simrun.diagnostics.check import Finding, Probes, Report, check, report_json, report_text
from simrun.diagnostics.libraries import Probed, opencv_features, probe_libraries, read_libraries
from simrun.diagnostics.machine import read_machine
from simrun.errors import ModelError, UsageError
from simrun.localizer import Localizer
from simrun.sources.devices.discovery import VideoNode, list_cameras
from tests.simrun.boards import PI4, PI5, X86, lay
from tests.simrun.conftest import STROKES, Run

BUILD = """
  GUI:                           NONE
    GTK+:                        NO
    FFMPEG:                      YES
    GStreamer:                   NO
    v4l/v4l2:                    YES (linux/videodev2.h)
"""
LINES = [
    {"name": "numpy", "version": "2.4.6"},
    {"name": "cv2", "version": "5.0.0", "build": BUILD},
    {"name": "onnxruntime", "version": "1.32.0", "providers": ["CPUExecutionProvider"]},
]


def _probed(works: int = 3, err: str = "", code: int = 0) -> Probed:
    """A probe of the libraries of which the first few work."""
    return Probed("".join(json.dumps(line) + "\n" for line in LINES[:works]), err, code)


def _camera(path: Path) -> str:
    """What the devices of the fake Raspberry Pi 4 are."""
    return {"video1": "other", "video10": "other"}.get(path.name, "capture")


def _report(
    root: Path,
    *,
    settings: Settings | None = None,
    bits: int = 64,
    probed: Probed | None = None,
    camera: Callable[[Path], str] = _camera,
    query: Callable[[Sequence[str]], str | None] = lambda _: None,
    load: Callable[[Settings], Localizer] = lambda _: Localizer.load(STROKES),
) -> Report:
    ticks = count()
    return check(
        Probes(
            lambda: Configuration(settings or Settings(), {"side": "default"}, None),
            load,
            machine=lambda: read_machine(
                root, kernel=("6.6", "aarch64"), userland_bits=bits, query=lambda _: None
            ),
            libraries=lambda: read_libraries(lambda: probed or _probed()),
            cameras=lambda: list_cameras(root, probe=camera),
            query=query,
            clock=lambda: next(ticks) * 0.01,
        )
    )


def _of(report: Report, topic: str) -> list[tuple[str, str]]:
    return [(f.level, f.text) for f in report.findings if f.topic == topic]


def test_a_healthy_machine_has_no_problems(tmp_path: Path) -> None:
    report = _report(lay(PI5, tmp_path))
    assert report.exit_code == 0
    assert {f.level for f in report.findings if f.topic != "camera"} == {"ok"}
    assert _of(report, "throttling") == [("ok", "none (0x0)")]
    assert _of(report, "camera") == [("note", "no camera found")]
    assert report_text(report).endswith("0 problems, 1 note\n")


def test_a_pc(tmp_path: Path) -> None:
    report = _report(lay(X86, tmp_path))
    assert _of(report, "board") == [("ok", "NUC11")]
    assert _of(report, "heat") == [("ok", "44 degrees Celsius")]


def test_a_hot_and_hungry_raspberry_pi_4(tmp_path: Path) -> None:
    report = _report(lay(PI4, tmp_path))
    assert report.exit_code == 0
    assert _of(report, "cpu") == [("ok", "2 x Cortex-A72, 600 of 1800 MHz, governor ondemand")]
    assert _of(report, "memory") == [("note", "100 of 1848 MB available")]
    assert _of(report, "heat") == [("note", "78 degrees Celsius")]
    ((level, text),) = _of(report, "throttling")
    assert level == "note"
    assert text.startswith("under-voltage now, throttled now")
    assert "power supply" in report_text(report)


def test_one_frame_is_timed_cold_and_warm(tmp_path: Path) -> None:
    report = _report(lay(PI5, tmp_path))
    ((_, model), (_, speed)) = _of(report, "model") + _of(report, "speed")
    assert model.startswith("strokes, SHA-256 ")
    assert model.endswith("verified")
    assert speed.startswith(
        "10.0 ms a frame of 640x480 at side 320, median of 19; the first took 10"
    )


def test_a_32_bit_system_is_a_problem(tmp_path: Path) -> None:
    report = _report(lay(PI4, tmp_path), bits=32)
    assert report.exit_code == 3
    assert "install the 64-bit Raspberry Pi OS" in report_text(report)


def test_an_illegal_instruction_is_explained(tmp_path: Path) -> None:
    def never(_: Settings) -> Localizer:
        raise AssertionError("the library that kills processes is not to be imported here")

    report = _report(lay(PI4, tmp_path), probed=_probed(2, code=-int(signal.SIGILL)), load=never)
    assert report.exit_code == 3
    (problem,) = [f for f in report.findings if f.level == "problem"]
    assert "onnxruntime" in problem.text
    assert "an instruction that this processor does not have (SIGILL)" in problem.text
    assert "than Cortex-A72" in problem.advice
    assert "'onnxruntime!=1.21.*'" in problem.advice


@pytest.mark.parametrize(
    ("probed", "text", "advice"),
    [
        (_probed(2, code=-int(signal.SIGSEGV)), "a memory fault (SIGSEGV)", "--force-reinstall"),
        (_probed(2, code=-int(signal.SIGKILL)), "dies of SIGKILL", "--force-reinstall"),
        (
            _probed(1, "Traceback\nImportError: libGL.so.1: cannot open shared object file\n", 1),
            "ImportError: libGL.so.1",
            "pip install opencv-python-headless",
        ),
        (_probed(0, "\n", 1), "numpy gave no answer (status 1)", "--force-reinstall numpy"),
    ],
)
def test_a_library_that_does_not_start(
    tmp_path: Path, probed: Probed, text: str, advice: str
) -> None:
    report = _report(tmp_path, probed=probed)
    (problem,) = [f for f in report.findings if f.level == "problem"]
    assert (problem.topic, problem.exit_code) == ("library", 3)
    assert text in problem.text
    assert advice in problem.advice


def test_the_libraries_of_this_python_work() -> None:
    libraries = read_libraries(probe_libraries)
    assert list(libraries.working) == ["numpy", "cv2", "onnxruntime"]
    assert libraries.broken is None
    assert "yes" in opencv_features(libraries.working["cv2"]["build"])["v4l2"]


def test_what_opencv_was_built_with() -> None:
    assert opencv_features(BUILD) == {
        "gui": "none",
        "ffmpeg": "yes",
        "gstreamer": "no",
        "v4l2": "yes",
    }


def test_a_model_that_does_not_verify(tmp_path: Path, strokes: Path) -> None:
    (strokes / "localizer.onnx").write_bytes(b"damaged")
    report = _report(tmp_path, load=lambda _: Localizer.load(strokes))
    assert report.exit_code == 3
    assert "does not verify" in _of(report, "model")[0][1]


def test_a_broken_configuration_does_not_end_the_check(tmp_path: Path) -> None:
    def broken() -> Configuration:
        raise UsageError("a.toml: no setting 'sdie'")

    report = check(
        Probes(
            broken,
            lambda _: Localizer.load(STROKES),
            machine=lambda: read_machine(tmp_path),
            libraries=lambda: read_libraries(_probed),
            cameras=list,
            query=lambda _: None,
        )
    )
    assert report.exit_code == 2
    assert _of(report, "config") == [("problem", "a.toml: no setting 'sdie'")]
    assert _of(report, "speed")[0][0] == "ok"


def test_cameras_are_told_from_other_devices(tmp_path: Path) -> None:
    report = _report(lay(PI4, tmp_path))
    assert _of(report, "camera") == [
        ("ok", "/dev/video0: HD Webcam: HD Webcam (?), --camera 0"),
        ("note", "/dev/video2: unicam-image (?) is a ribbon-cable camera"),
        ("ok", "2 video devices that are no cameras"),
        ("note", "rpicam-hello is not there or fails"),
    ]
    assert "sudo apt install rpicam-apps" in report_text(report)


def test_the_driver_is_where_the_link_leads(tmp_path: Path) -> None:
    lay({"sys/bus/usb/drivers/uvcvideo/x": "", **PI4}, tmp_path)
    device = tmp_path / "sys/class/video4linux/video0/device"
    device.mkdir()
    (device / "driver").symlink_to(tmp_path / "sys/bus/usb/drivers/uvcvideo")
    assert list_cameras(tmp_path, probe=_camera)[0] == VideoNode(
        "/dev/video0", "HD Webcam: HD Webcam", "uvcvideo", "capture"
    )


def _taken(path: Path) -> str:
    raise OSError(16, "Device or resource busy", str(path))


def test_a_device_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    lay(PI4, tmp_path)
    found = {}
    for probe in (_denied, _taken, _gone):
        node = list_cameras(tmp_path, probe=probe)[0]
        found[probe] = (node.state, node.error)
    assert found == {
        _denied: ("denied", ""),
        _taken: ("busy", ""),
        _gone: ("error", "No such device"),
    }


def test_cameras_that_libcamera_knows_are_listed(tmp_path: Path) -> None:
    listed = "Available cameras\n-----------------\n0 : imx708 [4608x2592 10-bit RGGB] (/base)\n"
    report = _report(
        lay(PI4, tmp_path), query=lambda command: listed if "rpicam" in command[0] else None
    )
    assert ("ok", "rpicam-hello: 0 : imx708 [4608x2592 10-bit RGGB] (/base)") in _of(
        report, "camera"
    )


def _denied(path: Path) -> str:
    raise PermissionError(13, "Permission denied", str(path))


def _gone(path: Path) -> str:
    raise OSError(19, "No such device", str(path))


@pytest.mark.parametrize(
    ("asked", "camera", "code", "text"),
    [
        ("0", _camera, 0, ""),
        ("/dev/video0", _camera, 0, ""),
        ("rpicam", _denied, 0, "no permission"),
        ("1", _camera, 4, "--camera 1: /dev/video1 cannot be used (other)"),
        ("7", _camera, 4, "--camera 7: /dev/video7 is not there"),
        ("0", lambda _: "busy", 4, "/dev/video0 cannot be used (busy)"),
        ("0", _denied, 4, "/dev/video0 cannot be used (denied)"),
        ("0", _gone, 4, "/dev/video0: HD Webcam: HD Webcam (?): No such device"),
        ("2", _camera, 4, "/dev/video2 cannot be used (ribbon)"),
    ],
)
def test_the_camera_that_is_asked_for_has_to_work(
    tmp_path: Path, asked: str, camera: Callable[[Path], str], code: int, text: str
) -> None:
    report = _report(lay(PI4, tmp_path), settings=Settings(camera=asked), camera=camera)
    assert report.exit_code == code
    assert any(text in found for _, found in _of(report, "camera"))


def test_the_text_fits_80_columns_and_hides_passwords(tmp_path: Path) -> None:
    report = _report(lay(PI4, tmp_path), bits=32, camera=_denied)
    secret = Finding("config", "ok", "rtsp://me:hunter2@cam/1 " * 5, "http://x/?token=abc " * 5)
    report = Report(report.machine, (*report.findings, secret))
    text = report_text(report)
    assert max(map(len, text.splitlines())) <= 80
    assert text.isascii()
    for shown in (text, report_json(report)):
        assert "hunter2" not in shown
        assert "abc " not in shown
        assert "rtsp://***@cam/1" in shown


def test_the_json_has_it_all(tmp_path: Path) -> None:
    data = json.loads(report_json(_report(lay(PI4, tmp_path), settings=Settings(camera="7"))))
    assert data["schema"] == "simrun-check/1"
    assert data["exit_code"] == 4
    assert data["machine"]["board"] == "Raspberry Pi 4 Model B Rev 1.1"
    assert data["findings"][-1]["level"] == "problem"


def test_the_command(simrun: Run, tmp_path: Path) -> None:
    code, out, err = simrun("check", "--model", STROKES, "--threads", "2")
    assert (code, err) == (0, "")
    assert "set: model (flag), threads (flag)" in out
    file = tmp_path / "c.toml"
    file.write_text("sdie = 3")
    code, out, _ = simrun("check", "--json", "--config", file, "--model", STROKES)
    assert code == 2
    assert json.loads(out)["findings"][0]["level"] == "problem"


def test_a_model_error_keeps_its_code(tmp_path: Path) -> None:
    def missing(_: Settings) -> Localizer:
        raise ModelError("no model 'x'")

    assert _report(tmp_path, load=missing).exit_code == 3
