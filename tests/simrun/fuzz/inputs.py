"""What is tried: pictures, clips and bundles, damaged in every way that is easy to think of."""

from __future__ import annotations

import functools
import json
import struct
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import cv2
import numpy as np
from hypothesis import strategies as st

from .worker import STROKES, Input

Draw = st.DrawFn
Inputs = st.SearchStrategy[Input]

_GIANTS: Final = (0, 1, 0x7F, 0xFF, 0x4000, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF)
_HEAD: Final = 96
"""Bytes at the start where formats keep their sizes."""
_PICTURES: Final = (".png", ".jpg", ".bmp", ".webp", ".tiff", ".pgm", ".ppm", ".pbm")
_CLIPS: Final = (("mp4v", ".mp4"), ("MJPG", ".avi"), ("mp4v", ".mkv"))


@st.composite
def damaged(draw: Draw, originals: tuple[bytes, ...]) -> bytes:
    """One of the originals with one to four things done to it."""
    data = draw(st.sampled_from(originals))
    for _ in range(draw(st.integers(1, 4))):
        step = draw(st.sampled_from((_flip, _number, _cut, _remove, _insert, _noise)))
        data = step(draw, data)
    return _with_checksum(data) if draw(st.booleans()) else data


def _flip(draw: Draw, data: bytes) -> bytes:
    at, bit = draw(_place(data)), draw(st.integers(0, 7))
    return data[:at] + bytes(byte ^ (1 << bit) for byte in data[at : at + 1]) + data[at + 1 :]


def _number(draw: Draw, data: bytes) -> bytes:
    at, form = draw(_place(data[:_HEAD])), draw(st.sampled_from(("<H", ">H", "<I", ">I")))
    size = struct.calcsize(form)
    value = draw(st.sampled_from(_GIANTS)) & ((1 << 8 * size) - 1)
    return data[:at] + struct.pack(form, value) + data[at + size :]


def _cut(draw: Draw, data: bytes) -> bytes:
    return data[: draw(_place(data))]


def _remove(draw: Draw, data: bytes) -> bytes:
    at = draw(_place(data))
    return data[:at] + data[at + draw(st.integers(1, 64)) :]


def _insert(draw: Draw, data: bytes) -> bytes:
    at = draw(_place(data))
    return data[:at] + draw(st.binary(min_size=1, max_size=32)) + data[at:]


def _noise(draw: Draw, data: bytes) -> bytes:
    """Random bytes behind what tells the format."""
    return data[: draw(st.sampled_from((0, 2, 8, 12)))] + draw(st.binary(max_size=200))


def _place(data: bytes) -> st.SearchStrategy[int]:
    return st.integers(0, max(0, len(data) - 1))


def _with_checksum(data: bytes) -> bytes:
    """A PNG header's checksum made right again, so that the damage gets past it."""
    if not data.startswith(b"\x89PNG") or len(data) < 33:
        return data
    return data[:29] + struct.pack(">I", zlib.crc32(data[12:29])) + data[33:]


@functools.cache
def _pictures() -> tuple[bytes, ...]:
    grey = np.linspace(0, 255, 24 * 40).reshape(24, 40).astype(np.uint8)
    colour = np.dstack([grey, grey[::-1], grey[:, ::-1]])
    images = dict.fromkeys((".png", ".jpg", ".bmp", ".webp", ".tiff"), (grey, colour))
    made = [cv2.imencode(suffix, image) for suffix, pair in images.items() for image in pair]
    made += [cv2.imencode(".pgm", grey), cv2.imencode(".ppm", colour), cv2.imencode(".pbm", grey)]
    alpha = np.dstack([colour, grey])
    deep = grey.astype(np.uint16) * 257
    real = grey.astype(np.float32) / 7
    made += [cv2.imencode(".png", alpha), cv2.imencode(".png", deep), cv2.imencode(".tiff", real)]
    return tuple(data.tobytes() for _, data in made)


@functools.cache
def _clips() -> tuple[bytes, ...]:
    frames = np.random.default_rng(5).integers(0, 255, (8, 48, 64, 3), np.uint8)
    clips = []
    with tempfile.TemporaryDirectory() as folder:
        for codec, suffix in _CLIPS:
            path = Path(folder) / f"clip{suffix}"
            writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 10.0, (64, 48))
            for frame in frames:
                writer.write(cv2.blur(frame, (9, 9)))
            writer.release()
            clips.append(path.read_bytes())
    return tuple(clips)


_NUMBERS: Final = st.one_of(
    st.integers(),
    st.integers(-3, 70000),
    st.floats(),
    st.sampled_from((10**15, 10**400, -1, 0, 16384, 1e308, float("nan"), float("inf"))),
)
_TEXTS: Final = st.one_of(
    st.text(max_size=20),
    st.sampled_from(("", "\ud800", "\0", "a\nb", "x" * 5000, "../localizer.onnx", "both")),
)
_VALUES: Final = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=6,
)
_FILE_NAMES: Final = st.sampled_from(
    (
        "localizer.onnx",
        "classifier.onnx",
        "model.json",
        "../x/classifier.onnx",
        "a\0/localizer.onnx",
    )
)


@st.composite
def _metadata(draw: Draw) -> bytes:
    """model.json of a good bundle with some fields gone, new or of another value."""
    data: dict[str, Any] = json.loads((STROKES / "model.json").read_text())
    names = sorted(data)
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(names))
        change = draw(st.sampled_from(("set", "set", "alike", "drop", "add", "files", "deep")))
        if change == "set":
            data[name] = draw(_VALUES)
        elif change == "alike":
            data[name] = draw(_like(data.get(name)))
        elif change == "drop":
            data.pop(name, None)
        elif change == "add":
            data[draw(_TEXTS)] = draw(_VALUES)
        elif change == "files":
            data["files"] = draw(st.dictionaries(_FILE_NAMES, _VALUES, max_size=3))
        else:
            data[name] = _nested(draw(st.integers(1, 600)))
    return json.dumps(data).encode()


def _nested(depth: int) -> object:
    """A list in a list in a list."""
    value: object = 0
    for _ in range(depth):
        value = [value]
    return value


def _like(value: object) -> st.SearchStrategy[Any]:
    """Another value of the same type, so that it gets past the first check."""
    if isinstance(value, bool | int | float):
        return _NUMBERS
    if isinstance(value, str):
        return _TEXTS
    if isinstance(value, list):
        return st.lists(_NUMBERS | _TEXTS, max_size=4) | st.lists(_TEXTS, max_size=4)
    rules = ("min_area", "min_height", "valley", "valley_reach", "join_gap", "grow_along")
    return st.dictionaries(st.sampled_from(rules), _NUMBERS, max_size=4)


def _texts_of_metadata() -> st.SearchStrategy[bytes]:
    """What may stand in model.json: changed fields, damaged text, or no JSON at all."""
    original = (STROKES / "model.json").read_bytes()
    odd = (
        b"[" * 100_000,
        b'{"schema":' * 5000,
        b'{"stride": ' + b"1" * 5000 + b"}",
        b"\xef\xbb\xbf{}",
    )
    return st.one_of(_metadata(), _metadata(), damaged((original,)), st.sampled_from(odd))


def _inputs(kind: str, data: st.SearchStrategy[bytes], *suffixes: str) -> Inputs:
    return st.builds(Input, st.just(kind), st.sampled_from(suffixes or ("",)), data)


@functools.cache
def inputs() -> Mapping[str, Inputs]:
    """Inputs of each kind, by name."""
    localizer = (STROKES / "localizer.onnx").read_bytes()
    swapped = (localizer, (STROKES / "classifier.onnx").read_bytes())
    return MappingProxyType(
        {
            "metadata": _inputs("metadata", _texts_of_metadata()),
            "sealed metadata": _inputs("sealed metadata", _texts_of_metadata()),
            "damaged graph": _inputs("damaged graph", damaged(swapped)),
            "sealed graph": _inputs("sealed graph", damaged(swapped)),
            "picture": _inputs("picture", damaged(_pictures()), *_PICTURES),
            "clip": _inputs("clip", damaged(_clips()), *(suffix for _, suffix in _CLIPS)),
        }
    )
