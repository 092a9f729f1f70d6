"""What must not be seen in messages, printouts and files that others can read.

An address is taken apart once, and of its parts those are shown that cannot be secret: the scheme,
the host, the port, and of path and query the words that cameras' addresses are made of. Whatever is
not known to be harmless is `***`: makers of cameras put passwords under any name and in any place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

HIDDEN: Final = "***"

MEANT_TO_BE_SEEN: Final = "meant_to_be_seen"
"""Key in `extra` of a line of the log that tells a secret on purpose: a token just made up."""

PIPELINE: Final = "gst:"
"""In front of a GStreamer pipeline that is given as a source."""

ESCAPES: Final = (
    "in a user name or password write %23 for #, %2F for /, %3F for ?, %40 for @ and %25 for %"
)
"""What to do about an address that cannot be taken apart."""

_SECRET_NAMES: Final = ("token", "password", "secret")

_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+(?:%\w+)?\]|[\w.-]*)(?::(\d{0,5}))?")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
# Without a scheme, or with one that is misspelt, it is an address if somebody logs in there.
_ADDRESS: Final = re.compile(
    r"(?<![\w+.-])[A-Za-z][A-Za-z0-9+.-]*:/{1,2}[^\s'\"<>]+|[^\s'\"<>:/\[\]=]+:[^\s'\"<>]*@[^\s'\"<>]+"
)
_SENTENCE_ENDS: Final = ".,;:!)]}"
# In messages of others, and in the properties of a GStreamer pipeline.
_VALUES: Final = re.compile(
    r"((?<![\w-])[\w-]*(?:pass|pw|token|key|auth|secret|cred)[\w-]*\s?=\s?)"
    r"(\"(?:\\.|[^\"\\])*\"?|'[^']*'?|[^\s&]+)",
    re.IGNORECASE,
)

# Makers' words for a stream, what is in it, and what carries it.
_STREAM_WORDS: Final = """
    stream streams streaming live video videos videomain videosub media mpeg mjpeg mjpg jpeg jpg
    h264 h265 hevc avc av0 av1 mp4 mpeg4 ts flv m3u8 hls dash sdp rtsp rtp rtmp http tcp udp srt
    channel channels chn ch cam cams camera cameras cam0 main sub mainstream substream primary
    secondary first second low high hd sd preview realmonitor profile profiles unicast multicast
    onvif onvif1 onvif2 axis cgi bin nphmotion image images img snapshot snap shot still picture
    frame frames index default feed feeds view play player source sources input output ipcam psia
    isapi webcam videostream faststream h264preview h265preview amp smp sav asf action encoder
    caller listener pull push trackid track id p x px on off true false yes no web api v media1
    media2 stream0 stream1 stream2 program
"""
# Where people have their cameras.
_PLACE_WORDS: Final = """
    door gate yard garden garage street drive driveway hall kitchen office shop store room porch
    house home roof attic cellar parking lot road front back side left right top bottom north south
    east west entrance exit lobby desk shelf bench lab test demo
"""
_WORDS: Final = frozenset((_STREAM_WORDS + _PLACE_WORDS).split())
_PIECES: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|.", re.DOTALL)
_DIGITS: Final = 4
"""A number in a path or query is shown up to here; a word that is none of ours is not shown."""

_QUERY_KEYS: Final = """
    channel channels chn ch subtype stream streamid resolution res fps rate framerate profile width
    height w h codec videocodec audio video quality compression camera cam proto protocol transport
    overlay unicast tcp udp mode rotation color timeout latency listen action transportmode
    profileid streamtype linktype trackid
"""
_PROPERTIES: Final = """
    drop sync max-buffers max-size-buffers max-lateness format pattern is-live do-timestamp leaky
    num-buffers protocols emit-signals interlace-mode pixel-aspect-ratio io-mode
"""
_HARMLESS_KEYS: Final = frozenset(_QUERY_KEYS.split())
_HARMLESS_PROPERTIES: Final = _HARMLESS_KEYS | frozenset(_PROPERTIES.split())
_VALUE: Final = re.compile(r"\d{1,4}|\d{1,4}[x/:]\d{1,4}|true|false|yes|no", re.IGNORECASE)
_FORMATS: Final = frozenset({"BGR", "BGRX", "RGB", "GRAY8", "YUY2", "NV12", "I420", "MJPG"})
_TOKENS: Final = re.compile(r"""(?:"(?:\\.|[^"\\])*"?|'[^']*'?|[^\s"'])+""")

_TOPIC_SCHEMES: Final = ("mqtt", "mqtts")


class Reading(Enum):
    """How sure it is where the parts of an address begin and end."""

    PLAIN = "as it was meant"
    UNSURE = "an @ behind the host: it, or what is taken for the host, may belong to a password"
    WRONG = "no address: a / ? or # is in its user name or password"


@dataclass(frozen=True)
class Address:
    """The parts of `scheme://[user[:password]@]host[:port][/path][?query][#fragment]`, as written.

    Nothing in them is decoded.
    """

    scheme: str
    userinfo: str | None
    """User and password; None where there is no @."""
    host: str | None
    """A name, a number or [IPv6], possibly empty; None where there is none."""
    port: int | None
    path: str
    query: str | None
    fragment: str | None
    reading: Reading = Reading.PLAIN

    def shown(self) -> str:
        """The address for people: `***` for each part that may be a secret."""
        if self.reading is Reading.UNSURE or self.host is None:
            return f"{self.scheme}://{HIDDEN}"
        user = "" if self.userinfo is None else f"{HIDDEN}@" if self.userinfo else "@"
        port = "" if self.port is None else f":{self.port}"
        tail = self._path()
        if self.query is not None:
            tail += f"?{_shown_query(self.query)}"
        if self.fragment is not None:
            tail += f"#{HIDDEN}" if self.fragment else "#"
        return f"{self.scheme}://{user}{self.host}{port}{tail}"

    def _path(self) -> str:
        if self.scheme.lower() in _TOPIC_SCHEMES and self.reading is Reading.PLAIN:
            return self.path
        return "/".join(map(_shown_part, self.path.split("/")))


def read_address(text: str) -> Address | None:
    """Take an address apart; None where there is no `scheme://` in front.

    A password with an @ in it is understood, one with / ? or # cannot be told from a path: such an
    address is `WRONG` where it has no host otherwise, and `UNSURE` where it has.
    """
    scheme, mark, rest = text.partition("://")
    if not mark or not _SCHEME.fullmatch(scheme):
        return None
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    tail = rest[len(authority) :]
    userinfo, at, where = authority.rpartition("@")
    place = _HOST.fullmatch(where)
    if "@" not in tail:
        return _address(scheme, userinfo if at else None, place, tail, Reading.PLAIN)
    if place is not None and at + where:
        return _address(scheme, userinfo, place, tail, Reading.UNSURE)
    userinfo, _, rest = rest.rpartition("@")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    place = _HOST.fullmatch(authority)
    return _address(scheme, userinfo, place, rest[len(authority) :], Reading.WRONG)


def _address(
    scheme: str, userinfo: str | None, place: re.Match[str] | None, tail: str, reading: Reading
) -> Address:
    tail, sign, fragment = tail.partition("#")
    path, mark, query = tail.partition("?")
    return Address(
        scheme=scheme,
        userinfo=userinfo,
        host=None if place is None else place[1],
        port=int(place[2]) if place is not None and place[2] else None,
        path=path,
        query=query if mark else None,
        fragment=fragment if sign else None,
        reading=reading,
    )


def is_secret_name(name: str) -> bool:
    """Whether an option of this name holds a secret: `token`, `mqtt_password`, ..."""
    return any(word in name.lower() for word in _SECRET_NAMES)


def hide_address(text: str) -> str:
    """What may be shown of something that is one address; other text as by `hide_secrets`."""
    address = read_address(text)
    return hide_secrets(text) if address is None else address.shown()


def hide_secrets(text: str) -> str:
    """The text with each address in it as it may be shown, and `***` for values like `token=...`.

    An address ends at the next space or quotation mark: where the whole text is one,
    `hide_address` is the safer choice.
    """
    if "=" not in text and ":" not in text:
        return text
    return _VALUES.sub(rf"\1{HIDDEN}", _ADDRESS.sub(_hide_found, text))


def hide_pipeline(pipeline: str) -> str:
    """What may be shown of a GStreamer pipeline: elements, addresses and harmless properties."""
    tokens = _TOKENS.findall(pipeline)
    shown = []
    for before, token in zip(["!", *tokens], tokens, strict=False):
        name, sign, value = token.partition("=")
        if sign and _SCHEME.fullmatch(name):
            shown.append(f"{name}={_shown_property(name, value)}")
        elif token == "!" or (before == "!" and re.fullmatch(r"[a-zA-Z0-9_]+", token)):
            shown.append(token)
        elif re.match(r"(video|image|audio|application)/", token):
            shown.append(",".join(map(_shown_cap, token.split(","))))
        else:
            shown.append(HIDDEN)
    return " ".join(shown)


def hide_source(text: str) -> str:
    """What may be shown of what somebody named as a source: an address, a pipeline, a path."""
    if text.startswith(PIPELINE):
        return PIPELINE + hide_pipeline(text.removeprefix(PIPELINE))
    return hide_address(text)


def holds_secret(text: str) -> bool:
    """Whether something in this text is not to be seen by everybody."""
    if text.startswith(PIPELINE):
        return HIDDEN in hide_source(text)
    return hide_source(text) != text


def _hide_found(match: re.Match[str]) -> str:
    found = match[0].rstrip(_SENTENCE_ENDS)
    ends = match[0][len(found) :]
    address = read_address(found)
    if address is not None:
        return address.shown() + ends
    if "@" not in found:
        return match[0]  # a path, a time of day
    return HIDDEN + ends


def _shown_part(part: str) -> str:
    """A part of a path: as it is where it is made of known words and small numbers."""
    return part if part == HIDDEN or _is_harmless(part) else HIDDEN


def _is_harmless(part: str) -> bool:
    if part.lower() in _WORDS:
        return True
    digits = 0
    for name in re.split(r"[._-]", part):
        if name.lower() in _WORDS:
            continue
        for piece in _PIECES.findall(name):
            if piece.isdecimal():
                digits += len(piece)
            elif piece.lower() not in _WORDS:
                return False
    return digits <= _DIGITS


def _shown_query(query: str) -> str:
    return "&".join(map(_shown_field, query.split("&")))


def _shown_field(field: str) -> str:
    key, sign, value = field.partition("=")
    if key.lower() not in _HARMLESS_KEYS:
        return HIDDEN if field else ""
    shown = value if _VALUE.fullmatch(value) or _is_harmless(value) else HIDDEN
    return f"{key}={shown}" if sign else key


def _shown_property(name: str, value: str) -> str:
    bare = value.strip("\"'")
    if read_address(bare) is not None:
        return hide_address(bare)
    harmless = name.lower() in _HARMLESS_PROPERTIES and (
        _VALUE.fullmatch(value) or value.upper() in _FORMATS or _is_harmless(value)
    )
    return value if harmless else HIDDEN


def _shown_cap(field: str) -> str:
    name, sign, value = field.partition("=")
    if not sign:
        return field if re.fullmatch(r"\w+/[\w-]+(\(\w+:\w+\))?", field) else HIDDEN
    value = value.removeprefix("(fraction)").removeprefix("(int)").removeprefix("(string)")
    return f"{name}={_shown_property(name, value)}" if name.isidentifier() else HIDDEN
