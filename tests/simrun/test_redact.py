"""What is shown of addresses, and that no secret is among it."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from simrun.cli.console import run_app, setup_logging, silence_opencv
from simrun.config.layers import parse_settings, to_toml
from simrun.errors import SimError, UsageError
from simrun.redact import HIDDEN, Reading, hide_secrets, hide_source, holds_secret, read_address
from simrun.service.install import Installation, plan_unit
from simrun.sinks.base import StreamInfo
from simrun.sinks.mqtt import parse_broker
from simrun.sinks.web.metrics import LatencyHistogram, PageCounts, write_metrics
from simrun.sources.devices.gstreamer import GstreamerDevice
from simrun.sources.devices.network import StreamDevice
from simrun.sources.registry import open_camera, open_source
from simrun.stats import RunStats
from tests.simrun.conftest import STROKES, Run

SECRET = "S3kr1t"

STREAMS = [
    # In front of the host, as it should be, and with marks that should be escaped.
    "rtsp://admin:{}@cam/live",
    "rtsp://{}@cam/live",
    "rtsp://:{}@cam/live",
    "RTSP://admin:{}@cam:554/live",
    "rtsp://admin:{}@[fe80::1]:554/live",
    "rtsp://admin:a@{}:c@cam/live",
    "rtsp://admin:%40{}@cam/live",
    "rtsp://user:a/{}@cam",
    "rtsp://admin:{}#ss@cam:9/live",
    "rtsp://admin:ss#{}@cam:9/live",
    "rtsp://admin:{}/ss@cam:9/live",
    "rtsp://admin:12/{}@cam:9/live",
    "rtsp://admin:{}?ss@cam:9/live",
    "rtsp://admin:12?{}@cam:9/live",
    "rtsp://admin:12#{}@cam:9/live",
    "http://admin:p@ss:w/{}@cam:9/live",
    "http://admin:p@ss/{}@cam:9/live",
    "rtsp://admin:{}",
    "rtsp://admin:{} b@cam/live",
    "rtsp://admin:{}'b@cam/live",
    # In the path.
    "rtsp://cam/user=admin_password={}_channel=1_stream=0.sdp?real_stream",
    "rtsp://cam/user=admin&password={}&channel=1&stream=0.sdp",
    "rtsp://cam/live/{}",
    "rtmp://cam/live/{}?x=1",
    "rtsps://cam:7441/{}?enableSrtp",
    "http://cam/{}/video.mjpg",
    "http://cam/admin:{}/video.mjpg",
    "http://cam/video;pwd={}",
    # In the query.
    "http://cam/cgi?loginuse=a&loginpas={}",
    "http://cam/videostream.cgi?user=admin&pwd={}",
    "http://cam/video?access_token={}",
    "http://cam/video?apikey={}",
    "http://cam/video?api_key={}&channel=1",
    "http://cam/video?key={}",
    "http://cam/video?sig={}&Expires=1700000000",
    "http://cam/video?auth=YWRtaW46{}",
    "http://cam/video?passwd={}",
    "http://cam/video?p={}",
    "http://cam/video?session={};x=1",
    "http://cam/video?{}",
    "http://cam/video?channel={}",
    "http://cam/video?token=a@{}",
    "http://cam/video?channel=1#{}",
    "srt://cam:9000?mode=caller&passphrase={}",
    "srt://cam:9000?streamid=#!::r=live,u={}",
]
PIPELINES = [
    "gst:rtspsrc location=rtsp://admin:{}@cam/live ! decodebin ! appsink",
    "gst:rtspsrc user-id=admin user-pw={} location=rtsp://cam/live ! appsink",
    'gst:rtspsrc user-pw="a {} b" location=rtsp://cam/live ! appsink',
    'gst:rtspsrc user-pw="a ! {} b" location=rtsp://cam/live ! appsink',
    "gst:rtspsrc user-pw = {} location=rtsp://cam/live ! appsink",
    "gst:souphttpsrc location=http://cam/video?loginpas={} ! appsink",
    'gst:souphttpsrc extra-headers="a,Authorization={}" ! appsink',
    "gst:rtspsrc location=rtsp://cam/user=admin_password={}_channel=1 ! appsink",
]
BROKERS = [
    "mqtt://pi:{}@broker/door",
    "mqtts://{}@broker/door",
    "mqtt://pi:{}#ss@broker/door",
    "mqtt://pi:{}/ss@broker/door",
    "mqtt://pi:12/{}@broker/door",
    "mqtt://pi:{}?ss@broker/door",
    "mqtt://pi:p@{}@broker/door",
    "mqtt://broker/door?password={}",
    "mqtt://pi:{}@broker",
    "http://pi:{}@broker/door",
    "pi:{}@broker/door",
]
MISSPELT = [
    "rstp://admin:{}@cam/live",
    "rtsp:/admin:{}@cam/live",
    "rtsp//admin:{}@cam/live",
    "admin:{}@cam/live",
    "https//cam/video?token={}",
]
EVERYWHERE = [*STREAMS, *PIPELINES, *MISSPELT]


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://admin:s3cret@10.0.0.2:554/live", "rtsp://***@10.0.0.2:554/live"),
        ("rtsp://admin:a@b:c@10.0.0.2/", "rtsp://***@10.0.0.2/"),
        ("rtsp://10.0.0.2/Streaming/Channels/101", None),
        ("rtsp://10.0.0.2:554/h264Preview_01_main", None),
        ("rtsp://10.0.0.2/cam/realmonitor?channel=1&subtype=0", None),
        ("http://10.0.0.2/axis-cgi/mjpg/video.cgi?resolution=640x480&fps=5", None),
        ("http://h/x.mjpg?user=u&password=p&fps=1", "http://h/x.mjpg?***&***&fps=1"),
        ("http://h/live?channel=geheim", "http://h/live?channel=***"),
        ("http://[::1]:8080/stream.mjpg", None),
        ("udp://@239.0.0.1:1234", None),
        ("srt://:9000?mode=listener", None),
        ("rtsp://admin:pa#ss@127.0.0.1:9/x", "rtsp://***@127.0.0.1:9/x"),
        ("rtsp://h/a@b", "rtsp://***"),
        ("gst:v4l2src ! videoconvert ! video/x-raw,format=BGR,width=640 ! appsink drop=1", None),
        (
            "gst:rtspsrc location=rtsp://u:p@h/live latency=0 user-pw=p ! appsink",
            "gst:rtspsrc location=rtsp://***@h/live latency=0 user-pw=*** ! appsink",
        ),
        ("mqtt://u:p%40@h/my/own/topic", "mqtt://***@h/my/own/topic"),
        ("photos/*.jpg", None),
    ],
)
def test_what_cannot_be_secret_is_shown(address: str, shown: str | None) -> None:
    assert hide_source(address) == (shown or address)
    assert hide_source(hide_source(address)) == hide_source(address)
    assert holds_secret(address) == (shown is not None)


@pytest.mark.parametrize("form", [*EVERYWHERE, *BROKERS])
def test_no_secret_is_shown_and_each_is_known_to_be_there(form: str) -> None:
    address = form.format(SECRET)
    assert SECRET not in hide_source(address)
    assert holds_secret(address)


@pytest.mark.parametrize("form", EVERYWHERE)
def test_no_secret_stands_in_the_error_of_a_source(form: str) -> None:
    address = form.format(SECRET)
    for opener in (open_camera, _name_of_source):
        with pytest.raises(SimError) as caught:
            opener(address)
        assert SECRET not in hide_secrets(str(caught.value))


def _name_of_source(address: str) -> None:
    """Ends in an error in any case: that of the address, or one that has the source's name."""
    if address.startswith("gst:"):
        raise SimError(GstreamerDevice(address.removeprefix("gst:")).name)
    if "://" in address and not address.startswith("rstp"):
        raise SimError(StreamDevice(address).name)
    open_source(address)


@pytest.mark.parametrize(
    ("url", "reading"),
    [
        ("rtsp://admin:pa#ss@127.0.0.1:9/x", Reading.WRONG),
        ("rtsp://admin:pa/ss@127.0.0.1:9/x", Reading.WRONG),
        ("rtsp://admin:pa?ss@127.0.0.1:9/x", Reading.WRONG),
        ("http://admin:p@ss:w/rd@127.0.0.1:9/x", Reading.WRONG),
        ("rtsp://admin:12/ss@127.0.0.1:9/x", Reading.UNSURE),
        ("rtsp://admin:p@ss@127.0.0.1:9/x", Reading.PLAIN),
    ],
)
def test_a_mark_that_should_be_escaped_is_noticed(url: str, reading: Reading) -> None:
    address = read_address(url)
    assert address is not None
    assert address.reading is reading


@pytest.mark.parametrize("mark", "#/?")
def test_the_error_tells_how_to_escape_a_password(simrun: Run, mark: str) -> None:
    code, out, err = simrun("--source", f"rtsp://admin:{SECRET}{mark}ss@127.0.0.1:9/x")
    assert (code, out) == (2, "")
    assert "rtsp://***@127.0.0.1:9/x; in a user name or password write %23 for #" in err
    assert SECRET not in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("form", BROKERS)
def test_no_secret_stands_in_the_error_or_the_name_of_a_broker(form: str) -> None:
    address = form.format(SECRET)
    try:
        shown = parse_broker(address).name
    except UsageError as error:
        shown = str(error)
    assert SECRET not in shown


@pytest.mark.parametrize("form", [*EVERYWHERE, *BROKERS])
def test_no_secret_stands_in_the_printed_configuration(form: str) -> None:
    option = "--mqtt" if form in BROKERS else "--source"
    text = to_toml(parse_settings([option, form.format(SECRET)], environment=False))
    assert SECRET not in text
    sink = to_toml(parse_settings(["--sink", f"mqtt={form.format(SECRET)}"], environment=False))
    assert SECRET not in sink
    assert HIDDEN in text


def test_the_printed_configuration_tells_how_to_escape_a_password() -> None:
    arguments = ["--mqtt", "mqtt://u:pa#ss@127.0.0.1:9/x", "--source", "rtsp://a:b@cam/live"]
    lines = to_toml(parse_settings(arguments, environment=False)).splitlines()
    assert "# source = rtsp://***@cam/live  # flag" in lines
    (broker,) = [line for line in lines if line.startswith("# mqtt =")]
    assert broker.startswith("# mqtt = mqtt://***@127.0.0.1:9/x (in a user name or password write")


@pytest.mark.parametrize("form", [*STREAMS, *BROKERS])
def test_no_secret_comes_into_a_unit(form: str) -> None:
    option = "--mqtt" if form in BROKERS else "--source"
    arguments = ["--demo"] if option == "--mqtt" else []
    arguments += [option, form.format(SECRET), "--model", "scene-text"]
    with pytest.raises(UsageError, match="may hold a secret") as caught:
        plan_unit(
            parse_settings(arguments, environment=False),
            Installation(("/opt/simrun",), (), lambda _: 0o100755),
            name="simrun",
            user=None,
            watchdog_s=30,
        )
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("form", STREAMS)
def test_no_secret_stands_in_headers_and_labels(form: str) -> None:
    address = read_address(form.format(SECRET))
    assert address is not None
    info = StreamInfo("m", "0" * 64, address.shown(), None)
    metrics = write_metrics(info, RunStats().snapshot(), LatencyHistogram(), PageCounts(0, 0, 0, 0))
    assert SECRET.encode() not in metrics
    assert SECRET not in json.dumps(info.to_json())


@pytest.mark.parametrize("form", [f for f in (*STREAMS, *BROKERS) if not set(" '") & set(f)])
def test_no_secret_comes_out_of_the_log_or_a_traceback(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    address = form.format(SECRET)

    def fail(**_: object) -> None:
        logging.getLogger("simrun").warning("cannot reach %s: it said '%s'", address, address)
        raise UsageError(f"it is {address}") from ValueError(f"no port in {address}")

    for arguments in ([], ["--debug"]):
        with pytest.raises(SystemExit) as ended:
            run_app(fail, "simrun", arguments)
        assert ended.value.code == 2
        err = capsys.readouterr().err
        assert SECRET not in err
        assert ("Traceback" in err) == bool(arguments)
    setup_logging()


@pytest.mark.parametrize(
    "arguments",
    [
        ["rtsp://admin:S3kr1t@cam/live"],
        ["--stride", "rtsp://admin:S3kr1t@cam/live", "--demo"],
        ["--size", "rtsp://admin:S3kr1t@cam/live", "--demo"],
        ["--camera", "rtsp://admin:S3kr1t@cam/live"],
        ["--sink", "mqtt://pi:S3kr1t@broker/x?a=b", "--demo"],
        ["--serve", "http://pi:S3kr1t@broker/x", "--demo"],
        ["--threads", "http://pi:S3kr1t@broker/x", "--demo"],
        ["--provider", "http://pi:S3kr1t@broker/x", "--demo"],
        ["--model", "http://pi:S3kr1t@broker/x", "--demo"],
        ["--jsonl", "http://pi:S3kr1t@broker/x", "--demo"],
        ["--raw", "http://pi:S3kr1t@broker/x", "--source", "-"],
        ["--config", "http://pi:S3kr1t@broker/x", "--demo"],
    ],
)
def test_an_address_given_to_the_wrong_option_stays_hidden(
    simrun: Run, arguments: list[str]
) -> None:
    code, out, err = simrun(*arguments)
    assert code in (2, 3, 5)
    assert out == ""
    assert err
    assert "S3kr1t" not in err


def test_opencv_and_ffmpeg_say_nothing_of_an_address_with_a_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("OPENCV_LOG_LEVEL", "OPENCV_FFMPEG_LOGLEVEL", "OPENCV_FFMPEG_DEBUG"):
        monkeypatch.setenv(name, "DEBUG")
    silence_opencv()
    code = (
        "import os; from simrun.cli.console import *; from simrun.cli.run import execute;"
        "from simrun.config.schema import Settings; setup_logging(True);"
        f"execute(Settings(source='http://a:{SECRET}@127.0.0.1:9/cgi?loginpas={SECRET}',"
        f" model={str(STROKES)!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert "cannot open http://***@127.0.0.1:9/cgi?***" in done.stderr
    assert SECRET not in done.stderr + done.stdout
