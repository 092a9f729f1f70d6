"""Passwords in addresses."""

from __future__ import annotations

import pytest

from simrun.redact import hide_passwords


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://admin:s3cret@10.0.0.2:554/live", "rtsp://admin:***@10.0.0.2:554/live"),
        ("rtsp://admin:a@b:c@10.0.0.2/", "rtsp://admin:***@10.0.0.2/"),
        ("http://h/x.mjpg?user=u&password=p&x=1", "http://h/x.mjpg?user=u&password=***&x=1"),
        ("http://h/x?TOKEN=abc", "http://h/x?TOKEN=***"),
        ("http://u@h/x?monkey=1", "http://u@h/x?monkey=1"),
        ("http://h:8080/a?b=c:d@e", "http://h:8080/a?b=c:d@e"),
        ("rtspsrc location=rtsp://u:p@h/ ! x", "rtspsrc location=rtsp://u:***@h/ ! x"),
        ("mqtt://u:p%40@h/door", "mqtt://u:***@h/door"),
        ("rtspsrc user-pw=p location=rtsp://h/", "rtspsrc user-pw=*** location=rtsp://h/"),
    ],
)
def test_passwords_are_hidden_and_nothing_else(url: str, shown: str) -> None:
    assert hide_passwords(url) == shown
