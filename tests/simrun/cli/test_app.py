"""The journeys of `simrun`: one command, its output, its exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from simrun import __version__
from simrun.bundle.load import list_models
from simrun.bundle.metadata import Task
from simrun.config.schema import Settings
from simrun.errors import SourceError
from simrun.sources import SourceOptions
from tests.simrun.conftest import STROKES, Run
from tests.simrun.readers import add_reader


def test_one_picture_gives_json_lines_on_stdout_alone(simrun: Run, bars_file: Path) -> None:
    code, out, err = simrun("--source", bars_file, "--model", STROKES)
    assert code == 0
    header, line = (json.loads(text) for text in out.splitlines())
    assert header["model"] == "strokes"
    assert header["source"] == line["file"] == str(bars_file)
    assert [region["label"] for region in line["regions"]] == ["|", "-"]
    assert err.startswith("simrun: 1 frames, 2 regions")


def test_the_demo_writes_every_output_at_once(simrun: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    code, stdout, _ = simrun(
        *("--demo", "--model", STROKES, "--max-frames", 7),
        *("--jsonl", out / "r.jsonl", "--csv", out / "r.csv", "--save", out / "demo.mp4"),
    )
    assert (code, stdout) == (0, "")
    assert len((out / "r.jsonl").read_text().splitlines()) == 8
    assert (out / "r.csv").stat().st_size > 100
    capture = cv2.VideoCapture(str(out / "demo.mp4"))
    assert int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) == 7


def test_a_bad_picture_is_reported_and_the_rest_go_on(
    simrun: Run, tmp_path: Path, bars: np.ndarray
) -> None:
    folder = tmp_path / "pics"
    folder.mkdir()
    cv2.imwrite(str(folder / "1.png"), bars)
    (folder / "2.png").write_bytes(b"")
    cv2.imwrite(str(folder / "3.png"), bars)
    code, out, err = simrun("--source", folder, "--model", STROKES)
    lines = [json.loads(text) for text in out.splitlines()[1:]]
    assert code == 4
    assert [("regions" in line, "error" in line) for line in lines] == [
        (True, False),
        (False, True),
        (True, False),
    ]
    assert err.splitlines()[-1] == "simrun: 1 of 3 could not be read; see the lines above"
    assert f"error: {folder / '2.png'} is empty (0 bytes)" in err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "name one source"),
        (["--demo", "--camera", "0"], 2, "name one source"),
        (["--demo", "--side", "5"], 2, "--side is 5"),
        (["--demo", "--provider", "toaster"], 2, "--provider toaster"),
        (["--demo", "--threads", "many"], 2, "--threads is many; it must be 1 to 256, or the"),
        (["bench", "--side", "320,big"], 2, "--side is big"),
        (["bench", "--source", "missing.png"], 4, "no such file or folder: missing.png"),
        (["--demo", "--model", "nonesuch"], 3, "no model 'nonesuch'"),
        (["--source", "missing.png"], 4, "no such file or folder: missing.png"),
        (["--camera", "97"], 4, "no camera /dev/video97"),
        (["--demo", "--sink", "csv"], 2, "--sink is csv; it must be NAME=TARGET"),
        (["--demo", "--sink", "cvs=x"], 2, "no sink 'cvs'; known: jsonl, csv"),
        (["--demo", "--mqtt", "mqtt://h"], 2, "the topic is missing"),
        (["--demo", "--jsonl", "/nonesuch/x.jsonl"], 5, "cannot write /nonesuch/x.jsonl"),
        (["--demo", "--jsonl", "/dev/full", "--overwrite"], 5, "No space left"),
    ],
)
def test_an_error_is_one_line_and_its_exit_code(
    simrun: Run, arguments: list[str], code: int, message: str
) -> None:
    if "--model" not in arguments:
        arguments = [*arguments, "--model", str(STROKES)]
    got, out, err = simrun(*arguments)
    assert got == code
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


def test_a_new_kind_of_output_is_one_module_and_one_line_of_the_table(
    simrun: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from simrun.sinks import registry

    (tmp_path / "tally.py").write_text(
        "class TallySink:\n"
        "    def __init__(self, target, context):\n"
        "        self.target, self.count = target, 0\n"
        "    def write(self, frame, result):\n"
        "        self.count += 1\n"
        "    def write_bad(self, frame):\n"
        "        pass\n"
        "    def close(self):\n"
        "        open(self.target, 'w').write(str(self.count))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    from tally import TallySink  # type: ignore[import-not-found]

    monkeypatch.setattr(registry, "KINDS", {**registry.KINDS, "tally": registry.Kind(TallySink)})
    first, second, rows = tmp_path / "a", tmp_path / "b=c", tmp_path / "out.csv"
    code, out, _ = simrun(
        *("--demo", "--model", STROKES, "--max-frames", 2),
        *("--sink", f"tally={first}", "--sink", f"tally={second}", "--sink", f"csv={rows}"),
    )
    assert (code, out) == (0, "")
    assert first.read_text() == second.read_text() == "2"
    assert rows.stat().st_size > 100


@pytest.mark.parametrize(
    ("outputs", "channels", "colour"),
    [
        ((), 1, False),
        (("--csv", "r.csv", "--sink", "jsonl=r.jsonl"), 1, False),
        (("--csv", "r.csv", "--save", "pictures"), 1, True),
        (("--crops", "crops"), 1, True),
        (("--show",), 1, True),
        (("--serve", "8080"), 1, True),
        (("--sink", "serve=8080"), 1, True),
        (("--mqtt", "mqtt://host/door"), 1, False),
        ((), 3, True),
    ],
)
def test_a_camera_is_asked_for_colour_where_it_is_made_use_of(
    simrun: Run,
    monkeypatch: pytest.MonkeyPatch,
    outputs: tuple[str, ...],
    channels: int,
    colour: bool,
) -> None:
    from simrun.cli import run
    from simrun.sources import registry

    localizer = run.load_localizer(Settings(model=str(STROKES)))
    task = Task.TEXT if channels == 1 else Task.OBJECTS
    localizer.meta = replace(localizer.meta, task=task, channels=channels)
    monkeypatch.setattr(run, "load_localizer", lambda _: localizer)
    asked: list[SourceOptions] = []

    def refuse(_: str, options: SourceOptions) -> None:
        asked.append(options)
        raise SourceError("no camera 0")

    monkeypatch.setattr(registry, "open_camera", refuse)
    assert simrun("--camera", 0, "--fps", 7, *outputs)[0] == 4
    assert asked == [SourceOptions(fps=7, colour=colour)]


def test_a_typing_error_of_the_user_exits_with_2(simrun: Run) -> None:
    code, _, err = simrun("--demo", "--sdie", "5")
    assert code == 2
    assert "--sdie" in err


def test_debug_keeps_the_traceback(simrun: Run) -> None:
    code, _, err = simrun("--source", "missing.png", "--model", STROKES, "--debug")
    assert code == 4
    assert err.startswith("Traceback")
    assert err.endswith("SourceError: no such file or folder: missing.png\n")


@pytest.mark.parametrize(("signum", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_after_the_frame_in_work(
    simrun: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    signum: signal.Signals,
    expected: int,
) -> None:
    from simrun.localizer import Localizer

    calls = iter(range(100))
    original = Localizer.__call__

    def signalled(self: Localizer, frame: np.ndarray) -> object:
        if next(calls) == 3:
            signal.raise_signal(signum)
        return original(self, frame)

    monkeypatch.setattr(Localizer, "__call__", signalled)
    code, _, err = simrun(
        *("--demo", "--model", STROKES),
        *("--jsonl", tmp_path / "r.jsonl", "--save", tmp_path / "demo.avi"),
    )
    assert code == expected
    assert err == "simrun: interrupted; what was written is complete\n"
    assert len((tmp_path / "r.jsonl").read_text().splitlines()) == 5
    assert int(cv2.VideoCapture(str(tmp_path / "demo.avi")).get(cv2.CAP_PROP_FRAME_COUNT)) == 4


def as_users_run_it(*arguments: str, stdout: int) -> subprocess.Popen[str]:
    """simrun with a buffered standard output, as Python has it where nobody says otherwise."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-m", "simrun", *arguments]
    return subprocess.Popen(
        command, stdout=stdout, stderr=subprocess.PIPE, text=True, env=environment
    )


def test_a_closed_pipe_ends_quietly_with_5() -> None:
    with as_users_run_it("--demo", "--model", str(STROKES), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
    closed = "simrun: standard output was closed by its reader\n"
    assert (process.returncode, errors) == (5, closed)


def test_a_reader_that_stops_holds_up_neither_the_other_output_nor_sigterm(tmp_path: Path) -> None:
    rows = tmp_path / "r.csv"
    run = ("--camera", "demo", "--model", str(STROKES), "--jsonl", "-", "--csv", str(rows))
    with as_users_run_it(*run, stdout=subprocess.PIPE) as process:
        assert process.stderr is not None
        # 64 KiB fill the pipe, which nobody reads.
        line = process.stderr.readline()
        while "takes nothing" not in line:
            assert line, "it ended"
            line = process.stderr.readline()
        written = rows.stat().st_size
        while rows.stat().st_size < written + 10_000:
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 5
        errors = process.stderr.read()
    assert "standard output is left behind" in errors
    assert "1 of 2 outputs failed" in errors
    assert rows.read_bytes().endswith(b"\r\n")


@pytest.mark.parametrize(("name", "warnings"), [("r.mp4", 1), ("r.mkv", 0)])
def test_a_clip_of_a_camera_that_a_power_cut_would_take_is_warned_of(
    simrun: Run, tmp_path: Path, name: str, warnings: int
) -> None:
    run = ("--camera", "demo", "--model", STROKES, "--max-frames", 2)
    _, _, errors = simrun(*run, "--save", tmp_path / name)
    assert errors.count("can be read after a power cut; .mkv can be at any time") == warnings


@pytest.mark.parametrize(
    ("closed", "arguments", "code", "message"),
    [
        (">&-", ("--jsonl", "r.jsonl"), 0, "1 frames"),
        ("2>&-", ("--jsonl", "r.jsonl"), 0, ""),
        ("2</dev/null", ("--jsonl", "r.jsonl"), 0, ""),
        ("2</dev/null", ("--nonsense",), 2, ""),
        ("2>/dev/full", ("--nonsense",), 2, ""),
        ("<&- >&- 2>&-", ("--jsonl", "r.jsonl", "--csv", "r.csv", "--save", "out"), 0, ""),
        (
            ">&-",
            ("--jsonl", "-"),
            5,
            "simrun: cannot write standard output: it is closed; open it, or name a file\n",
        ),
        (">&-", (), 5, "simrun: cannot write standard output: it is closed"),
        ("2>&- >&-", ("--jsonl", "-"), 5, ""),
    ],
)
def test_closed_standard_streams_cost_nothing_that_does_not_go_there(
    tmp_path: Path,
    bars_file: Path,
    closed: str,
    arguments: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    run = [sys.executable, "-m", "simrun", "--source", str(bars_file), "--model", str(STROKES)]
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *run, *arguments],
        capture_output=True, text=True, cwd=tmp_path, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == bool(message)
    if "r.jsonl" in arguments:
        assert [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()][1]


@pytest.mark.parametrize("command", ["models", "config", "check", "service print --demo"])
def test_a_report_that_nobody_can_read_is_no_success(command: str) -> None:
    run = [sys.executable, "-m", "simrun", *command.split()]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *run], capture_output=True, text=True, timeout=60
    )
    if command.startswith("service") and done.returncode == 2:
        pytest.skip("this installation cannot be a service")
    assert (done.returncode, done.stderr) == (
        5,
        "simrun: cannot write standard output: it is closed; open it, or name a file\n",
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("--source", "no\nsuch\x1b[31mfile"),
        ("--demo", "--model", "no\nmodel"),
        ("--demo", "--config", "no\nfile"),
        ("--demo", "--sink", "no\nsink"),
        ("--demo", "--jsonl", "no\nfolder/x"),
    ],
)
def test_what_is_given_breaks_no_line(simrun: Run, arguments: tuple[str, ...]) -> None:
    code, _, errors = simrun(*arguments)
    assert code
    assert "no\\x0a" in errors
    assert errors.isprintable() or errors.count("\n") == 1
    assert "\x1b" not in errors


def test_a_closed_standard_input_is_told(tmp_path: Path) -> None:
    run = [sys.executable, "-m", "simrun", "--source", "-", "--raw", "64x48:gray"]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *run, "--model", str(STROKES)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (
        4,
        "simrun: standard input is closed; open it, or name a file\n",
    )


def test_a_reader_of_the_log_that_stops_does_not_stop_the_run(
    tmp_path: Path, bars_file: Path
) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    run = [sys.executable, "-m", "simrun", "--source", str(bars_file), "--model", str(STROKES)]
    done = subprocess.run([*run, "--jsonl", "r.jsonl"], stderr=writer, cwd=tmp_path, timeout=60)
    assert done.returncode == 0
    for end in (reader, writer):
        os.close(end)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize(
    "arguments", [["--demo", "--model", str(STROKES)], ["models"], ["config"], ["--help"]], ids=str
)
def test_a_full_disk_under_standard_output_is_one_line_and_5(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        process = as_users_run_it(*arguments, stdout=full.fileno())
        _, errors = process.communicate()
    full_disk = "simrun: cannot write standard output: No space left on device\n"
    assert (process.returncode, errors) == (5, full_disk)


def test_the_bench_measures_and_compares(simrun: Run, tmp_path: Path) -> None:
    given = ("bench", "--model", STROKES, "--frames", 3, "--warmup", 0)
    code, out, err = simrun(*given, "--json", tmp_path / "a.json")
    assert (code, "3 frames" in out) == (0, True)
    code, out, _ = simrun(*given, "--side", "320,160", "--compare", tmp_path / "a.json")
    assert code == 0
    assert "This run over a.json: ratio of medians" in out
    assert "not in a.json: side 160, 1 thread, back to back" in out
    # Nothing where it is quick and the machine idle.
    told = ("per cent measured", "warning: load")
    assert all(any(words in line for words in told) for line in err.splitlines())


def test_the_version_is_that_of_the_package(simrun: Run) -> None:
    assert simrun("--version") == (0, f"simrun {__version__}\n", "")


def test_the_models_are_listed_by_name(simrun: Run) -> None:
    code, out, err = simrun("models")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == [path.name for path in list_models()]
    line = next(line for line in out.splitlines() if line.startswith("mnist-lenet "))
    assert line.endswith("side 640, stride 2, 10 classes (0..9), weighting signed")


def test_regions_of_a_film_are_tracked_and_cut_out(simrun: Run, tmp_path: Path) -> None:
    code, out, _ = simrun(
        *("--demo", "--model", STROKES, "--max-frames", 5, "--stride", 2),
        *("--jsonl", "-", "--crops", tmp_path / "crops"),
    )
    lines = [json.loads(text) for text in out.splitlines()[1:]]
    assert code == 0
    assert [line["frame"] for line in lines] == [0, 2, 4, 6, 8]
    tracks = {region["track"] for line in lines for region in line["regions"]}
    assert tracks
    assert None not in tracks
    assert len(list((tmp_path / "crops").iterdir())) == len(tracks)


def test_pictures_do_not_follow_one_another(simrun: Run, bars_file: Path) -> None:
    code, _, err = simrun("--source", bars_file, "--model", STROKES, "--hold", 3)
    assert code == 2
    assert "--hold 3 is of no use" in err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "which has no words; write one a line"),
        (b"\n \n", "which has no words; write one a line"),
        (b"EX\xff", "is not UTF-8 text, see byte 2"),
        (b"x" * (1 << 20) + b"y", "larger than 1 MiB"),
        (None, "there is no such file"),
    ],
)
def test_a_file_of_words_that_is_none_is_one_line(
    simrun: Run, strokes: Path, bars_file: Path, tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "words.txt"
    if content is not None:
        path.write_bytes(content)
    code, out, err = simrun("--model", add_reader(strokes), "--source", bars_file, "--words", path)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_only_words_of_a_file_are_read(
    simrun: Run, strokes: Path, bars_file: Path, tmp_path: Path
) -> None:
    words = tmp_path / "words.txt"
    words.write_text("|\n")
    run = ("--model", add_reader(strokes), "--source", bars_file)
    code, out, _ = simrun(*run, "--words", words)
    labels = [region["label"] for region in json.loads(out.splitlines()[1])["regions"]]
    assert (code, labels) == (0, ["|", "|"])
    code, out, err = simrun(*run, "--pattern", "[0-9")
    assert (code, out) == (2, "")
    assert "--pattern '[0-9' is no regular expression" in err
    code, _, err = simrun("--source", bars_file, "--model", STROKES, "--pattern", "-")
    assert code == 2
    assert "strokes has none" in err
