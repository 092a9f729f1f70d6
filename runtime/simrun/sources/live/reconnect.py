"""A source that nobody looks after: the latest frame wins, and what fails is opened again.

The thread that takes the frames also looks after the device. It moves between three places:

    opening --first frame--> open --stall, failure, frozen picture--> waiting --first frame--> open

A capture thread (`capture.py`) lives from one opening of the device to the next. Waiting means: let
go of it, pause (`Backoff`), start another one. No frame is ever made up in between.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Iterator
from random import Random
from typing import Final

from simrun.errors import SourceError
from simrun.sources.base import BadFrame, Frame
from simrun.sources.devices.base import Device, DeviceUnusableError
from simrun.sources.live.capture import Captured, Session
from simrun.sources.live.clock import Clock, SystemClock
from simrun.sources.live.counters import Counters
from simrun.sources.live.frozen import FrozenWatch
from simrun.sources.options import SourceOptions
from simrun.stats import SourceStats, State

_log = logging.getLogger(__name__)

MAX_HUNG: Final = 4
"""More capture threads than this stuck in the driver end the program, to be started anew."""

_OPEN_S: Final = 15.0
"""How long opening may take until the first frame: network streams and libcamera need seconds."""
_STEADY_S: Final = 10.0
"""Frames for this long make a device a healthy one, whose next outage starts at the shortest wait;
one that dies earlier each time waits longer and longer."""
_JOIN_S: Final = 1.0
"""How long a capture thread is given to close its device."""
_REMIND_S: Final = 60.0
"""Time between two lines about the same outage."""

FLOOR_S: Final = 0.5
CEILING_S: Final = 30.0


class LiveSource:
    """Frames of a device, always the newest, through outages of any length."""

    live = True
    length: int | None = None

    def __init__(
        self,
        device: Device,
        options: SourceOptions | None = None,
        *,
        clock: Clock | None = None,
        random: Random | None = None,
    ) -> None:
        """Open the device and wait for its first frame.

        Args:
            device: what to open.
            options: how long to wait for what; None takes the defaults.
            clock: the time; None takes the machine's.
            random: spreads the waits.

        Raises:
            SourceError: it gave no frame, not within `options.wait_s` either.
        """
        self.name = device.name
        self.rate: float | None = None
        self._device = device
        self._options = options or SourceOptions()
        self._clock = clock or SystemClock()
        self._counters = Counters()
        self._backoff = Backoff(random or Random())
        self._frozen = FrozenWatch(self.name, self._options.frozen_s)
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._left_behind: list[Session] = []
        self._shape: tuple[int, ...] = ()
        self._start_s = self._clock.now()
        try:
            self._connect(_Outage(self._start_s, self._options.wait_s))
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[Frame | BadFrame]:
        """The newest frame each time; numbers are skipped where frames were dropped.

        Raises:
            SourceError: an outage lasted longer than `give_up_s`, or too many threads hang.
        """
        while (captured := self._next()) is not None:
            self._note_shape(captured)
            moment_s = captured.moment_s
            yield Frame(
                captured.shot.image,
                captured.index,
                max(moment_s - self._start_s, 0.0),
                capture_s=self._clock.now() - moment_s,
            )

    def stats(self) -> SourceStats:
        """The counters of this moment; may be called from any thread."""
        hung = sum(session.alive for session in list(self._left_behind))
        return self._counters.snapshot(hung=hung)

    def close(self) -> None:
        """End the iteration and let go of the device; waits a second at most."""
        self._closed.set()
        with self._lock:
            session = self._session
        if session is not None:
            session.let_go()
            session.join(_JOIN_S)
        self._counters.ends(State.CLOSED)

    def _next(self) -> Captured | None:
        """The next good frame, after an outage if need be; None once closed."""
        while (session := self._session) is not None and not self._closed.is_set():
            try:
                captured = session.take(self._options.stall_s)
            except TimeoutError:
                self._counters.count("stalls")
                self._recover(session, f"gave no frame for {self._options.stall_s:g} s", hung=True)
                continue
            except SourceError as error:
                self._recover(session, _without_name(error, self.name))
                continue
            if captured is None:
                return None
            shot = captured.shot
            if shot.polled or not self._frozen.is_stuck(shot.image, captured.arrived_s):
                return captured
            self._counters.count("stalls")
            self._recover(session, "gives the same picture again and again")
        return None

    def _recover(self, session: Session, why: str, *, hung: bool = False) -> None:
        """Get the device back, whatever time it takes.

        Raises:
            SourceError: it took longer than `give_up_s`, or too many threads hang.
        """
        if session.last_s - session.started_s >= _STEADY_S:
            self._backoff.reset()
        self._let_go(session, hung=hung)
        outage = _Outage(session.last_s, self._options.give_up_s)
        self._counters.waits(why)
        _log.warning("%s %s; it will be opened again", self.name, why)
        self._pause(outage)
        if self._connect(outage):
            self._counters.count("reconnects")
            _log.info("%s is back after %.0f s", self.name, self._clock.now() - outage.since_s)

    def _connect(self, outage: _Outage) -> bool:
        """Open the device until it gives a frame; whether it does, False once closed.

        Raises:
            SourceError: it cannot be used at all, or the outage lasts too long.
        """
        while (session := self._new_session()) is not None:
            try:
                self._await_first_frame(session)
            except SourceError as error:
                self._endure(outage, error)
                continue
            if self._closed.is_set():
                break
            self._adopt(session)
            return True
        return False

    def _await_first_frame(self, session: Session) -> None:
        """A device counts as open when a frame came; or else the session is let go.

        Raises:
            SourceError: none came.
        """
        try:
            session.wait_frame(_OPEN_S)
        except TimeoutError:
            self._counters.count("stalls")
            self._let_go(session, hung=True)
            raise SourceError(
                f"{self.name} was opened and gave no frame for {_OPEN_S:g} s"
            ) from None
        except SourceError:
            self._let_go(session)
            raise

    def _endure(self, outage: _Outage, error: SourceError) -> None:
        """Wait until it is worth another try, or raise what went wrong."""
        now_s = self._clock.now()
        final = isinstance(error, DeviceUnusableError)
        if final or now_s >= outage.until_s:
            self._counters.ends(State.FAILED, str(error))
            if final or not outage.tried:
                raise error
            raise SourceError(f"{error} (waited {now_s - outage.since_s:.0f} s)") from error
        self._counters.waits(str(error))
        outage.report(str(error), now_s)
        self._pause(outage)

    def _adopt(self, session: Session) -> None:
        self.rate = session.rate
        self._frozen.reopened()
        self._counters.opened(session.description)
        _log.info("%s: %s", self.name, session.description)

    def _new_session(self) -> Session | None:
        """Start another capture thread; None once closed.

        Raises:
            SourceError: too many of the earlier ones are stuck.
        """
        self._left_behind = [session for session in self._left_behind if session.alive]
        if len(self._left_behind) > MAX_HUNG:
            message = f"{self.name} hangs: {len(self._left_behind)} reads never came back; restart"
            self._counters.ends(State.FAILED, message)
            raise SourceError(message)
        with self._lock:
            if self._closed.is_set():
                return None
            first = self._session.next_index if self._session is not None else 0
            self._session = Session(self._device, self._counters, self._clock, first)
            return self._session

    def _let_go(self, session: Session, *, hung: bool = False) -> None:
        session.let_go()
        if not hung:
            session.join(_JOIN_S)
        self._left_behind.append(session)

    def _pause(self, outage: _Outage) -> None:
        left_s = outage.until_s - self._clock.now()
        self._clock.pause(self._closed, max(min(self._backoff.next_s(), left_s), 0.0))

    def _note_shape(self, captured: Captured) -> None:
        shape = captured.shot.image.shape
        if self._shape and shape != self._shape:
            _log.info(
                "%s: frames are now %s, not %s", self.name, _shown(shape), _shown(self._shape)
            )
        self._shape = shape


class _Outage:
    """A time without frames, how long it may last, and what was said about it."""

    def __init__(self, since_s: float, limit_s: float | None) -> None:
        self.since_s = since_s
        self.until_s = math.inf if limit_s is None else since_s + limit_s
        self.tried = False
        self._why = ""
        self._said_s = -math.inf

    def report(self, why: str, now_s: float) -> None:
        """Say why it lasts: when the reason changes, and now and then."""
        self.tried = True
        if why == self._why and now_s - self._said_s < _REMIND_S:
            return
        self._why, self._said_s = why, now_s
        _log.warning("%s; waiting for it since %.0f s", why, now_s - self.since_s)


def _without_name(error: SourceError, name: str) -> str:
    return str(error).removeprefix(f"{name} ").removeprefix(f"{name}: ")


def _shown(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]} {'grey' if len(shape) == 2 else 'colour'}"


class Backoff:
    """Waits that double from a floor to a ceiling, spread by chance.

    The chance keeps several programs that lost the same camera server from coming back at once;
    the floor keeps a device that refuses quickly from being asked a thousand times a second.
    """

    def __init__(self, random: Random) -> None:
        """Start at the floor."""
        self._random = random
        self._step_s = 2 * FLOOR_S

    def next_s(self) -> float:
        """Seconds to wait now, between `FLOOR_S` and `CEILING_S`."""
        step_s = self._step_s
        self._step_s = min(2 * step_s, CEILING_S)
        return self._random.uniform(step_s / 2, step_s)

    def reset(self) -> None:
        """Start at the floor again."""
        self._step_s = 2 * FLOOR_S
