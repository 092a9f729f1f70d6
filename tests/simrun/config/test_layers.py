"""Settings: a file below the environment below the flags."""

from __future__ import annotations

import json
import os
import threading
import tomllib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from simrun.config.layers import parse_settings, read_file, to_toml
from simrun.config.options import OptionType, option_types
from simrun.config.schema import Settings
from simrun.errors import UsageError
from tests.simrun.conftest import Run

TYPES = option_types(Settings)

# The folder is the same for all examples, its one file is written anew for each.
many = hypothesis_settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "simrun.toml"


def _given(file: Path, text: str | bytes, *flags: str) -> Settings:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return parse_settings(["--config", str(file), *flags]).settings


def test_each_layer_overrides_the_one_before(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMRUN_THREADS", "2")
    monkeypatch.setenv("SIMRUN_SIDE", "200")
    file.write_text("side = 100\nthreads = 3\nmax-frames = 7\nclassify = false\n")
    got = parse_settings(["--config", str(file), "--side", "300", "--demo"])
    assert got.settings == Settings(side=300, threads="2", max_frames=7, classify=False, demo=True)
    chosen = ("side", "threads", "max_frames", "model", "demo")
    assert [got.origins[name] for name in chosen] == [
        "flag",
        "environment",
        "file",
        "default",
        "flag",
    ]


def test_a_key_may_be_spelled_either_way_but_once(file: Path) -> None:
    assert _given(file, "max_frames = 3") == _given(file, "max-frames = 3")
    with pytest.raises(UsageError, match="'max_frames' is there twice"):
        _given(file, "max-frames = 3\nmax_frames = 3")


def test_a_camera_may_be_a_number(file: Path) -> None:
    assert _given(file, "camera = 0").camera == "0"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], Settings(camera="0")),
        (["--demo"], Settings(demo=True)),
        (["--source", "a.png"], Settings(source="a.png")),
        (["--demo", "--camera", "1"], Settings(demo=True, camera="1")),
    ],
)
def test_a_source_replaces_that_of_a_lower_layer(
    file: Path, flags: list[str], expected: Settings
) -> None:
    assert _given(file, "camera = 0", *flags) == expected


def test_the_file_may_be_named_in_the_environment(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("side = 100")
    monkeypatch.setenv("SIMRUN_CONFIG", str(file))
    assert parse_settings([]).settings.side == 100
    assert parse_settings([], environment=False).settings.side is None


def test_a_file_in_the_users_folder_is_found_and_said(
    simrun: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    file = tmp_path / "simrun" / "config.toml"
    file.parent.mkdir()
    file.write_text("max-frames = 2\nmodel = 'nonesuch'\n")
    assert parse_settings([]).settings.max_frames == 2
    assert parse_settings([], environment=False).file is None
    code, _, err = simrun("--demo")
    assert code == 3
    assert err.startswith(f"simrun: configuration from {file}\nsimrun: no model 'nonesuch'")


def test_a_home_that_is_closed_or_none_has_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    assert parse_settings([]).file is None
    monkeypatch.setattr(Path, "is_file", refuse)
    assert parse_settings([]).file is None
    monkeypatch.setenv("XDG_CONFIG_HOME", "~nonesuch/x")
    assert parse_settings([]).file is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sidee = 3", "no setting 'sidee'; did you mean 'side'?"),
        ("xyzzy = 3", "no setting 'xyzzy'; known: source, camera, "),
        ("[run]\nside = 3", "no setting 'run'; "),
        ("side = 'abc'", "side is 'abc'; it must be a whole number"),
        ("side = 3.5", "side is 3.5; it must be a whole number"),
        ("side = true", "side is True; it must be a whole number"),
        ("side = [1]", r"side is \[1\]; it must be a whole number"),
        ("demo = 1", "demo is 1; it must be true or false"),
        ("jsonl = 1.5", "jsonl is 1.5; it must be a text in quotes"),
        ('jsonl = "a\\u0000b"', r"jsonl is 'a\\x00b'; it must be a text in quotes"),
        ("max-frames = 0", "max-frames is 0; it must be a whole number, at least 1"),
        ("source = 1979-05-27", r"source is datetime.date\(1979, 5, 27\); it must be a text"),
        ("side == 3", "is not TOML: "),
        ("a = " + "[" * 5000, "is nested too deeply"),
        ("side = " + "9" * 5000, "is not TOML: "),
        (b"model = '\xff'", "is not UTF-8 text, see byte 9"),
        ("#" * (1 << 20) + "#", "larger than 1 MiB"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_in_one_line(
    file: Path, text: str | bytes, message: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        _given(file, text)
    line = str(caught.value)
    assert line.startswith(str(file))
    assert line.isprintable()
    assert len(line) < 400


def test_a_file_that_is_missing_or_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml: No such file or directory"):
        parse_settings(["--config", str(tmp_path / "none.toml")])
    with pytest.raises(UsageError, match="Is a directory"):
        parse_settings(["--config", str(tmp_path)])


@pytest.mark.parametrize("name", ["jsonl", "model", "source", "sink", "token", "mqtt-ca"])
def test_an_empty_text_is_no_value(name: str) -> None:
    with pytest.raises(UsageError, match=f"--{name} is empty"):
        parse_settings([f"--{name}", ""])


@pytest.mark.parametrize("arguments", [("--config", "", "--demo"), ("bench", "--model", "")])
def test_an_empty_file_or_model_is_told(simrun: Run, arguments: tuple[str, ...]) -> None:
    code, _, errors = simrun(*arguments)
    assert (code, errors.count("\n")) == (2, 1)
    assert "is empty; give it a value, or leave it out" in errors


def test_a_misspelled_variable_is_told_and_others_are_not(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("MAX_FRAME", "VERSION", "DEBUG", "PORT", "SERVICE_HOST", "TOKEN"):
        monkeypatch.setenv(f"SIMRUN_{name}", "1")
    parse_settings([])
    assert caplog.messages == [
        "SIMRUN_MAX_FRAME in the environment is no setting; did you mean SIMRUN_MAX_FRAMES?"
    ]


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMRUN_JSONL", "")
    assert parse_settings([]).settings.jsonl is None


def test_a_pipe_that_nobody_writes_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simrun.config.layers._PATIENCE_S", 0)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(UsageError, match="nobody writes to this pipe"):
        read_file(pipe)


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("side = 320\n",))
    writer.start()
    assert read_file(pipe) == {"side": 320}
    writer.join()


def test_a_bad_file_ends_a_run_with_2_but_not_the_help(simrun: Run, file: Path) -> None:
    file.write_text("sidee = 3")
    code, out, err = simrun("--config", file, "--demo")
    assert (code, out) == (2, "")
    assert err == f"simrun: {file}: no setting 'sidee'; did you mean 'side'?\n"
    assert simrun("--config", file, "--help")[0] == 0


def test_an_option_in_front_of_a_subcommand_is_refused(
    simrun: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = simrun("--side", "320", "config")
    assert code == 2
    assert err == "simrun: --side is in front of 'config'; write it behind, if it fits\n"
    monkeypatch.setenv("SIMRUN_SIDE", "320")
    assert simrun("models")[0] == 0


def test_variables_of_containers_are_no_flags(simrun: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMRUN_VERSION", "0.1.0")
    monkeypatch.setenv("SIMRUN_DEBUG", "no")
    assert simrun("config")[0] == 0


def test_config_prints_values_and_origins(simrun: Run, file: Path) -> None:
    file.write_text("side = 100")
    code, out, _ = simrun("config", "--config", file, "--threads", "2", "--jsonl", 'ä "\\\x7f.x')
    assert code == 0
    assert "side = 100                      # file\n" in out
    assert 'threads = "2"                   # flag\n' in out
    assert "# model =\n" in out
    assert tomllib.loads(out)["jsonl"] == 'ä "\\\x7f.x'
    assert simrun("config", "extra")[0] == 2
    assert simrun("config", "--sdie", "3")[0] == 2


def test_config_shows_no_secrets(simrun: Run) -> None:
    code, out, _ = simrun("config", "--source", "rtsp://me:hunter2@cam/1")
    assert code == 0
    assert "hunter2" not in out
    assert "# source = rtsp://***@cam/1  # flag\n" in out
    assert "source" not in tomllib.loads(out)


def test_a_name_that_is_not_utf8_is_left_out(simrun: Run) -> None:
    code, out, _ = simrun("config", "--source", "\udcff.png")
    assert code == 0
    assert "source" not in tomllib.loads(out)


def test_open_permissions_of_secrets_are_warned_of(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.write_text("source = 'http://me:hunter2@cam/'")
    file.chmod(0o600)
    read_file(file)
    assert caplog.text == ""
    file.chmod(0o644)
    read_file(file)
    assert "chmod 600" in caplog.text
    assert "hunter2" not in caplog.text


def _values(wanted: OptionType) -> st.SearchStrategy[Any]:
    low, high = wanted.least, wanted.most
    text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
    return {
        bool: st.booleans(),
        int: st.integers(None if low is None else int(low), None if high is None else int(high)),
        float: st.floats(low, high, allow_nan=False),
        str: text,
        list: st.lists(text, min_size=1),
    }[wanted.kind]


@many
@given(st.fixed_dictionaries({}, optional={name: _values(kind) for name, kind in TYPES.items()}))
def test_what_config_prints_gives_the_same_settings(tmp_path: Path, values: dict[str, Any]) -> None:
    file = tmp_path / "c.toml"
    file.write_text(
        "".join(
            f"{name} = {json.dumps(value, ensure_ascii=False)}\n".replace("\x7f", "\\u007f")
            for name, value in values.items()
            if value not in (float("inf"), float("-inf"))
        )
    )
    first = parse_settings(["--config", str(file)])
    file.write_text(to_toml(first))
    # All but the secret, which is not printed.
    expected = replace(first.settings, token=None)
    assert parse_settings(["--config", str(file)]).settings == expected


keys = st.sampled_from([name.replace("_", "-") for name in TYPES]) | st.text(max_size=5)
SCRAPS = r"""'a' "a" ' 0 -1 1e999 nan inf true [ ] { } = # . , [[a]] \u0000 1979-05-27"""
scraps = st.sampled_from([*SCRAPS.split(), "0x" + "f" * 40, "\n", "\r", "\x7f"])
lines = st.lists(st.builds("{} = {}\n".format, keys, scraps | st.text(max_size=8))).map("".join)


@many
@given(st.binary() | (st.text() | lines | st.lists(scraps | keys).map("".join)).map(str.encode))
@example(b"a.b.c = 1")
def test_any_content_gives_settings_or_a_usage_error(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "c.toml"
    file.write_bytes(content)
    with suppress(UsageError):
        values = read_file(file)
        assert all(TYPES[name].accepts(value) for name, value in values.items())
