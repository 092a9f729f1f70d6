"""The newest of a row of values, from any thread to those who wait in an event loop."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Latest(Generic[Value]):
    """Keeps one value only: who is slow misses some, and nothing piles up."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Empty; `loop` is the one in which `newer` is awaited."""
        self._loop = loop
        self._value: Value | None = None
        self._changed = asyncio.Event()
        self._waiting = 0
        self._calling = False

    @property
    def value(self) -> Value | None:
        """The newest; None before the first. From any thread."""
        return self._value

    def put(self, value: Value) -> None:
        """Replace the value; from any thread. Where nobody waits it costs two assignments."""
        self._value = value
        # After the value: see `newer`. One call on its way is enough, however busy the loop is.
        if self._waiting and not self._calling:
            self._calling = True
            self._loop.call_soon_threadsafe(self._wake)

    async def newer(self, than: Value | None) -> Value:
        """The newest value as soon as it is another object than this one."""
        # Before the look at the value: whoever puts one after that look sees somebody waiting.
        self._waiting += 1
        try:
            while (value := self._value) is None or value is than:
                await self._changed.wait()
        finally:
            self._waiting -= 1
        return value

    def _wake(self) -> None:
        self._calling = False
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
