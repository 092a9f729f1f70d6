"""What must not be seen in messages, printouts and files that others can read."""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = "***"

_SECRET_NAMES: Final = ("token", "password", "secret")
# Greedy up to the last @ of the authority: a password may hold an @ that nobody escaped.
_USERINFO: Final = re.compile(r"(?<=://)([^/?#\s:]*):([^/?#\s]*)(?=@)")
# In a query, and in the properties of a GStreamer pipeline.
_VALUES: Final = re.compile(
    r"([?&\s](?:[\w-]*pass\w*|[\w-]*pw|pwd|token|key|auth\w*|secret)=)[^&#\s]+", re.IGNORECASE
)


def is_secret_name(name: str) -> bool:
    """Whether an option of this name holds a secret: `token`, `mqtt_password`, ..."""
    return any(word in name.lower() for word in _SECRET_NAMES)


def hide_passwords(text: str) -> str:
    """The text with the passwords of the addresses in it replaced by `***`.

    Those are the one before the host, as in `rtsp://user:password@host/`, and values such as
    `?token=...` in the query, or ` user-pw=...` in a pipeline.
    """
    return _VALUES.sub(rf"\1{HIDDEN}", _USERINFO.sub(rf"\1:{HIDDEN}", text))


def holds_password(text: str) -> bool:
    """Whether there is an address with a password in this text."""
    return hide_passwords(text) != text
