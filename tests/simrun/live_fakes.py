"""Scripted cameras and a clock that moves only when nothing else does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from simrun.errors import SourceError
from simrun.images.read import Image
from simrun.sources.devices.base import Shot

PATIENCE_S: Final = 10.0
"""Real seconds after which a test that waits for a thread has failed."""
MAX_TRIES: Final = 10_000
"""Openings after which a source that should have come to an end has failed the test."""


class Mark(Enum):
    """Steps of a script that are no pictures."""

    BAD = "an empty read"
    HANG = "blocked in the driver until the test ends"
    HANG_CLOSABLE = "blocked until another thread interrupts"


@dataclass(frozen=True)
class Broken:
    """A read that gives what is no picture, whether or not somebody waits for one."""

    array: NDArray[Any]


Step = Image | Broken | Shot | Mark | Exception | Callable[[], object]
"""What a read does. Functions are called on the way to the next step, exceptions are raised."""
Opening = Sequence[Step] | SourceError | Mark
"""What opening does: a script to read from, an error, or a hang."""


def picture(value: int = 50, *, size: tuple[int, int] = (24, 32)) -> Image:
    """(H, W, 3) of one colour."""
    return np.full((*size, 3), value, np.uint8)


class Decoder:
    """Makes pictures of single bytes, and keeps which ones."""

    CORRUPT: Final = 255

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, data: NDArray[np.uint8]) -> Image:
        value = int(data[0, 0])
        self.asked.append(value)
        if value == self.CORRUPT:
            raise SourceError("a corrupt frame")
        return picture(value)

    def shot(self, value: int) -> Shot:
        """What a camera sends that compresses its frames."""
        return Shot(np.full((1, 1), value, np.uint8), decode=self)

    def corrupt(self, count: int = 1) -> list[Shot]:
        """Frames that hold no picture."""
        return [self.shot(self.CORRUPT)] * count


class FakeClock:
    """Time stands still while a frame may come, and jumps over every other wait.

    A device that hangs says so; only then does waiting for a frame take the time it may take.
    Pictures are handed out when somebody waits for one, so none is overwritten by chance.
    """

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.pauses: list[float] = []
        self.on_pause: Callable[[], object] = lambda: None
        self.hangs = threading.Event()
        self._condition: threading.Condition | None = None
        self._demand = threading.Condition()
        self._wanted = 0
        self.free_running = False

    def now(self) -> float:
        return self.now_s

    def advance(self, seconds: float) -> Callable[[], None]:
        """A step for scripts: so much time passes."""

        def step() -> None:
            self.now_s += seconds

        return step

    def wait(
        self, condition: threading.Condition, ready: Callable[[], bool], timeout_s: float
    ) -> bool:
        self._condition = condition
        if not ready():
            with self._demand:
                self._wanted += 1
                self._demand.notify_all()
        assert condition.wait_for(lambda: ready() or self.hangs.is_set(), PATIENCE_S), "stuck"
        if not ready():
            self.now_s += max(timeout_s, 0)
        return ready()

    def pause(self, stop: threading.Event, seconds: float) -> None:
        self.hangs.clear()
        self.pauses.append(seconds)
        self.on_pause()
        if not stop.is_set():
            self.now_s += seconds

    def await_demand(self, given_up: threading.Event) -> None:
        """For streams: wait until somebody wants a picture, or the stream is let go."""
        if self.free_running:
            return
        with self._demand:
            assert self._demand.wait_for(lambda: self._wanted or given_up.is_set(), PATIENCE_S)
            if not given_up.is_set():
                self._wanted -= 1

    def interrupt(self, stream_is_let_go: threading.Event) -> None:
        """For streams: nobody wants anything more from this one."""
        with self._demand:
            stream_is_let_go.set()
            self._demand.notify_all()

    def hang(self) -> None:
        """For devices: from now on nothing comes."""
        self.hangs.set()
        # The waiting side may be about to wait: it holds the condition until it really waits.
        if self._condition is not None:
            with self._condition:
                self._condition.notify_all()


class ScriptedStream:
    """Reads from a script; after the end of it nothing comes."""

    description = "32x24 FAKE at 25 frames/s"
    rate: float | None = 25.0

    def __init__(self, device: ScriptedDevice, script: Sequence[Step]) -> None:
        self.device = device
        self.script: Iterator[Step] = iter(script)
        self.closed = threading.Event()
        self.interrupted = threading.Event()

    def read(self) -> Shot | None:
        for step in self.script:
            if isinstance(step, Exception):
                raise step
            if step is Mark.BAD:
                return None
            if isinstance(step, Mark):
                return self._hang(step)
            if callable(step):
                step()
                continue
            if isinstance(step, Broken):
                return Shot(step.array)
            self.device.clock.await_demand(self.interrupted)
            return step if isinstance(step, Shot) else Shot(step)
        return self._hang(Mark.HANG_CLOSABLE)

    def interrupt(self) -> None:
        self.device.clock.interrupt(self.interrupted)

    def close(self) -> None:
        self.closed.set()

    def _hang(self, kind: Mark) -> Shot | None:
        self.device.hang(self.interrupted if kind is Mark.HANG_CLOSABLE else None)
        return None


class ScriptedDevice:
    """A camera whose openings go by a script; after the last one it is not there."""

    def __init__(self, clock: FakeClock, *openings: Opening, name: str = "cam") -> None:
        self.name = name
        self.clock = clock
        self.openings = iter(openings)
        self.streams: list[ScriptedStream] = []
        self.tries = 0
        self.test_ends = threading.Event()

    def open(self) -> ScriptedStream:
        self.tries += 1
        assert self.tries < MAX_TRIES, "the source tries for ever"
        opening = next(self.openings, SourceError(f"no camera {self.name}"))
        if isinstance(opening, SourceError):
            raise opening
        if isinstance(opening, Mark):
            self.hang(None)
            raise SourceError("opened too late")
        stream = ScriptedStream(self, opening)
        self.streams.append(stream)
        return stream

    def hang(self, until: threading.Event | None) -> None:
        self.clock.hang()
        (until or self.test_ends).wait(PATIENCE_S)
