"""Wrong tokens cost time, and are told of in a line a minute."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from simrun.sinks.web.connection import Limits
from simrun.sinks.web.guesses import WrongTokens
from tests.simrun.web import open_page


class Scripted:
    """A clock, and what is to be called later."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.due: list[tuple[float, Callable[[], None]]] = []
        self.wrong = WrongTokens(2.0, lambda: self.now_s, self._later)

    def _later(self, wait_s: float, call: Callable[[], None]) -> None:
        self.due.append((self.now_s + wait_s, call))

    def pass_to(self, now_s: float) -> None:
        while self.due and self.due[0][0] <= now_s:
            self.now_s, call = self.due.pop(0)
            call()
        self.now_s = now_s


def test_the_wait_grows_for_each_address_alone_and_is_forgotten() -> None:
    scripted = Scripted()
    waits = [scripted.wrong.note("10.0.0.1") for _ in range(6)]
    assert waits == [0.25, 0.5, 1.0, 2.0, 2.0, 2.0]
    assert scripted.wrong.note("10.0.0.2") == 0.25
    scripted.pass_to(61)
    assert scripted.wrong.note("10.0.0.1") == 0.25


def test_a_storm_is_a_line_a_minute_with_the_count(caplog: pytest.LogCaptureFixture) -> None:
    scripted = Scripted()
    with caplog.at_level(logging.WARNING, "simrun"):
        for number in range(8053):
            scripted.pass_to(number / 800)
            scripted.wrong.note("10.0.0.1")
        assert caplog.messages == ["page: a wrong token, the last from 10.0.0.1"]
        scripted.pass_to(600)
        assert caplog.messages[1:] == ["page: 8052 wrong tokens, the last from 10.0.0.1"]
        scripted.wrong.note("10.0.0.3")
        assert caplog.messages[2:] == ["page: a wrong token, the last from 10.0.0.3"]
        scripted.wrong.note("10.0.0.3")
        scripted.wrong.tell_rest()
        assert caplog.messages[3:] == ["page: a wrong token, the last from 10.0.0.3"]
    assert scripted.wrong.count == 8055


def test_a_storm_of_addresses_takes_no_memory() -> None:
    scripted = Scripted()
    for number in range(5000):
        scripted.wrong.note(f"10.0.{number // 256}.{number % 256}")
    assert len(scripted.wrong._guessed) == 1024


def test_a_wrong_token_waits_and_a_right_one_does_not(caplog: pytest.LogCaptureFixture) -> None:
    token = "a-token-of-some-length"
    with (
        open_page(token=token, limits=Limits(connections=4, strangers=3, wrong_s=600)) as page,
        page.open("/?token=wrong") as guess,
        page.open("/", Cookie="a=b") as asked,
    ):
        # No token is no guess.
        assert asked.recv(12) == b"HTTP/1.1 401"
        answer = page.ask("/metrics", Authorization=f"Bearer {token}")
        assert b"simrun_page_wrong_tokens_total 1\n" in answer.body
        guess.setblocking(False)
        with pytest.raises(BlockingIOError):
            guess.recv(1)
    assert caplog.messages[-1] == "page: a wrong token, the last from 127.0.0.1"
