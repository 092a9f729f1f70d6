"""Who does the work of a sink: a thread, so that nobody has to wait to the end, or the caller."""

from __future__ import annotations

import threading
from collections.abc import Callable

Job = Callable[[], None]


class Worker:
    """Does jobs in a thread of its own. A job that never ends leaves the thread behind.

    All calls must come from one thread.
    """

    def __init__(self, name: str) -> None:
        """Start the thread, which does not hold up the end of the process."""
        # Two bare locks: a frame passes by here, and a Condition costs ten times as much.
        self._todo, self._done = threading.Lock(), threading.Lock()
        self._todo.acquire()
        self._done.acquire()
        self._job: Job | None = None
        self._error: BaseException | None = None
        self._busy = False
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def start(self, job: Job) -> None:
        """Begin a job; the one before has to be over, as `wait` tells."""
        self._job, self._busy = job, True
        self._todo.release()

    def wait(self, timeout_s: float) -> bool:
        """Whether the job is over, or is so within this time.

        Raises:
            BaseException: what the job raised; once.
        """
        if self._busy:
            if not self._done.acquire(timeout=timeout_s):
                return False
            self._busy = False
        error, self._error = self._error, None
        if error is not None:
            raise error
        return True

    def end(self) -> None:
        """Let the thread end; no job may be in work."""
        self._todo.release()

    def _run(self) -> None:
        while True:
            self._todo.acquire()
            job, self._job = self._job, None
            if job is None:
                return
            try:
                job()
            except BaseException as error:  # noqa: BLE001 - raised where the job is waited for
                self._error = error
            # The job holds a frame.
            del job
            self._done.release()


class Direct:
    """Does jobs at once, in the thread that asks; it has the calls of a `Worker`."""

    def __init__(self) -> None:
        """Nothing to do yet."""
        self._error: BaseException | None = None

    def start(self, job: Job) -> None:
        """Do it."""
        try:
            job()
        except BaseException as error:  # noqa: BLE001 - raised where the job is waited for
            self._error = error

    def wait(self, timeout_s: float) -> bool:
        """It is over. Raises what it raised, once."""
        error, self._error = self._error, None
        if error is not None:
            raise error
        return True

    def end(self) -> None:
        """There is nothing to end."""
