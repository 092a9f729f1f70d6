"""Streams of JPEGs as cameras write them."""

from __future__ import annotations

import cv2
import pytest

from simrun.errors import SourceError
from simrun.sources.devices.multipart import MAX_JPEG_BYTES, JpegSplitter
from tests.simrun.live_fakes import picture

JPEGS = [cv2.imencode(".jpg", picture(20 * i))[1].tobytes() for i in range(1, 5)]


def part(jpeg: bytes, *, boundary: bytes = b"--frame\r\n", length: int | None = -1) -> bytes:
    size = len(jpeg) if length == -1 else length
    head = b"Content-Type: image/jpeg\r\n"
    if size is not None:
        head += b"Content-Length: %d\r\n" % size
    return boundary + head + b"\r\n" + jpeg + b"\r\n"


STREAMS = {
    "by the book": ("frame", b"".join(map(part, JPEGS))),
    "no first boundary": ("frame", b"".join(map(part, JPEGS)).removeprefix(b"--frame\r\n")),
    "ESP32": ("123", b"".join(part(j, boundary=b"\r\n--123\r\n") for j in JPEGS)),
    "no lengths": ("frame", b"".join(part(j, length=None) for j in JPEGS) + b"--frame--"),
    "dashes in the name": ("--frame", b"".join(part(j, length=None) for j in JPEGS) + b"--frame"),
    "a quoted name": ('"frame"', b"".join(part(j, length=None) for j in JPEGS) + b"--frame"),
    "no name": ("", b"".join(map(part, JPEGS))),
    "no name and no lengths": ("", b"".join(JPEGS) + JPEGS[0][:3]),
    "another name than announced": ("other", b"".join(map(part, JPEGS))),
    "lines end in LF": ("frame", b"".join(map(part, JPEGS)).replace(b"\r\n", b"\n")),
    "capitals": ("frame", b"".join(map(part, JPEGS)).replace(b"Content-L", b"CONTENT-L")),
}


@pytest.mark.parametrize("step", [1, 7, 100, 100_000])
@pytest.mark.parametrize(("boundary", "stream"), STREAMS.values(), ids=STREAMS)
def test_each_is_found_however_the_bytes_come(boundary: str, stream: bytes, step: int) -> None:
    splitter = JpegSplitter(boundary)
    found = []
    for at in range(0, len(stream), step):
        splitter.add(stream[at : at + step])
        while (content := splitter.next()) is not None:
            found.append(content)
    assert found[: len(JPEGS)] == JPEGS


def test_a_part_that_is_shorter_than_its_head_says_takes_nothing_of_the_next() -> None:
    splitter = JpegSplitter("frame")
    cut = JPEGS[0][:200]
    splitter.add(part(cut, length=len(JPEGS[0])) + part(JPEGS[1]))
    assert [splitter.next(), splitter.next(), splitter.next()] == [cut, JPEGS[1], None]


def flood(splitter: JpegSplitter, data: bytes, limit: int) -> None:
    """Add so much of it that the limit is passed, without one JPEG in between."""
    for _ in range(limit // len(data) + 2):
        splitter.add(data)
        assert splitter.next() is None


@pytest.mark.parametrize("boundary", ["", "frame"])
def test_a_jpeg_without_an_end_is_bounded(boundary: str) -> None:
    splitter = JpegSplitter(boundary)
    splitter.add(JPEGS[0][:200])
    with pytest.raises(SourceError, match="has no end within"):
        flood(splitter, bytes(1 << 20), MAX_JPEG_BYTES)


def test_what_is_no_jpeg_is_bounded() -> None:
    splitter = JpegSplitter("frame")
    with pytest.raises(SourceError, match="no JPEG"):
        flood(splitter, b"x" * 10_000, 1 << 20)
