"""Tries inputs in a process of its own, so that a crash or a hang is an outcome like another."""

from __future__ import annotations

import ctypes
import hashlib
import json
import multiprocessing
import os
import resource
import shutil
import tempfile
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import MappingProxyType
from typing import Final

TIMEOUT_S: Final = 60.0
"""An input that takes longer is a hang, on a machine that has other things to do as well."""
START_S: Final = 300.0
"""How long a new process may take to load what it needs."""
MEMORY_BYTES: Final = 6 << 30
"""Address space of the process: beyond it memory is refused, as on a small computer."""

STROKES: Final = Path(__file__).parents[2] / "fixtures" / "strokes"
_MOST_FRAMES: Final = 100


@dataclass(frozen=True)
class Input:
    """One input to try."""

    kind: str
    """A name in `ATTEMPTS`."""
    suffix: str
    """Of the file that the data is put in, for pictures and clips."""
    data: bytes


@dataclass(frozen=True)
class Outcome:
    """What became of an input."""

    word: str
    """`works`, the name of a SimError, `crash`, `hang`, or `traceback`."""
    detail: str
    """The message or traceback."""
    resident_bytes: int
    """Memory of the process afterwards; 0 where it is gone."""


class Worker:
    """A process that tries one input after the other, and is replaced when it dies."""

    def __init__(self) -> None:
        """Start the process."""
        self._context = multiprocessing.get_context("spawn")
        self._start()

    def attempt(self, given: Input) -> Outcome:
        """Try an input."""
        self._ours.send(given)
        try:
            if self._ours.poll(TIMEOUT_S):
                outcome: Outcome = self._ours.recv()
                return outcome
            word, detail = "hang", f"no answer within {TIMEOUT_S:.0f} s"
        except (EOFError, ConnectionResetError):
            self._process.join()
            word, detail = "crash", f"exit code {self._process.exitcode}"
        self.close()
        self._start()
        return Outcome(word, detail, 0)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self._ours.close()

    def _start(self) -> None:
        self._ours, theirs = self._context.Pipe()
        self._process = self._context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        if not self._ours.poll(START_S):
            raise TimeoutError(f"the worker did not start within {START_S:.0f} s")
        self._ours.recv()


def _serve(inputs: Connection) -> None:
    """Answer each input with an outcome, until the other end is closed."""
    # Decoders write what they think of a picture straight to stderr.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    import onnx  # noqa: F401 - loaded here, so that the first input does not wait for it

    import simrun.localizer  # noqa: F401

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inputs.send(None)
        while True:
            try:
                given = inputs.recv()
            except EOFError:
                return
            inputs.send(_outcome(given, folder))


def _outcome(given: Input, folder: Path) -> Outcome:
    from simrun.errors import SimError

    try:
        word, detail = "works", ATTEMPTS[given.kind](given, folder)
    except SimError as error:
        word, detail = type(error).__name__, str(error)
        if "\n" in detail:
            word = "traceback"
    except Exception:  # noqa: BLE001 - this is what is looked for
        word, detail = "traceback", traceback.format_exc()
    return Outcome(word, detail, resident_bytes())


def resident_bytes() -> int:
    """Resident memory of this process, less what the C library only keeps for later."""
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _read_picture(given: Input, folder: Path) -> str:
    from simrun.images.read import check_frame, read_image

    path = folder / f"picture{given.suffix}"
    path.write_bytes(given.data)
    return str(check_frame(read_image(path)).shape)


def _read_clip(given: Input, folder: Path) -> str:
    """By PyAV, and as it is read without."""
    from unittest import mock

    from simrun.errors import SourceError

    try:
        with mock.patch("simrun.sources.video.has_av", return_value=False):
            alone = _read_frames(given, folder)
    except SourceError as error:
        alone = str(error)
        if "\n" in alone:
            raise
    return f"{_read_frames(given, folder)}, alone {alone}"


def _read_frames(given: Input, folder: Path) -> str:
    from simrun.images.read import check_frame
    from simrun.sources import BadFrame
    from simrun.sources.registry import open_source

    path = folder / f"clip{given.suffix}"
    path.write_bytes(given.data)
    source = open_source(str(path))
    count = 0
    try:
        for frame in source:
            if isinstance(frame, BadFrame):
                break
            check_frame(frame.image)
            count += 1
            if count == _MOST_FRAMES:
                break
    finally:
        source.close()
    return f"{count} frames"


def _load_metadata(given: Input, folder: Path) -> str:
    """The data is what model.json holds; the graphs are as exported."""
    bundle = _fresh_bundle(folder)
    (bundle / "model.json").write_bytes(given.data)
    return _run_bundle(bundle)


def _load_sealed_metadata(given: Input, folder: Path) -> str:
    """As above, but the graph carries the same metadata and every hash is right."""
    import onnx

    bundle = _fresh_bundle(folder)
    (bundle / "model.json").write_bytes(given.data)
    try:
        data = json.loads(given.data)
        embedded = json.dumps({key: value for key, value in data.items() if key != "files"})
        model = onnx.load(bundle / "localizer.onnx")
        onnx.helper.set_model_props(model, {"similarnet": embedded})
        onnx.save(model, bundle / "localizer.onnx")
        data["files"]["localizer.onnx"] = _digest(bundle / "localizer.onnx")
        (bundle / "model.json").write_text(json.dumps(data))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass  # Nothing that could be sealed: it goes in as it is.
    return _run_bundle(bundle)


def _load_damaged_graph(given: Input, folder: Path) -> str:
    """The data is the localizer; its hash is the original's."""
    bundle = _fresh_bundle(folder)
    (bundle / "localizer.onnx").write_bytes(given.data)
    return _run_bundle(bundle)


def _load_sealed_graph(given: Input, folder: Path) -> str:
    """The data is the localizer, from somebody who has computed the right hash for it."""
    bundle = _fresh_bundle(folder)
    (bundle / "localizer.onnx").write_bytes(given.data)
    data = json.loads((bundle / "model.json").read_text())
    data["files"]["localizer.onnx"] = _digest(bundle / "localizer.onnx")
    (bundle / "model.json").write_text(json.dumps(data))
    return _run_bundle(bundle)


def _fresh_bundle(folder: Path) -> Path:
    return Path(shutil.copytree(STROKES, folder / "bundle", dirs_exist_ok=True))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _run_bundle(bundle: Path) -> str:
    import numpy as np

    from simrun.localizer import Localizer

    frame = np.full((120, 160), 10, np.uint8)
    frame[50:54, 20:40] = 240
    result = Localizer.load(bundle)(frame)
    json.dumps(result.to_json(), ensure_ascii=False).encode()
    return f"{len(result.regions)} regions"


ATTEMPTS: Final[Mapping[str, Callable[[Input, Path], str]]] = MappingProxyType(
    {
        "picture": _read_picture,
        "clip": _read_clip,
        "metadata": _load_metadata,
        "sealed metadata": _load_sealed_metadata,
        "damaged graph": _load_damaged_graph,
        "sealed graph": _load_sealed_graph,
    }
)

EXPECTED: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        kind: frozenset({"works", "SourceError" if kind in ("picture", "clip") else "ModelError"})
        for kind in ATTEMPTS
    }
)
"""What may become of an input of each kind."""
