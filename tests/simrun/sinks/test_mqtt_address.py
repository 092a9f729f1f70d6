"""Addresses of MQTT brokers."""

from __future__ import annotations

import pytest

from simrun.errors import UsageError
from simrun.sinks.mqtt import parse_broker


def test_every_part_of_an_address() -> None:
    broker = parse_broker("mqtts://pi:p%40ss%2Fword@Broker.local:1234/yard/gate%201/")
    assert (broker.host, broker.port, broker.tls) == ("broker.local", 1234, True)
    assert (broker.user, broker.password, broker.prefix) == ("pi", "p@ss/word", "yard/gate 1")
    assert broker.name == "mqtts://broker.local:1234/yard/gate 1"
    assert "p@ss" not in repr(broker)


@pytest.mark.parametrize(
    ("url", "port", "name"),
    [
        ("mqtt://host/t", 1883, "mqtt://host:1883/t"),
        ("mqtts://host/t", 8883, "mqtts://host:8883/t"),
        ("mqtt://[::1]/t", 1883, "mqtt://[::1]:1883/t"),
    ],
)
def test_what_may_be_left_out(url: str, port: int, name: str) -> None:
    broker = parse_broker(url)
    assert (broker.user, broker.password, broker.port) == (None, None, port)
    assert broker.name == name


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host/t",
        "http://pi:s3cret@host/t",
        "mqtt://pi:s3cret@/t",
        "mqtt://pi:s3cret@host",
        "mqtt://pi:s3cret@host/",
        "mqtt://pi:s3cret@host:99999/t",
        "mqtt://pi:s3cret@host:port/t",
        "mqtt://pi:s3cret@[::1/t",
        "mqtt://pi:s3cret@a..b/t",
        "mqtt://pi:s3cret@host/a/+/b",
        "mqtt://pi:s3cret@host/a?b",
        "mqtt://pi:s3cret@host/a#b",
        "mqtt://pi:s3cret@host/a%00b",
        "mqtt://pi:s3/cr@et@host/t",
    ],
)
def test_what_is_no_address_is_told_without_the_password(url: str) -> None:
    with pytest.raises(UsageError, match="not the address of an MQTT broker") as caught:
        parse_broker(url)
    assert "s3" not in str(caught.value)
    assert "\n" not in str(caught.value)
