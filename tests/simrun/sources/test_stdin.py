"""Raw frames on standard input."""

from __future__ import annotations

import io
import os

import numpy as np
import pytest

from simrun.errors import SourceError, UsageError
from simrun.sources import BadFrame, Frame, SourceOptions, parse_raw
from simrun.sources.registry import open_source
from simrun.sources.stdin import StdinSource


def source_of(data: bytes, raw: str, fps: float | None = None) -> StdinSource:
    return StdinSource(parse_raw(raw), fps=fps, stream=io.BytesIO(data))


def test_every_frame_in_order_with_its_time() -> None:
    frames = list(source_of(bytes(range(60)), "5x4:gray", fps=10))
    assert all(isinstance(frame, Frame) for frame in frames)
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert np.array_equal(frames[1].image, np.arange(20, 40, dtype=np.uint8).reshape(4, 5))  # type: ignore[union-attr]
    assert frames[2].time_s == pytest.approx(0.2)  # type: ignore[union-attr]


@pytest.mark.parametrize(("pixels", "first"), [("bgr", [0, 1, 2]), ("rgb", [2, 1, 0])])
def test_colours(pixels: str, first: list[int]) -> None:
    (frame,) = source_of(bytes(range(12)), f"2x2:{pixels}")
    assert isinstance(frame, Frame)
    assert frame.image.shape == (2, 2, 3)
    assert frame.image[0, 0].tolist() == first
    assert frame.image.flags.c_contiguous


def test_of_yuv420_the_grey_plane_is_taken() -> None:
    (frame,) = source_of(bytes(range(12)), "4x2:yuv420")
    assert isinstance(frame, Frame)
    assert frame.image.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_a_short_last_frame_is_a_bad_one() -> None:
    good, bad = source_of(bytes(33), "5x4")
    assert isinstance(good, Frame)
    assert isinstance(bad, BadFrame)
    assert "in the middle of frame 1: 13 of 20 bytes; is --raw 5x4:gray right?" in bad.error


def test_nothing_at_all_is_an_error() -> None:
    with pytest.raises(SourceError, match="no frame came on standard input"):
        list(source_of(b"", "5x4"))


def test_closing_ends_it() -> None:
    source = source_of(bytes(100), "5x4")
    frames = iter(source)
    next(frames)
    source.close()
    assert list(frames) == []


def test_a_pipe_that_gives_pieces() -> None:
    read_end, write_end = os.pipe()
    os.write(write_end, b"a" * 15)
    os.write(write_end, b"b" * 15)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as stream:
        *good, bad = StdinSource(parse_raw("4x3"), stream=stream)
    assert len(good) == 2
    assert isinstance(bad, BadFrame)


def test_the_format_has_to_be_told() -> None:
    with pytest.raises(UsageError, match="needs --raw"):
        open_source("-")
    source = open_source("-", SourceOptions(raw=parse_raw("4x3")))
    assert (source.name, source.live, source.length) == ("-", False, None)
