"""The unit that `simrun service` writes."""

from __future__ import annotations

import codecs
import ctypes
import ctypes.util
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import onnxruntime as ort
import pytest
import typer
from hypothesis import example, given
from hypothesis import strategies as st

from simrun.cli.app import service
from simrun.config.layers import parse_settings
from simrun.config.schema import Settings
from simrun.errors import OutputError, SimError, UsageError
from simrun.service.install import Installation, install_unit, next_steps, plan_unit
from simrun.service.unit import UnitPlan, quote, unit_text
from tests.simrun.conftest import STROKES, Run

OPEN = Installation(
    ("/opt/simrun/bin/simrun",), (Path("/opt/simrun"),), mode=lambda _: stat.S_IFDIR | 0o755
)
PLAN = UnitPlan("simrun", ("/bin/true",), ("--camera=0",))

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


def _plan(
    *arguments: str,
    installation: Installation = OPEN,
    name: str = "simrun",
    user: str | None = None,
    watchdog_s: float = 30.0,
) -> UnitPlan:
    configuration = parse_settings(arguments, environment=False)
    return plan_unit(configuration, installation, name=name, user=user, watchdog_s=watchdog_s)


def _setting(text: str, key: str) -> list[str]:
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{key}=")]


def _arguments(line: str) -> list[bytes]:
    """What systemd.service(5) says a command line comes to: quotes, C escapes, `%%` and `$$`."""
    word = r'"((?:[^"\\]|\\.)*)"|(\S+)'
    return [
        codecs.escape_decode((quoted or bare).encode("utf-8"))[0]
        .replace(b"%%", b"%")
        .replace(b"$$", b"$")
        for quoted, bare in re.findall(word, line)
    ]


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))))
@example(
    [";", "", " ", "%n", "$HOME", "${X}", "$$", "'", '"', "\\", "\\n", "\n[Service]\nUser=root"]
)
@example(["a b", "ä", "\x7f", "\x1b[0m", "\u2028", "#", "-", "\\x41"])
def test_arguments_reach_the_program_as_they_are(arguments: list[str]) -> None:
    line = " ".join(map(quote, arguments))
    assert line.isprintable()
    assert _arguments(line) == [argument.encode() for argument in arguments]


def test_a_file_name_that_is_not_utf8_is_escaped_by_byte() -> None:
    assert quote(os.fsdecode(b"a\xff.png")) == r'"a\xff.png"'


def test_the_path_of_the_program_keeps_its_dollar() -> None:
    assert quote("/opt/a b$%/simrun", program=True) == '"/opt/a b$%%/simrun"'


def test_a_camera_becomes_a_unit() -> None:
    text = unit_text(_plan("--camera", "0", "--jsonl", "r.jsonl", "--no-classify"))
    assert _setting(text, "ExecStart") == [
        "/opt/simrun/bin/simrun --camera=0 --no-classify --jsonl=r.jsonl"
    ]
    for line in (
        "Type=notify",
        "WatchdogSec=30",
        "ExecReload=kill -HUP $MAINPID",
        "MemoryMax=75%",
        "Restart=always",
        "DynamicUser=yes",
        "SupplementaryGroups=video",
        "StateDirectory=simrun",
        "DeviceAllow=char-video4linux rw",
        "ProtectHome=yes",
        "MemoryDenyWriteExecute=yes",
        "SuccessExitStatus=143",
    ):
        assert line in text.splitlines()
    assert "network-online" not in text
    assert "LoadCredential" not in text


def test_options_of_the_service() -> None:
    text = unit_text(_plan("--camera", "rpicam", name="porch", user="root", watchdog_s=90))
    assert _setting(text, "User") == ["root"]
    assert _setting(text, "DynamicUser") == []
    assert _setting(text, "WatchdogSec") == ["90"]
    assert _setting(text, "StateDirectory") == ["porch"]
    assert "char-dma_heap rw" in _setting(text, "DeviceAllow")


@pytest.mark.parametrize(
    ("name", "compiles"),
    [
        ("cpu", False),
        ("XnnpackExecutionProvider", False),
        ("cuda", True),
        ("migraphx", True),  # not in the table: who knows
    ],
)
def test_only_a_provider_that_compiles_its_kernels_may_make_code(
    monkeypatch: pytest.MonkeyPatch, name: str, compiles: bool
) -> None:
    build = [f"{kind}ExecutionProvider" for kind in ("MIGraphX", "CUDA", "Xnnpack", "CPU")]
    monkeypatch.setattr(ort, "get_available_providers", lambda: build)
    text = unit_text(_plan("--camera", "0", "--provider", name))
    assert ("MemoryDenyWriteExecute" not in text) == compiles


def test_the_watchdog_leaves_time_to_await_the_camera_and_to_keep_the_pace() -> None:
    text = unit_text(_plan("--camera", "0", "--wait", "60", "--max-fps", "0.1"))
    assert _setting(text, "WatchdogSec") == ["100"]


@pytest.mark.parametrize(
    ("options", "limit_s"),
    [
        # A frame in 300 of a camera that is taken for one of 5 frames/s.
        (["--stride", "301"], "90"),
        (["--stride", "301", "--fps", "10"], "60"),
        (["--stall", "65"], "90"),
        (["--stall", "1"], "30"),
    ],
)
def test_the_watchdog_follows_what_the_run_was_told(options: list[str], limit_s: str) -> None:
    text = unit_text(_plan("--camera", "0", *options))
    assert _setting(text, "WatchdogSec") == [limit_s]


def test_keys_are_handed_over_by_systemd(tmp_path: Path) -> None:
    key, ca = tmp_path / "my.key", tmp_path / "ca.crt"
    text = unit_text(
        _plan("--demo", "--mqtt", "mqtts://h/t", "--mqtt-ca", str(ca), "--mqtt-key", str(key))
    )
    assert _setting(text, "LoadCredential") == [f"mqtt-ca:{ca}", f"mqtt-key:{key}"]
    (command,) = _setting(text, "ExecStart")
    assert "--mqtt-key=${CREDENTIALS_DIRECTORY}/mqtt-key" in command
    assert str(key) not in command


def test_a_stream_waits_for_the_network() -> None:
    assert "After=" in unit_text(_plan("--source", "rtsp://cam/1"))
    assert "network-online.target" in unit_text(_plan("--source", "rtsp://cam/1"))


def test_a_configuration_file_is_handed_over_by_systemd(tmp_path: Path) -> None:
    file = tmp_path / "porch.toml"
    file.write_text("source = 'rtsp://me:hunter2@cam/1'\nside = 300\n")
    file.chmod(0o600)
    text = unit_text(_plan("--config", str(file), "--threads", "2"))
    assert _setting(text, "LoadCredential") == [f"config.toml:{file}"]
    assert _setting(text, "ExecStart") == [
        "/opt/simrun/bin/simrun --config=${CREDENTIALS_DIRECTORY}/config.toml --threads=2"
    ]
    assert "hunter2" not in text
    assert "network-online.target" in text


def test_paths_of_inputs_become_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("simrun.service.install._HIDDEN", ())
    monkeypatch.chdir(STROKES.parent)
    assert _plan("--demo", "--model", "strokes").arguments == ("--demo", f"--model={STROKES}")
    assert _plan("--demo", "--model", "scene-text").arguments == ("--demo", "--model=scene-text")
    file = tmp_path / "c.toml"
    file.write_text("model = 'strokes'")
    assert _plan("--demo", "--config", str(file)).arguments == ("--demo", f"--model={STROKES}")


def test_the_environment_of_the_installer_is_no_part_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SIMRUN_SIDE", "100")
    assert _plan("--demo").arguments == ("--demo",)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--source", "rtsp://me:hunter2@cam/1"], "--source may hold a secret"),
        (["--camera", "0", "--append", "--overwrite"], "--append keeps what --overwrite"),
        (["--camera", "0", "--rotate", "weekly"], "--rotate is 'weekly'"),
        (["--camera", "0", "--save", "r.mp4"], "--save r.mp4 can be read only once it is complete"),
        (["--camera", "0", "--csv", "/srv/r.csv", "--overwrite"], "--csv is /srv/r.csv; "),
        (["--camera", "0", "--save", "../x", "--overwrite"], "--save is ../x; "),
        (["--camera", "0", "--sink", "crops=/srv/c"], "--crops is /srv/c; "),
        (["--camera", "0", "--show"], "--show needs a screen"),
        (["--demo", "--model", "nonesuch"], "no model 'nonesuch'"),
    ],
)
def test_a_run_that_cannot_be_a_service_is_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(SimError) as caught:
        _plan(*arguments)
    assert str(caught.value).startswith(message)
    assert "hunter2" not in str(caught.value)


def test_results_may_go_to_the_services_own_folder() -> None:
    arguments = ("--demo", "--jsonl", "/var/lib/porch/r.jsonl")
    assert _plan(*arguments, name="porch").arguments[1] == "--jsonl=/var/lib/porch/r.jsonl"


@pytest.mark.parametrize("name", ["", "a b", "../x", "x.service", "a" * 32, "1st", "a\n"])
def test_a_name_that_is_none(name: str) -> None:
    with pytest.raises(UsageError, match="--name is"):
        _plan("--demo", name=name)


def test_a_user_that_is_none_and_a_watchdog_that_is_none() -> None:
    with pytest.raises(UsageError, match="--user is 'nonesuch'"):
        _plan("--demo", user="nonesuch")
    with pytest.raises(UsageError, match="--watchdog is 0"):
        _plan("--demo", watchdog_s=0)


def test_a_home_that_is_closed_to_others_is_said() -> None:
    def mode(path: Path) -> int:
        return stat.S_IFDIR | (0o700 if path == Path("/home/pi") else 0o755)

    venv = Path("/home/pi/venv")
    at_home = Installation((f"{venv}/bin/simrun",), (venv,), mode)
    with pytest.raises(UsageError, match=r"/home/pi is closed to other users.*--user NAME"):
        _plan("--demo", installation=at_home)
    assert "ProtectHome=read-only" in unit_text(_plan("--demo", installation=at_home, user="root"))


def test_a_folder_that_cannot_be_looked_into_is_closed() -> None:
    def mode(_: Path) -> int:
        raise PermissionError(13, "Permission denied")

    with pytest.raises(UsageError, match="is closed to other users"):
        _plan("--demo", installation=Installation(("/srv/x",), (), mode))


def test_an_installation_in_tmp_is_refused() -> None:
    in_tmp = Installation(("/tmp/venv/bin/simrun",), (), OPEN.mode)
    with pytest.raises(UsageError, match="folder for temporary files"):
        _plan("--demo", installation=in_tmp)


def test_install_writes_the_unit_once(tmp_path: Path) -> None:
    path = install_unit(PLAN, replace=False, folder=tmp_path)
    assert path == tmp_path / "simrun.service"
    assert path.read_text() == unit_text(PLAN)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    install_unit(PLAN, replace=False, folder=tmp_path)
    other = UnitPlan("simrun", ("/bin/true",), ("--demo",))
    with pytest.raises(OutputError, match="is there and different; add --replace"):
        install_unit(other, replace=False, folder=tmp_path)
    assert path.read_text() == unit_text(PLAN)
    install_unit(other, replace=True, folder=tmp_path)
    assert path.read_text() == unit_text(other)
    assert [file.name for file in tmp_path.iterdir()] == ["simrun.service"]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left on device"):
        install_unit(PLAN, replace=False, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_roots_rights_the_message_is_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    monkeypatch.setattr(sys, "argv", ["simrun", "service", "install", "--camera", "a b"])
    with pytest.raises(OutputError, match=r"sudo /bin/true service install --camera 'a b'$"):
        install_unit(PLAN, replace=False, folder=tmp_path)


def test_the_command_prints_and_installs(
    simrun: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Installation, "of_this_process", lambda: OPEN)
    monkeypatch.setattr("simrun.service.install._HIDDEN", ())
    monkeypatch.setattr("simrun.service.install.UNIT_FOLDER", tmp_path)
    run = ("--camera", "0", "--model", STROKES)
    code, printed, _ = simrun("service", "print", "--name", "porch", *run)
    assert code == 0
    assert simrun("service", "print", "--name", "porch", "--", *run)[1] == printed
    code, out, err = simrun("service", "install", *run, "--name", "porch")
    assert code == 0
    assert err == f"simrun: {tmp_path}/porch.service is written; next:\n"
    assert out.startswith("sudo systemctl daemon-reload\n")
    assert (tmp_path / "porch.service").read_text() == printed


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--sdie", "3"], 2, "No such option"),
        ([], 2, "name one source"),
        (["--demo", "--sink", "csv=/srv/r.csv"], 2, "--csv is /srv/r.csv; a service writes below"),
        (["--demo", "--side", "5"], 2, "--side is 5"),
        (["--demo", "--model", "nonesuch"], 3, "no model 'nonesuch'"),
    ],
)
def test_a_wrong_run_is_not_installed(
    simrun: Run, arguments: list[str], code: int, message: str
) -> None:
    got, out, err = simrun("service", "install", *arguments)
    assert (got, out) == (code, "")
    assert message in err


@pytest.mark.parametrize("command", ["print", "install"])
def test_no_option_of_a_run_is_taken_by_the_service(command: str) -> None:
    group: Any = typer.main.get_command(service)
    own = {parameter.name for parameter in group.commands[command].params}
    assert "watchdog" in own
    assert not own & {field.name for field in fields(Settings)}


def test_the_next_steps_name_the_service() -> None:
    assert "enable --now porch" in next_steps("porch")


@needs_systemd
def test_systemd_takes_the_unit_and_finds_it_hardened(tmp_path: Path) -> None:
    plan = UnitPlan(
        "simrun",
        ("/bin/true",),
        ("--save=a b%c$d\"e\\f'g;\n#", ";"),
        config="/etc/simrun/a%b.toml",
        network=True,
        libcamera=True,
    )
    path = install_unit(plan, replace=False, folder=tmp_path)
    verify = subprocess.run(
        ["systemd-analyze", "verify", path], capture_output=True, text=True, check=False
    )
    assert (verify.returncode, verify.stderr) == (0, "")
    security = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", path],
        capture_output=True,
        text=True,
        check=True,
    )
    score = re.search(r"exposure level for simrun\.service: ([\d.]+)", security.stdout)
    assert score is not None
    assert float(score[1]) <= 2.0


_CONFINED = """
import ctypes, json, sys
MDWE, EPERM = 65, 1
libc = ctypes.CDLL(None)
allowed = json.loads(sys.argv[1])
if libc.prctl(MDWE, 1, 0, 0, 0):
    sys.exit(77)  # a kernel before 6.3
seccomp = ctypes.CDLL("libseccomp.so.2")
seccomp.seccomp_init.restype = ctypes.c_void_p
context = ctypes.c_void_p(seccomp.seccomp_init(0x00050000 | EPERM))
for name in allowed:
    number = seccomp.seccomp_syscall_resolve_name(name.encode())
    if number >= 0:
        assert seccomp.seccomp_rule_add(context, 0x7FFF0000, number, 0) == 0
assert seccomp.seccomp_load(context) == 0
sys.argv[1:] = sys.argv[2:]
from simrun.cli.app import main
main()
"""


def _system_calls(group: str) -> set[str]:
    """The system calls of a group, as this systemd has it."""
    out = subprocess.run(
        ["systemd-analyze", "syscall-filter", "--no-pager", group],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    names = {line.strip() for line in out.splitlines()[1:] if line.startswith("    ")}
    names = {name for name in names if not name.startswith("#")}
    nested = {name for name in names if name.startswith("@")}
    return (names - nested).union(*map(_system_calls, nested))


@needs_systemd
@pytest.mark.skipif(ctypes.util.find_library("seccomp") is None, reason="needs libseccomp")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_run_works_under_the_units_filters(tmp_path: Path, threads: int) -> None:
    first, second = _setting(unit_text(PLAN), "SystemCallFilter")
    refused = set().union(*map(_system_calls, second.removeprefix("~").split()))
    allowed = sorted(_system_calls(first) - refused)
    assert "read" in allowed
    assert "reboot" not in allowed
    arguments = ["--demo", "--max-frames=3", f"--model={STROKES}", f"--threads={threads}"]
    outputs = [f"--save={tmp_path}/a.mp4", f"--csv={tmp_path}/r.csv"]
    run = subprocess.run(
        [sys.executable, "-c", _CONFINED, json.dumps(allowed), *arguments, *outputs],
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode == 77:
        pytest.skip("needs a kernel that can deny write-execute memory (6.3)")
    assert run.returncode == 0, run.stderr
    assert run.stderr.startswith("simrun: 3 frames")
