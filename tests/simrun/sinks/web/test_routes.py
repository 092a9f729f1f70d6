"""Every route of the page, over a real socket."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from pathlib import Path

import pytest

import simrun
from simrun.errors import UsageError
from simrun.sinks.web.connection import Limits
from simrun.sources import BadFrame, Frame
from simrun.stats import OutputState
from tests.simrun.web import (
    LATENCY,
    decode,
    grey_frame,
    next_event,
    next_picture,
    open_page,
    parse_answer,
    read_until,
    request,
    result_for,
    until,
)

STATIC = Path(simrun.__file__).parent / "sinks" / "web" / "static"


def test_the_page_and_its_files() -> None:
    with open_page() as page:
        index = page.ask("/")
        assert (index.status, index.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert int(index.headers["content-length"]) == len(index.body)
        for path in re.findall(r'(?:src|href)="(/[^"?]*)', index.body.decode()):
            if path in ("/events", "/stream.mjpg", "/snapshot.jpg"):
                continue
            assert page.ask(path).status == 200, path
        for name in ("style.css", "page.js", "icon.svg"):
            assert page.ask(f"/{name}").body == (STATIC / name).read_bytes()


def test_what_the_source_is_called_cannot_become_markup() -> None:
    with open_page() as page:
        body = page.ask("/").body.decode()
    assert "a &quot;quoted&quot; &lt;source&gt;" in body
    assert "<source>" not in body


def test_nothing_may_be_loaded_from_elsewhere() -> None:
    with open_page() as page:
        answer = page.ask("/")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    for file in STATIC.iterdir():
        text = file.read_text()
        assert "//" not in re.sub(r"http://www\.w3\.org/2000/svg|^\s*//.*$", "", text, flags=re.M)
        assert " style=" not in text


@pytest.mark.parametrize(
    ("query", "heat", "quads"),
    [
        ("", True, True),
        ("?view=1", False, False),
        ("?heat=1", True, False),
        ("?quads=1", False, True),
    ],
)
def test_the_view_without_javascript(query: str, heat: bool, quads: bool) -> None:
    with open_page() as page:
        body = page.ask(f"/{query}").body.decode()
    assert f"/stream.mjpg?heat={int(heat)}&amp;quads={int(quads)}" in body
    assert ('name="heat" value="1" checked' in body) is heat
    assert ('name="quads" value="1" checked' in body) is quads


def test_the_stream_shows_the_newest_frame_at_once_and_then_each() -> None:
    with open_page() as page:
        page.show(grey_frame(10))
        page.show(grey_frame(50))
        with page.open("/stream.mjpg?view=1") as client:
            head = read_until(client, b"\r\n\r\n")
            assert b"multipart/x-mixed-replace; boundary=simrun-frame\r\n" in head
            first, left = next_picture(client, head)
            page.show(grey_frame(200))
            second, _ = next_picture(client, left)
    assert [round(float(picture.mean())) for picture in (first, second)] == [50, 200]


def test_a_snapshot_is_the_newest_frame_with_its_number_in_the_name() -> None:
    with open_page() as page:
        assert page.ask("/snapshot.jpg").status == 503
        page.show()
        page.show(grey_frame(200))
        answer = page.ask("/snapshot.jpg?view=1")
    assert answer.headers["content-type"] == "image/jpeg"
    assert "simrun-000001.jpg" in answer.headers["content-disposition"]
    assert decode(answer.body).mean() == pytest.approx(200, abs=1)


def test_events_begin_with_the_past_and_go_on_with_each_frame() -> None:
    with open_page() as page:
        page.show()
        with page.open("/events") as client:
            hello = next_event(client, "hello")
            assert hello["latencies_ms"] == [LATENCY.to_json()]
            assert (hello["model"], hello["source"]) == ("strokes", 'a "quoted" <source>')
            status = next_event(client, "status")
            page.show()
            result = next_event(client, "result")
    assert (status["frames"], status["stale"], status["source"]) == (1, False, None)
    assert (result["frame"], result["regions"][0]["label"]) == (1, "42")
    assert result["regions"][0]["track"] == 7


def test_events_have_the_type_that_browsers_want() -> None:
    with open_page() as page, page.open("/events") as client:
        assert b"Content-Type: text/event-stream\r\n" in read_until(client, b"\r\n\r\n")


def test_health_is_the_age_of_the_last_processed_frame() -> None:
    with open_page(limits=Limits(stale_s=3)) as page:
        assert page.ask("/healthz").status == 200
        page.clock.now += 4
        before_the_first = page.ask("/healthz")
        page.show()
        fresh = page.ask("/healthz")
        page.clock.now += 3.5
        page.sink.write_bad(BadFrame(9, None, "torn"))
        stale = page.ask("/healthz")
        with page.open("/events") as client:
            assert next_event(client, "status")["stale"] is True
    assert (before_the_first.status, fresh.status, stale.status) == (503, 200, 503)
    assert stale.body == b"no frame was processed for 3.5 s; the limit is 3 s\n"


def test_health_names_the_output_that_is_down_until_it_is_back() -> None:
    states = [
        OutputState("r.jsonl", "No space left on device", missed=7),
        OutputState("r.csv", None),
    ]
    with open_page() as page:
        page.show()
        page.stats.watch_outputs(lambda: tuple(states))
        down = page.ask("/healthz")
        assert page.gauge('simrun_output_up{output="r.jsonl"}') == 0
        assert page.gauge('simrun_output_up{output="r.csv"}') == 1
        assert page.gauge('simrun_output_missed_total{output="r.jsonl"}') == 7
        with page.open("/events") as client:
            assert next_event(client, "status")["outputs_down"] == ["r.jsonl"]
        states[0] = OutputState("r.jsonl", None, missed=7)
        assert page.ask("/healthz").status == 200
    assert (down.status, down.body) == (503, b"r.jsonl is down: No space left on device\n")


def test_metrics() -> None:
    with open_page() as page:
        page.show()
        assert page.gauge("simrun_frames_total") == 1
        assert page.gauge('simrun_stage_seconds_bucket{stage="infer",le="0.05"}') == 1
        with page.open("/stream.mjpg") as client:
            next_picture(client)
            assert page.gauge('simrun_page_clients{kind="stream"}') == 1


@pytest.mark.parametrize(
    "path", ["/", "/metrics", "/stream.mjpg", "/events", "/healthz", "/page.js"]
)
def test_head_is_answered_without_a_body(path: str) -> None:
    with open_page() as page:
        answer = page.ask(path, "HEAD")
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/nope",
        "/static/page.js",
        "/../access.py",
        "/%2e%2e/access.py",
        "/style.css/../../access.py",
        "//style.css",
        "/style.css%00",
        "/.",
        "/index.html",
    ],
)
def test_no_path_leads_out_of_the_table(path: str) -> None:
    with open_page() as page:
        assert page.ask(path).status == 404


def test_other_methods() -> None:
    with open_page() as page:
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"):
            answer = page.ask("/", method)
            assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
            assert not any(name.startswith("access-control") for name in answer.headers)


def test_a_name_that_was_made_to_point_here_is_refused() -> None:
    with open_page() as page:
        assert page.ask("/", Host="evil.com").status == 403
        assert page.ask("/metrics", Host="evil.com:80").status == 403
        assert page.ask("/", Host=f"127.0.0.1:{page.port}").status == 200


TOKEN = "correct-horse-battery"


def test_with_a_token_nothing_but_style_and_icon_is_seen_without_it() -> None:
    with open_page(token=TOKEN, limits=Limits(wrong_s=0)) as page:
        page.show()
        for path in ("/", "/stream.mjpg", "/snapshot.jpg", "/events", "/healthz", "/metrics"):
            assert page.ask(path).status == 401, path
            assert page.ask(f"{path}?token=wrong").status == 401, path
            assert page.ask(path, Authorization="Bearer wrong").status == 401, path
            assert page.ask(path, Cookie=f"simrun_{page.port}=wrong").status == 401, path
        assert page.ask("/style.css").status == 200
        assert page.ask("/nope").status == 404
        asked = page.ask("/").body
    assert b'name="token"' in asked
    assert TOKEN.encode() not in asked


def test_the_token_in_the_address_becomes_a_cookie() -> None:
    with open_page(token=TOKEN, limits=Limits(wrong_s=0)) as page:
        welcome = page.ask(f"/metrics?token={TOKEN}")
        assert (welcome.status, welcome.headers["location"]) == (303, "/metrics")
        cookie, *flags = welcome.headers["set-cookie"].split("; ")
        assert flags == ["Path=/", "HttpOnly", "SameSite=Strict"]
        assert page.ask("/metrics", Cookie=f"other=1; {cookie}").status == 200


def test_a_redirect_stays_on_the_page() -> None:
    with open_page(token=TOKEN, limits=Limits(wrong_s=0)) as page:
        assert page.ask(f"//evil.com/?token={TOKEN}").status == 404


def test_the_token_as_a_bearer() -> None:
    with open_page(token=TOKEN, limits=Limits(wrong_s=0)) as page:
        assert page.ask("/metrics", Authorization=f"Bearer {TOKEN}").status == 200
        assert page.ask("/metrics", Authorization=f"Basic {TOKEN}").status == 401
        odd = page.raw(request("/metrics", Authorization="Bearer \xff\xfe"))
        assert parse_answer(odd).status == 401


@pytest.mark.parametrize("token", ["short", "white space in the token", "x" * 129, "ü" * 20])
def test_tokens_that_cannot_be(token: str) -> None:
    with pytest.raises(UsageError, match="--token must be 16 to 128"), open_page(token=token):
        pass


def test_beyond_loopback_a_token_is_made_up_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "simrun"), open_page("0.0.0.0:0") as page:
        (told,) = caplog.messages
        found = re.fullmatch(r"page at http://[^/]+/\?token=([\w-]{32})", told)
        assert found, told
        assert page.ask("/").status == 401
        # There the token protects, whatever name the network has for this machine.
        headers = {"Host": "pi.local", "Authorization": f"Bearer {found[1]}"}
        assert page.ask("/", **headers).status == 200
        assert caplog.messages == [told]


def test_a_service_keeps_its_token_from_start_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", f"{tmp_path}:/nowhere")
    file = tmp_path / "token"
    with caplog.at_level(logging.INFO, "simrun"):
        with open_page("0.0.0.0:0"):
            token = file.read_text().strip()
            assert file.stat().st_mode & 0o777 == 0o600
            assert caplog.messages[-1].endswith(f"?token={token}")
        with open_page("0.0.0.0:0") as page:
            assert page.ask("/healthz", Authorization=f"Bearer {token}").status == 200
            assert caplog.messages[-1].endswith(f"(asks for the token in {file})")
    assert file.read_text().strip() == token
    file.write_text("short")
    with pytest.raises(UsageError, match="holds no token; remove it"), open_page("0.0.0.0:0"):
        pass
    # This machine alone needs none, and one that is given wins.
    with open_page() as page, open_page("0.0.0.0:0", token=TOKEN) as other:
        assert page.ask("/").status == 200
        assert other.ask("/metrics", Authorization=f"Bearer {TOKEN}").status == 200


# What each sends by default, or with the lines of docs/live.md.
PROXIES = {
    "nginx": {"Host": "127.0.0.1:8080", "X_Forwarded_Proto": "https"},
    "caddy": {
        "Host": "cam.example.org",
        "X_Forwarded_For": "203.0.113.5",
        "X_Forwarded_Host": "cam.example.org",
        "X_Forwarded_Proto": "https",
        "Via": "1.1 Caddy",
    },
}


@pytest.mark.parametrize("proxy", PROXIES)
def test_behind_a_proxy_with_a_token(proxy: str) -> None:
    headers = PROXIES[proxy]
    with open_page(token=TOKEN) as page:
        assert page.ask("/", **headers).status == 401
        welcome = page.ask(f"/?token={TOKEN}", **headers)
        assert (welcome.status, welcome.headers["location"]) == (303, "/")
        assert welcome.headers["set-cookie"].endswith("; Secure")
        cookie = welcome.headers["set-cookie"].partition(";")[0]
        assert page.ask("/", Cookie=cookie, **headers).status == 200


def test_behind_a_proxy_without_a_token_the_error_says_what_to_do() -> None:
    with open_page() as page:
        refused = page.ask("/", **PROXIES["caddy"])
        assert (refused.status, refused.body.rstrip()) == (
            403,
            b"this page answers to localhost and 127.0.0.1 only; behind a proxy, set a token",
        )
        assert page.ask("/", **PROXIES["nginx"]).status == 200


def test_a_given_token_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "simrun"), open_page(token=TOKEN):
        assert TOKEN not in caplog.text


def test_results_are_one_line_each_whatever_they_hold() -> None:
    image, odd = grey_frame(), "a\nb\r\n\ndata: {}\u2028"
    result = result_for(image)
    region = replace(result.regions[0], label=odd)
    with open_page() as page, page.open("/events") as client:
        next_event(client, "status")
        page.sink.write(Frame(image, 0, 0.0), replace(result, regions=(region,)))
        assert next_event(client, "result")["regions"][0]["label"] == odd


def test_a_fault_of_the_page_ends_one_answer_and_is_one_line_of_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> bytes:
        raise ValueError("a fault")

    with open_page() as page:
        with monkeypatch.context() as patched:
            patched.setattr("simrun.sinks.web.metrics.write_metrics", fail)
            assert page.raw(request("/metrics")) == b""
        until(lambda: bool(caplog.messages), "the line")
        assert page.ask("/metrics").status == 200
    (line,) = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert "ValueError('a fault')" in line
