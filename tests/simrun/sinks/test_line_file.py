"""Whole lines, whatever happens to the disk and to the name."""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from simrun.errors import OutputError, OutputGoneError
from simrun.files import Existing
from simrun.sinks.line_file import LineFile, StandardOutput
from simrun.sinks.rotation import Rotation

Disk = Callable[[int], None]


def head(empty: bool) -> bytes:
    return b"HEAD\n" if empty else b"AGAIN\n"


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Takes so many more bytes, then it is full."""
    plain, room = os.write, [1 << 30]

    def write(fd: int, data: bytes) -> int:
        part = data[: room[0]]
        if not part:
            raise OSError(errno.ENOSPC, "No space left on device")
        room[0] -= len(part)
        return plain(fd, part)

    monkeypatch.setattr(os, "write", write)

    def leave(count: int) -> None:
        room[0] = count

    return leave


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "r.jsonl"


def test_a_start_goes_on_behind_what_is_there(target: Path) -> None:
    for line in (b"one\n", b"two\n"):
        lines = LineFile(str(target), Existing.APPEND, head)
        lines.write(line)
        lines.close()
    assert target.read_bytes() == b"HEAD\none\nAGAIN\ntwo\n"


def test_what_is_there_gives_way_only_if_told(target: Path) -> None:
    target.write_bytes(b"precious\n")
    with pytest.raises(OutputError, match="name another or add --append or --overwrite"):
        LineFile(str(target), Existing.REFUSE, head)
    assert target.read_bytes() == b"precious\n"
    LineFile(str(target), Existing.OVERWRITE, head).close()
    assert target.read_bytes() == b"HEAD\n"


def test_a_disk_that_is_full_loses_whole_lines_and_comes_back(target: Path, disk: Disk) -> None:
    lines = LineFile(str(target), Existing.REFUSE, head)
    lines.write(b"one\n")
    disk(3)
    for line in (b"two-which-is-long\n", b"three\n"):
        with pytest.raises(OutputError, match=r"cannot write .*r.jsonl: No space left on device"):
            lines.write(line)
    assert target.read_bytes() == b"HEAD\none\n"
    disk(1000)
    lines.write(b"four\n")
    assert target.read_bytes() == b"HEAD\none\nfour\n"


def test_half_a_line_that_cannot_be_taken_back_is_cut_off_before_the_next(
    target: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lines = LineFile(str(target), Existing.REFUSE, head)
    disk(3)

    def refuse(fd: int, size: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", refuse)
        with pytest.raises(OutputError, match="No space left"):
            lines.write(b"two-which-is-long\n")
    assert target.read_bytes() == b"HEAD\ntwo"
    disk(1000)
    with caplog.at_level(logging.WARNING):
        lines.write(b"three\n")
    assert target.read_bytes() == b"HEAD\nthree\n"
    assert caplog.messages == [f"{target} ended in the middle of a line: 3 bytes cut off"]


@pytest.mark.parametrize(
    ("there", "then"),
    [
        (b"HEAD\none\nhal", b"HEAD\none\nAGAIN\n"),
        (b"HEAD\nwhole", b"HEAD\nwhole\nAGAIN\n"),
        (b"HEAD\n", b"HEAD\nAGAIN\n"),
        (b"hal", b"HEAD\n"),
        (b"", b"HEAD\n"),
    ],
)
def test_what_a_power_cut_left_is_mended_at_the_start(
    target: Path, there: bytes, then: bytes
) -> None:
    target.write_bytes(there)
    LineFile(str(target), Existing.APPEND, head, is_half=lambda rest: rest == b"hal").close()
    assert target.read_bytes() == then


def test_a_file_that_is_emptied_begins_anew(target: Path) -> None:
    lines = LineFile(str(target), Existing.REFUSE, head)
    lines.write(b"one\n")
    os.truncate(target, 0)
    lines.write(b"two\n")
    lines.write(b"three\n")
    assert target.read_bytes() == b"HEAD\ntwo\nthree\n"


@pytest.mark.parametrize("told", [True, False])
def test_a_file_that_is_renamed_is_followed_by_a_new_one(target: Path, told: bool) -> None:
    old = target.with_name("old")
    lines = LineFile(str(target), Existing.REFUSE, head)
    lines.write(b"one\n")
    target.rename(old)
    if told:
        lines.reopen()
    lines.write(b"two\n")
    target.unlink()
    lines.write(b"three\n")
    assert (old.read_bytes(), target.read_bytes()) == (b"HEAD\none\n", b"HEAD\nthree\n")


def test_a_reopened_file_that_is_the_same_gets_no_second_head(target: Path) -> None:
    lines = LineFile(str(target), Existing.REFUSE, head)
    lines.write(b"one\n")
    lines.reopen()
    lines.write(b"two\n")
    assert target.read_bytes() == b"HEAD\none\ntwo\n"


def test_a_folder_in_the_files_place_is_told_until_it_is_gone(target: Path) -> None:
    lines = LineFile(str(target), Existing.REFUSE, head)
    target.unlink()
    target.mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*: Is a directory"):
        lines.write(b"one\n")
    target.rmdir()
    lines.write(b"two\n")
    assert target.read_bytes() == b"HEAD\ntwo\n"


def test_a_folder_closed_to_us_leaves_the_open_file_good(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = LineFile(str(target), Existing.REFUSE, head)

    def closed(path: Path) -> os.stat_result:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", closed)
        lines.write(b"one\n")
    assert target.read_bytes() == b"HEAD\none\n"


@pytest.mark.parametrize("existing", [Existing.APPEND, Existing.OVERWRITE])
def test_two_runs_never_write_one_file(target: Path, existing: Existing) -> None:
    first = LineFile(str(target), Existing.REFUSE, head)
    first.write(b"one\n")
    with pytest.raises(OutputError, match="is being written by another run"):
        LineFile(str(target), existing, head)
    assert target.read_bytes() == b"HEAD\none\n"
    first.close()
    LineFile(str(target), Existing.APPEND, head).close()


def test_files_are_rotated_between_lines_and_the_oldest_go(target: Path) -> None:
    lines = LineFile(str(target), Existing.REFUSE, head, rotation=Rotation(20, keep=2))
    for number in range(8):
        lines.write(b"line %d\n" % number)
    files = {path.name: path.read_bytes() for path in target.parent.iterdir()}
    assert files == {
        "r.jsonl": b"HEAD\nline 6\nline 7\n",
        "r.000003.jsonl": b"HEAD\nline 4\nline 5\n",
        "r.000002.jsonl": b"HEAD\nline 2\nline 3\n",
    }


def test_a_line_longer_than_the_limit_is_a_file_of_its_own(target: Path) -> None:
    lines = LineFile(str(target), Existing.REFUSE, lambda _: b"", rotation=Rotation(4, keep=9))
    for line in (b"long line\n", b"x\n"):
        lines.write(line)
    assert sorted(path.name for path in target.parent.iterdir()) == ["r.000001.jsonl", "r.jsonl"]


def test_what_was_written_on_an_earlier_day_is_set_aside_at_the_start(target: Path) -> None:
    target.write_bytes(b"HEAD\nyesterday\n")
    yesterday = target.stat().st_mtime - 86400
    os.utime(target, (yesterday, yesterday))
    lines = LineFile(str(target), Existing.APPEND, head, rotation=Rotation(None))
    lines.write(b"today\n")
    lines.close()
    lines = LineFile(str(target), Existing.APPEND, head, rotation=Rotation(None))
    lines.write(b"today too\n")
    files = {path.name: path.read_bytes() for path in target.parent.iterdir()}
    assert files == {
        "r.000001.jsonl": b"HEAD\nyesterday\n",
        "r.jsonl": b"HEAD\ntoday\nAGAIN\ntoday too\n",
    }


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EIO])
def test_a_new_file_that_cannot_be_made_after_rotation_is_tried_again(
    target: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    lines = LineFile(str(target), Existing.REFUSE, head)
    target.rename(target.with_name("old"))

    def refuse(path: Path, flags: int, mode: int) -> int:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        for _ in range(2):
            with pytest.raises(OutputError, match=os.strerror(code)):
                lines.write(b"one\n")
    lines.write(b"two\n")
    assert target.read_bytes() == b"HEAD\ntwo\n"


def test_a_named_pipe_gets_the_head_with_the_first_line(target: Path) -> None:
    os.mkfifo(target)
    reader = os.open(target, os.O_RDONLY | os.O_NONBLOCK)
    lines = LineFile(str(target), Existing.REFUSE, head)
    assert os.read(reader, 10) == b""  # nobody has opened it for writing yet
    lines.write(b"one\n")
    assert os.read(reader, 100) == b"HEAD\none\n"
    os.close(reader)
    with pytest.raises(OutputError, match="was closed by its reader"):
        lines.write(b"two\n")


def piped(monkeypatch: pytest.MonkeyPatch) -> int:
    """Make a pipe standard output; its reader's end."""
    reader, writer = os.pipe()
    monkeypatch.setattr(sys, "stdout", os.fdopen(writer, "w"))
    return reader


def test_half_a_line_in_a_pipe_is_ended_before_the_next(
    monkeypatch: pytest.MonkeyPatch, disk: Disk
) -> None:
    pipe = piped(monkeypatch)
    out = StandardOutput(b"HEAD\n")
    disk(3)
    with pytest.raises(OutputError, match="standard output: No space left"):
        out.write(b"one-which-is-long\n")
    disk(1000)
    out.write(b"two\n")
    out.write(b"three\n")
    assert os.read(pipe, 100) == b"HEAD\none\ntwo\nthree\n"


def test_a_pipe_whose_reader_left_is_gone_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = piped(monkeypatch)
    out = StandardOutput(b"HEAD\n")
    os.close(pipe)
    with pytest.raises(OutputGoneError, match="standard output was closed by its reader"):
        out.write(b"one\n")


def test_a_closed_standard_output_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(OutputError, match="standard output is closed"):
        StandardOutput(b"HEAD\n")


def test_a_program_may_have_put_its_own_stream_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    StandardOutput(b"HEAD\n").write("出口\n".encode())
    assert sys.stdout.getvalue() == "HEAD\n出口\n"  # type: ignore[attr-defined]
