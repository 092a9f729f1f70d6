"""What is read of a computer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simrun.diagnostics.machine import Machine, read_machine, read_peak_memory_mib, run_quietly
from tests.simrun.boards import PI4, PI5, X86, lay

KERNEL = ("6.6.31", "aarch64")


def _read(root: Path, vcgencmd: str | None = None) -> Machine:
    return read_machine(root, kernel=KERNEL, userland_bits=64, query=lambda _: vcgencmd)


def test_a_raspberry_pi_4(tmp_path: Path) -> None:
    assert _read(lay(PI4, tmp_path)) == Machine(
        board="Raspberry Pi 4 Model B Rev 1.1",
        system="Debian GNU/Linux 12 (bookworm)",
        kernel="6.6.31",
        architecture="aarch64",
        userland_bits=64,
        cpu="Cortex-A72",
        cores=2,
        features=("neon",),
        memory_mb=1848,
        available_mb=100,
        temperature_c=78.342,
        clock_mhz=600,
        clock_max_mhz=1800,
        governor="ondemand",
        throttled=0x50005,
    )


def test_a_raspberry_pi_5(tmp_path: Path) -> None:
    machine = _read(lay(PI5, tmp_path))
    assert machine.cpu == "Cortex-A76"
    assert machine.features == ("neon", "dotprod", "fp16")
    assert (machine.throttled, machine.throttling) == (0, ())


def test_a_pc(tmp_path: Path) -> None:
    machine = _read(lay(X86, tmp_path))
    assert machine.board == "NUC11"
    assert machine.cpu == "Some Core i5"
    assert machine.features == ("sse4.2", "avx", "fma", "avx2")
    assert machine.temperature_c == 44.0
    assert machine.throttled is None


def test_a_machine_that_says_nothing(tmp_path: Path) -> None:
    machine = _read(tmp_path)
    assert machine == Machine(
        **{name: None for name in machine.to_json() if name != "throttling"}
        | {"kernel": "6.6.31", "architecture": "aarch64", "userland_bits": 64}
        | {"cores": 1, "features": ()}  # type: ignore[arg-type]
    )


def test_the_firmwares_word_in_words(tmp_path: Path) -> None:
    machine = _read(lay(PI4, tmp_path))
    assert machine.throttling == (
        "under-voltage now",
        "throttled now",
        "under-voltage since start-up",
        "was throttled since start-up",
    )
    every = replace(machine, throttled=0xF000F)
    assert len(set(every.throttling)) == 8


@pytest.mark.parametrize(
    ("answer", "expected"),
    [("throttled=0x50000\n", 0x50000), ("error=1", None), ("", None), (None, None)],
)
def test_vcgencmd_is_asked_where_the_kernel_says_nothing(
    tmp_path: Path, answer: str | None, expected: int | None
) -> None:
    assert _read(tmp_path, answer).throttled == expected


def test_unknown_parts_are_named_by_number(tmp_path: Path) -> None:
    info = {"proc/cpuinfo": "CPU implementer\t: 0x41\nCPU part\t: 0xd99\n"}
    assert _read(lay(info, tmp_path)).cpu == "ARM part 0xd99"


def test_the_snapshot_is_json(tmp_path: Path) -> None:
    data = json.loads(json.dumps(_read(lay(PI4, tmp_path)).to_json()))
    assert data["features"] == ["neon"]
    assert data["throttled"] == 0x50005
    assert data["throttling"][0] == "under-voltage now"


def test_this_machine_can_be_read() -> None:
    machine = read_machine()
    assert machine.cores >= 1
    assert machine.userland_bits in (32, 64)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.fixed_dictionaries(
        {name: st.binary(max_size=60) | st.just(text.encode()) for name, text in PI4.items()}
    )
)
def test_no_content_of_the_files_is_an_error(tmp_path: Path, files: Mapping[str, bytes]) -> None:
    lay(dict.fromkeys(files, ""), tmp_path)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    json.dumps(_read(tmp_path).to_json())


@pytest.mark.parametrize("text", ["", "--5", "12 degrees", "9" * 5000])
def test_a_sensor_that_talks_nonsense_is_no_sensor(tmp_path: Path, text: str) -> None:
    assert (
        _read(lay({"sys/class/thermal/thermal_zone0/temp": text}, tmp_path)).temperature_c is None
    )


def test_programs_that_are_missing_or_fail_answer_none() -> None:
    assert run_quietly(["nonesuch"]) is None
    assert run_quietly(["false"]) is None
    assert run_quietly(["echo", "x"]) == "x\n"


def test_the_peak_memory_of_this_process(tmp_path: Path) -> None:
    status = "Name:\tpython\nVmPeak:\t  500000 kB\nVmHWM:\t  112232 kB\nVmRSS:\t  100000 kB\n"
    assert read_peak_memory_mib(lay({"proc/self/status": status}, tmp_path)) == 109.6
    assert read_peak_memory_mib(tmp_path / "nonesuch") is None
