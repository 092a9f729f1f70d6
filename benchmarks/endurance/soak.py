"""Whether memory stays flat: simrun at full rate for minutes, on frames of 200 sizes.

python -m benchmarks.endurance.soak --minutes 20    # writes soak.json

The command `simrun` runs in a process of its own, unpaced, with every output that writes files and
the page, browsers coming and going. Only its source is another one: 200 sizes in random order,
without end, and among them frames of 1920x1080 by way of simrun's live source, from a camera that
fails every few seconds and is opened again (--no-camera leaves it out). Every few seconds memory is
read in the same state: the browsers have left, the camera is open and its first frame was taken, a
few demo frames have come, and none is in work. What is not given back by then is lost. Resident
memory is read twice: as it is, and after the C library has given back what is free. Left alone, the
library keeps 20 to 50 MB for later, now more and now less, in which a loss would drown; so it is
told to keep little (`_MALLOC`), which costs time and loses nothing. With --default-malloc it is
left alone.
A line is fitted to each reading after the warm-up, to the medians of blocks: neighbouring readings
are not independent, and on a busy machine a frame may still be in work at one of them, which adds
to that one, while a loss adds to all that follow. Exits with 1 unless both rise by less than 1 MB
an hour even at twice their standard errors, and the run ends as it should.
"""

from __future__ import annotations

import argparse
import ctypes
import dataclasses
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.endurance.flapping import FlappingDevice, open_flapping
from benchmarks.harness.benchmark import Benchmark, heading, table
from benchmarks.harness.console import BenchmarkError
from benchmarks.harness.record import Record, Samples
from simrun.images.read import Image
from simrun.sources.base import BadFrame, Frame
from simrun.sources.demo import HEIGHT, WIDTH, draw_scene

SIZES: Final = 200
_CAMERA_EVERY: Final = 4
"""Of so many sizes one is followed by a frame of the camera."""
MOST_MB_PER_HOUR: Final = 1.0
_CALM: Final = 8
"""Demo frames before a reading."""
_CALM_CAMERA: Final = 3
"""Frames of the camera before them: the first may have been waiting for long, and be a frozen one
of which the live source keeps an earlier copy."""
_REST_S: Final = 0.2
"""Time without a frame before a reading, and again while a thread has work to do."""
_MOST_RESTS: Final = 25
_BETWEEN_S: Final = 4.0
"""Time between readings."""
_POLL_S: Final = 0.05
_MALLOC: Final = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "1000000",
    "MALLOC_TRIM_THRESHOLD_": "300000",
}
"""For glibc: one heap for all threads, because it never trims the ends of others; what is larger
than a megabyte goes back to the system when freed, and so does what is free at the heap's end."""
_WARM_SHARE: Final = 0.5
"""Share of the run that is left out of the fit, at its start: what heap and caches have to hold at
the same time is met by chance, ever more rarely."""
_BLOCKS: Final = 12
_ENDED: Final = 128 + signal.SIGTERM
READINGS: Final = ("resident", "trimmed")
"""What is read: memory as it is, and after what is free was given back."""
_EARLIER_CROPS: Final = 10_000
"""Crops of an earlier run, as many as are kept: their index has a bound, hours away otherwise."""
_FILES: Final = {"jsonl": "results.jsonl", "csv": "results.csv", "save": "save", "crops": "crops"}
"""Outputs that are used, and what they write to."""
_PATHS: Final = ("/", "/stream.mjpg", "/snapshot.jpg", "/events", "/healthz", "/metrics")
_ASKED: Final = "asked"
_MOST_ERRORS: Final = 20
"""Lines of errors that are written down."""
_BROWSERS: Final = 8
"""Clients of the page at a time; each is gone within three seconds, and another comes."""


class LiveMix:
    """Demo frames in 200 sizes, in random order, without end and as fast as they are taken."""

    name: str = "soak"
    live: bool = True
    length: int | None = None
    rate: float | None = None

    def __init__(
        self,
        samples: Path,
        asked: Path,
        rest_s: float = _REST_S,
        device: FlappingDevice | None = None,
    ) -> None:
        """Choose the sizes.

        Args:
            samples: the file for lines of seconds, MB, MB trimmed and times the camera came back.
            asked: a file that is there while a reading is wanted; deleted after it.
            rest_s: how long no frame comes before a reading.
            device: the camera whose frames are among them; None leaves it out.
        """
        self._rng = random.Random(1)
        self._sizes = [
            (self._rng.randint(160, 1280), self._rng.randint(120, 960)) for _ in range(SIZES)
        ]
        self._samples = samples
        self._asked = asked
        self._rest_s = rest_s
        self._start = time.monotonic()
        self._closed = False
        self._device = device
        self._camera = open_flapping(device) if device else None

    def __iter__(self) -> Iterator[Frame | BadFrame]:
        """Rounds of all sizes, and demo frames and a reading where one is asked for."""
        numbers = itertools.count()
        for image in self._images():
            if self._closed:
                return
            yield Frame(image, next(numbers), time.monotonic() - self._start)

    def close(self) -> None:
        """End the iteration."""
        self._closed = True
        if self._camera:
            self._camera.close()

    def _images(self) -> Iterator[Image]:
        camera = self._camera_images()
        while True:
            self._rng.shuffle(self._sizes)
            for number, size in enumerate(self._sizes):
                if self._asked.exists():
                    yield from self._calm(camera)
                    self._read_memory()
                yield self._scene(size)
                if number % _CAMERA_EVERY == 0:
                    yield from itertools.islice(camera, 1)

    def _camera_images(self) -> Iterator[Image]:
        """What the camera gives, opened again as it fails; nothing without one."""
        for frame in self._camera or ():
            if isinstance(frame, Frame):
                yield frame.image

    def _calm(self, camera: Iterator[Image]) -> Iterator[Image]:
        """The same state each time: the camera open and past its first frame, then demo frames."""
        if self._device:
            self._device.steady.set()
        yield from itertools.islice(camera, _CALM_CAMERA)
        for _ in range(_CALM):
            yield self._scene((WIDTH, HEIGHT))

    def _scene(self, size: tuple[int, int]) -> Image:
        scene = draw_scene(time.monotonic() - self._start)
        return np.asarray(cv2.resize(scene, size), np.uint8)

    def _read_memory(self) -> None:
        for _ in range(_MOST_RESTS):
            time.sleep(self._rest_s)
            if not _threads_in_work():
                break
        seconds, kept = time.monotonic() - self._start, resident_mb()
        ctypes.CDLL(None).malloc_trim(0)
        back = self._camera.stats().reconnects if self._camera else 0
        with self._samples.open("a") as out:
            out.write(f"{seconds:.1f} {kept:.3f} {resident_mb():.3f} {back}\n")
        self._asked.unlink()
        if self._device:
            self._device.steady.clear()


def _threads_in_work() -> int:
    """Threads of this process, but for the calling one, that run, want to or wait for a disk."""
    states = []
    for stat in Path("/proc/self/task").glob("[0-9]*/stat"):
        try:
            states.append(stat.read_text().rpartition(")")[2].split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue  # It has ended meanwhile.
    return sum(state in "RD" for state in states) - 1


def resident_mb() -> float:
    """Resident memory of this process; `smaps_rollup` is exact where `statm` lags."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError("/proc/self/smaps_rollup holds no Rss")


@dataclasses.dataclass(frozen=True)
class MemorySlope:
    """A line through resident memory."""

    mb_per_hour: float
    standard_error: float

    @property
    def is_flat(self) -> bool:
        """Whether it is shown to grow by less than is allowed."""
        return self.mb_per_hour + 2 * self.standard_error < MOST_MB_PER_HOUR


def blocks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Medians of blocks of readings after the warm-up.

    Args:
        values: (N, ...) seconds and MB, in order of time.
    """
    begin, end = values[0, 0], values[-1, 0]
    kept = values[values[:, 0] >= begin + _WARM_SHARE * (end - begin)]
    if len(kept) < 2 * _BLOCKS:
        raise BenchmarkError(f"only {len(kept)} readings after the warm-up; let it run for longer")
    return np.array([np.median(block, axis=0) for block in np.array_split(kept, _BLOCKS)])


def fit(values: NDArray[np.float64]) -> MemorySlope:
    """The slope of (_BLOCKS, 2) seconds and MB."""
    hours = (values[:, 0] - values[:, 0].mean()) / 3600
    slope = float((hours * values[:, 1]).sum() / (hours**2).sum())
    residuals = values[:, 1] - values[:, 1].mean() - slope * hours
    variance = (residuals**2).sum() / (len(values) - 2) / (hours**2).sum()
    return MemorySlope(slope, float(np.sqrt(variance)))


def run_child(samples: str, asked: str, camera: bool, arguments: Sequence[str]) -> None:
    """The command `simrun --demo`, with the demo replaced by `LiveMix`."""
    from simrun.cli.app import app
    from simrun.cli.console import run_app
    from simrun.sources import registry

    device = FlappingDevice() if camera else None
    source = LiveMix(Path(samples), Path(asked), device=device)
    with patch.object(registry, "open_demo", lambda _: source):
        run_app(app, "simrun", ["--demo", *arguments])


class Browsers:
    """Clients of the page that come, look and go, half of them in the middle of an answer."""

    def __init__(self, port: int | None) -> None:
        """Begin to come, if there is a page."""
        self.visits = self.refused = 0
        self._port = port
        self._over = threading.Event()
        self._welcome = threading.Event()
        self._welcome.set()
        self._inside = 0
        self._left = threading.Condition()
        count = _BROWSERS if port else 0
        self._threads = [threading.Thread(target=self._come, args=(n,)) for n in range(count)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stay away."""
        self._over.set()
        self._welcome.clear()
        for thread in self._threads:
            thread.join()

    def leave(self) -> None:
        """All of them leave; returns when the last one is gone."""
        with self._left:
            self._welcome.clear()
            self._left.wait_for(lambda: self._inside == 0)

    def come_back(self) -> None:
        """They may come again."""
        self._welcome.set()

    def _come(self, number: int) -> None:
        rng = random.Random(number)
        while not self._over.wait(rng.uniform(0.01, 0.5)):
            path, stay_s = rng.choice(_PATHS), rng.uniform(0.05, 3.0)
            with self._left:
                if not self._welcome.is_set():
                    continue
                self._inside += 1
            answered = self._visit(path, stay_s)
            with self._left:
                self._inside -= 1
                self.visits += 1
                self.refused += not answered
                self._left.notify_all()

    def _visit(self, path: str, stay_s: float) -> bool:
        leave_at, first = time.monotonic() + stay_s, b""
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=1.0) as connection:
                connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
                while time.monotonic() < leave_at and self._welcome.is_set():
                    data = connection.recv(65536)
                    first = first or data
                    if not data:
                        break
        except TimeoutError:
            pass  # A stream that is silent for a second: what came before tells.
        except OSError:
            return False
        return first.startswith(b"HTTP/1.1 200")


def watch(
    process: subprocess.Popen[bytes], seconds: float, folder: Path, browsers: Browsers
) -> None:
    """Ask for readings for so long, or until the process ends; delete pictures meanwhile."""
    asked, end = folder / _ASKED, time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        time.sleep(_BETWEEN_S)
        browsers.leave()
        asked.touch()
        while asked.exists() and process.poll() is None:
            time.sleep(_POLL_S)
        browsers.come_back()
        for name in ("save", "crops"):
            for path in (folder / name).glob("**/*.jpg"):
                path.unlink()


def soak(
    minutes: float, page: bool, camera: bool, malloc: Mapping[str, str], more: Sequence[str]
) -> dict[str, Any]:
    """One run, from start to its end by SIGTERM."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _leave_crops(folder / _FILES["crops"])
        outputs = {kind: str(folder / file) for kind, file in _FILES.items()}
        arguments = [text for kind, to in outputs.items() for text in ("--sink", f"{kind}={to}")]
        port = _free_port() if page else None
        arguments += ["--overwrite"] + (["--serve", str(port)] if page else [])
        readings = folder / "readings"
        given = (str(readings), str(folder / _ASKED), camera, [*arguments, *more])
        call = f"run_child{given!r}"
        script = f"from benchmarks.endurance.soak import run_child; {call}"
        with (folder / "log").open("wb") as log:
            command = [sys.executable, "-c", script]
            process = subprocess.Popen(command, stderr=log, env={**os.environ, **malloc})
        browsers = Browsers(port)
        try:
            watch(process, minutes * 60, folder, browsers)
        finally:
            browsers.close()
            process.send_signal(signal.SIGTERM)
            code = process.wait(timeout=60)
        logged = (folder / "log").read_text()
        if code != _ENDED:
            sys.stderr.write(logged[-3000:])
        with (folder / _FILES["jsonl"]).open() as lines:
            frames = sum(1 for _ in lines) - 1
        samples = np.loadtxt(readings, ndmin=2)
    return {
        "exit_code": code,
        "malloc": dict(malloc),
        "outputs": [*outputs, *(["serve"] if page else []), *more],
        "frames": frames,
        "seconds": float(samples[-1, 0]),
        "visits": browsers.visits,
        "visits_refused": browsers.refused,
        "errors": errors_in(logged, folder),
        "reconnects": int(samples[-1, -1]),
        "readings": {
            name: Samples(column)
            for name, column in zip(("seconds", *READINGS), samples.T[:-1].tolist(), strict=True)
        },
    }


def errors_in(log: str, folder: Path) -> list[str]:
    """What simrun logged as an error, with the paths it was given, not where those lay."""
    lines = [line.replace(f"{folder}/", "") for line in log.splitlines()]
    return [line for line in lines if line.startswith("error: ")][:_MOST_ERRORS]


def _leave_crops(folder: Path) -> None:
    folder.mkdir()
    for number in range(_EARLIER_CROPS):
        (folder / f"frame-{number:06d}-0-5.jpg").touch()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--no-page", action="store_true", help="leave the page out")
    parser.add_argument("--no-camera", action="store_true", help="leave the camera out")
    parser.add_argument("--default-malloc", action="store_true", help="leave the C library alone")
    parser.add_argument("more", nargs="*", help="further options of simrun, after --")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run and fit."""
    malloc = {} if options.default_malloc else _MALLOC
    found = soak(options.minutes, not options.no_page, not options.no_camera, malloc, options.more)
    values = np.column_stack(list(found["readings"].values()))
    means = blocks(values)
    return {
        "minutes": options.minutes,
        "slopes": {
            name: dataclasses.asdict(fit(means[:, [0, column]]))
            for column, name in enumerate(READINGS, start=1)
        },
        "first": values[0].tolist(),
        "last": values[-1].tolist(),
        "blocks": means.round(3).tolist(),
        **found,
    }


def to_markdown(record: Record) -> str:
    """One row: both readings with their slopes."""
    cells = [f"{record['minutes']:g} min, {record['frames']} frames"]
    cells += [record[name] for name in ("visits", "reconnects")]
    for column, name in enumerate(READINGS, start=1):
        slope = record["slopes"][name]
        cells.append(
            f"{record['first'][column]:.1f} to {record['last'][column]:.1f} MB, "
            f"{slope['mb_per_hour']:+.2f} ± {slope['standard_error']:.2f} MB an hour"
        )
    heads = ["run", "visits", "camera back", "resident", "resident, what is free given back first"]
    note = heading(record, f"outputs {', '.join(record['outputs'])}")
    return f"{note}\n\n{table(heads, [cells])}"


def faults(record: Record) -> list[str]:
    """Slopes that are not flat, and an end that is none."""
    slopes = {name: MemorySlope(**slope) for name, slope in record["slopes"].items()}
    found = [f"soak: {name} memory is not flat" for name in slopes if not slopes[name].is_flat]
    if record["exit_code"] != _ENDED:
        found.append(f"soak: simrun ended with {record['exit_code']}, not {_ENDED}")
    found += [f"soak: simrun said: {line}" for line in record["errors"]]
    return found


BENCHMARK: Final = Benchmark(measure, to_markdown, add_arguments, markers="soak", faults=faults)

if __name__ == "__main__":
    BENCHMARK.main()
