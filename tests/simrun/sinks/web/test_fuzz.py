"""The server against whatever bytes there are; `benchmarks/endurance/fuzz_http.py` is the long
run of it."""

from __future__ import annotations

import logging
import threading

import pytest
from hypothesis import HealthCheck, given, settings

from simrun.sinks.web.connection import Limits
from tests.simrun.malformed import Attempt, attempts, survive
from tests.simrun.web import open_files, open_page, until


@pytest.mark.parametrize("token", [None, "correct-horse-battery"])
def test_garbage_is_survived(caplog: pytest.LogCaptureFixture, token: str | None) -> None:
    with open_page(token=token, limits=Limits(head_s=0.02, wrong_s=0, linger_s=0.05)) as page:
        page.show()
        page.ask("/healthz")
        before = threading.active_count(), open_files()

        @settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(attempts())
        def fuzz(attempt: Attempt) -> None:
            survive(page.port, attempt)

        fuzz()
        status = 200 if token is None else 401
        assert page.ask("/healthz").status == status
        until(lambda: open_files() <= before[1], "every connection to be closed")
        # The encoder may have been started meanwhile.
        assert threading.active_count() <= before[0] + 1
    told = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert [line for line in told if "wrong token" not in line] == []
    assert len(told) <= 2, "a line a minute, and one at the end"
