"""What systemd is told of a run: ready, alive, what it came to, stopping.

The protocol is a datagram to the socket named in `$NOTIFY_SOCKET`; where there is none, nothing is
sent. Three choices:

- READY when the model is loaded, before the device is opened: a camera that is not there yet is
  no failure of the service, holds no boot up, and runs into no limit on the time of starting.
- WATCHDOG only when a frame has been processed and its result handed on. A run that waits
  for its camera longer than the watchdog allows is therefore started anew: from the outside, a
  camera that is away and a driver that hangs look alike, and a fresh start is the cure for both.
- This is no sink. An output that is down is in the status, and is no reason for a new start: a
  full disk would be full after it, too, and the other outputs work.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from simrun.sources.base import BadFrame, Frame

if TYPE_CHECKING:
    from simrun.run.loop import Frames
    from simrun.stats import RunStats

_log = logging.getLogger(__name__)

_STATUS_S: Final = 10.0
"""Time between two messages where there is no watchdog to feed."""

Send = Callable[[str], None]


class Notifier:
    """Tells the service manager how a run is doing."""

    def __init__(
        self,
        send: Send,
        *,
        interval_s: float = _STATUS_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Send nothing yet.

        Args:
            send: passes a message on; an OSError of it is logged and the run goes on.
            interval_s: least time between two signs of life.
            clock: seconds, monotonic.
        """
        self._send = send
        self._interval_s = interval_s
        self._clock = clock
        self._last: float | None = None
        self._deaf = False

    def ready(self) -> None:
        """Say that the start is over, and that no frame has come yet."""
        self._say("READY=1", "STATUS=waiting for the first frame")

    def watch(self, frames: Frames, stats: RunStats) -> Iterator[Frame | BadFrame]:
        """The frames; each good one, once it is done, is a sign of life.

        When they end, for whatever reason, systemd hears that the run is stopping: completing the
        outputs may take longer than the watchdog allows between frames.

        Args:
            frames: what the main loop is about to process.
            stats: counts of the run.
        """
        try:
            for frame in frames:
                yield frame
                # The loop is back for more: this frame's results are with their outputs.
                if not isinstance(frame, BadFrame):
                    self._beat(stats)
        finally:
            self._say("STOPPING=1")

    def _beat(self, stats: RunStats) -> None:
        now = self._clock()
        if self._last is None or now - self._last >= self._interval_s:
            self._last = now
            self._say("WATCHDOG=1", f"STATUS={_status(stats)}")

    def _say(self, *lines: str) -> None:
        try:
            self._send("\n".join(lines))
            self._deaf = False
        except OSError as error:
            if not self._deaf:
                _log.warning(
                    "cannot tell systemd how the run is doing: %s", error.strerror or error
                )
            self._deaf = True


def in_service(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a service manager started this very process."""
    mine = environment.get("SYSTEMD_EXEC_PID") == str(os.getpid())
    return mine or bool(environment.get("NOTIFY_SOCKET"))


def open_notifier(environment: Mapping[str, str] = os.environ) -> Notifier:
    """The notifier for the socket that the environment names, or one that is silent."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):  # vsock and others are for virtual machines
        return Notifier(lambda _: None)
    return Notifier(_sender(address), interval_s=_interval_s(environment))


def _interval_s(environment: Mapping[str, str]) -> float:
    """A third of the time that the watchdog allows, so that one lost message does no harm."""
    text = environment.get("WATCHDOG_USEC", "")
    meant = environment.get("WATCHDOG_PID") in (None, str(os.getpid()))
    return int(text) / 3e6 if meant and text.isdecimal() and int(text) else _STATUS_S


def _sender(address: str) -> Send:
    import socket  # takes memory that a run outside of a service has no use for

    # Kept open for the life of the process. Not blocking: a manager that does not read must not
    # stop the camera.
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    channel.setblocking(False)
    # An @ stands for the zero byte of an address in the abstract namespace.
    name = "\0" + address[1:] if address.startswith("@") else address

    def send(message: str) -> None:
        channel.sendto(message.encode(), name)

    return send


def _status(stats: RunStats) -> str:
    """One line for `systemctl status`."""
    now = stats.snapshot()
    parts = [f"{now.frames} frames", f"{now.rate:.1f} frames/s", f"{now.regions} regions"]
    if now.bad:
        parts.append(f"{now.bad} bad")
    parts += [
        f"{output.name} is down ({output.trouble})" for output in now.outputs if output.trouble
    ]
    if now.source is not None:
        parts.append(f"camera {now.source.state}, {now.source.reconnects} reconnects")
    return ", ".join(parts)
