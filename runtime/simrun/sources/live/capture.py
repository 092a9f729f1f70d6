"""One opening of a device: a thread that opens it and reads until it fails or is let go."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from simrun.errors import SourceError
from simrun.sources.devices.base import Device, Shot, Stream
from simrun.sources.live.clock import Clock
from simrun.sources.live.counters import Counters

_log = logging.getLogger(__name__)

_MAX_BAD: Final = 30
"""Empty or broken frames in a row after which the device counts as gone."""
_OLDEST_S: Final = 10.0
"""A time stamp that is older than this is on another clock."""
_AHEAD_S: Final = 0.1
"""So is one further ahead than this: some drivers write the time at which a frame was due."""

T = TypeVar("T")


@dataclass(frozen=True)
class Captured:
    """A frame and when it was taken."""

    shot: Shot
    index: int
    moment_s: float
    """By the device's own time stamp, or else when it arrived; on the monotonic clock."""
    arrived_s: float


class Session:
    """Reads as fast as the device delivers, and keeps the newest frame only.

    Drivers queue a few frames and hand them out in order, so a reader that is slower than the
    camera would see the past. A read may block for ever in the driver: nothing here waits for the
    thread without a limit. One that is stuck is left behind, and closes the device should it ever
    come back.

    Frames that have to be decoded are decoded when they are taken, but for the first: a device
    counts as open only once there is a picture of it.
    """

    def __init__(self, device: Device, counters: Counters, clock: Clock, first_index: int) -> None:
        """Start the thread; frames are numbered from `first_index`."""
        self.started_s = self.last_s = clock.now()
        self.next_index = first_index
        self.description = ""
        self.rate: float | None = None
        self._device = device
        self._counters = counters
        self._clock = clock
        self._slot: LatestSlot[Captured] = LatestSlot(clock)
        self._lock = threading.Lock()
        self._stream: Stream | None = None
        self._stop = threading.Event()
        self._stamps_fit = True
        self._misses = _Misses(device.name, counters)
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread is still there."""
        return self._thread.is_alive()

    def wait_frame(self, timeout_s: float) -> None:
        """Wait for the first frame, and leave it to be taken.

        Raises:
            SourceError: the device cannot be opened, or failed.
            TimeoutError: no frame came.
        """
        self._slot.wait(timeout_s)

    def take(self, stall_s: float) -> Captured | None:
        """The newest frame that can be decoded, each once; None after `let_go`.

        Raises:
            SourceError: the device failed, or none of many frames could be decoded.
            TimeoutError: the last frame came more than `stall_s` seconds ago.
        """
        while captured := self._slot.take(self.last_s + stall_s - self._clock.now()):
            shot = self._misses.decoded(captured.shot)
            if shot is not None:
                self._misses.end()
                return replace(captured, shot=shot)
        return None

    def let_go(self) -> None:
        """Have the thread close the device and end; does not wait for it."""
        self._stop.set()
        self._slot.close()
        with self._lock:
            stream = self._stream
        if stream is not None:
            stream.interrupt()

    def join(self, timeout_s: float) -> None:
        """Wait for the thread, not longer than this."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            stream = self._device.open()
            try:
                self._read_all(stream)
            finally:
                self._forget(stream)
        except Exception as error:  # noqa: BLE001 - raised in the thread that takes the frames
            self._slot.fail(error)

    def _forget(self, stream: Stream) -> None:
        with self._lock:
            self._stream = None
        stream.close()

    def _read_all(self, stream: Stream) -> None:
        with self._lock:
            self._stream = stream
        self.description, self.rate = stream.description, stream.rate
        misses, seen = _Misses(self._device.name, self._counters), False
        while not self._stop.is_set():
            shot = stream.read()
            if self._stop.is_set():
                return
            if shot is None or shot.decode is None or not seen:
                shot = misses.decoded(shot)
            if shot is None:
                continue
            misses.end()
            seen = True
            self._put(shot)

    def _put(self, shot: Shot) -> None:
        now_s = self._clock.now()
        captured = Captured(shot, self.next_index, self._moment_s(shot, now_s), now_s)
        self.next_index += 1
        self.last_s = now_s
        self._counters.count("captured")
        if self._slot.put(captured):
            self._counters.count("skipped")

    def _moment_s(self, shot: Shot, arrived_s: float) -> float:
        if shot.stamp_s is None:
            return arrived_s
        if -_AHEAD_S <= arrived_s - shot.stamp_s <= _OLDEST_S:
            return min(shot.stamp_s, arrived_s)
        if self._stamps_fit:
            self._stamps_fit = False
            _log.info(
                "%s: a time stamp is %.1f s before its arrival; such frames count from that",
                self._device.name,
                arrived_s - shot.stamp_s,
            )
        return arrived_s


class _Misses:
    """Bad frames in a row, as one thread meets them."""

    def __init__(self, name: str, counters: Counters) -> None:
        self._name = name
        self._counters = counters
        self._count = 0

    def decoded(self, shot: Shot | None) -> Shot | None:
        """The shot with its picture; None where there is none in it.

        Raises:
            SourceError: there were too many without.
        """
        try:
            decoded, why = None if shot is None else shot.decoded(), ""
        except SourceError as error:
            decoded, why = None, f": {error}"
        if decoded is None:
            self._counters.count("bad")
            self._count += 1
            if self._count == _MAX_BAD:
                raise SourceError(f"{self._name} stopped giving frames{why}")
        return decoded

    def end(self) -> None:
        """A good frame came."""
        self._count = 0


def _without_frames(error: Exception) -> Exception:
    """The error and what caused it, without tracebacks: those hold the last pictures, each other's
    and their own thread's, in a circle that is only broken now and then."""
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return error


class LatestSlot(Generic[T]):
    """One thread puts, one takes; what was not taken in time is overwritten."""

    def __init__(self, clock: Clock) -> None:
        """Start empty and open."""
        self._clock = clock
        self._condition = threading.Condition()
        self._item: T | None = None
        self._error: Exception | None = None
        self._closed = False

    def put(self, item: T) -> bool:
        """Replace whatever lies there; whether something did."""
        with self._condition:
            overwritten = self._item is not None
            self._item = item
            self._condition.notify_all()
            return overwritten

    def fail(self, error: Exception) -> None:
        """Raise this on the taking side, once the slot is empty; its traceback is let go."""
        _log.debug("a capture thread ends", exc_info=error)
        with self._condition:
            self._error = _without_frames(error)
            self._condition.notify_all()

    def close(self) -> None:
        """End the taking side at once."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def wait(self, timeout_s: float) -> None:
        """Wait until there is something to take, or the slot is closed.

        Raises:
            TimeoutError: nothing came in `timeout_s` seconds.
            Exception: what `fail` was given.
        """
        with self._condition:
            self._wait(timeout_s)

    def take(self, timeout_s: float) -> T | None:
        """Wait for the next thing and take it; None once the slot is closed.

        Raises:
            TimeoutError: nothing came in `timeout_s` seconds.
            Exception: what `fail` was given.
        """
        with self._condition:
            self._wait(timeout_s)
            item, self._item = self._item, None
            return None if self._closed else item

    def _wait(self, timeout_s: float) -> None:
        if not self._clock.wait(self._condition, self._ready, timeout_s):
            raise TimeoutError
        if self._error is not None and self._item is None and not self._closed:
            # Raised once: an error that is kept where its traceback leads would never be freed.
            error, self._error, self._closed = self._error, None, True
            try:
                raise error
            finally:
                del error

    def _ready(self) -> bool:
        return self._item is not None or self._error is not None or self._closed
