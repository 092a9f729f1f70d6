"""A configuration as TOML, with the origin of each value: what `simrun config` prints."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from simrun.config.layers import PREFIX, Configuration, holds_secret
from simrun.config.options import option_name


def to_toml(configuration: Configuration) -> str:
    """The configuration as a TOML file that gives the same settings when it is read.

    Secrets are left out: their lines are comments, as are those of settings that have no value.
    """
    head = "# The settings in force. Later wins: file, environment, flags."
    file = f"# File: {configuration.file or 'none'}".encode("unicode_escape").decode()
    lines = [
        _line(name, value, configuration.origins[name])
        for name, value in asdict(configuration.settings).items()
    ]
    return "\n".join([head, file, "", *lines]) + "\n"


def _line(name: str, value: Any, origin: str) -> str:  # noqa: ANN401 - of any setting
    key = option_name(name)
    source = f"{origin} {PREFIX}_{name.upper()}" if origin == "environment" else origin
    if value is None:
        return f"# {key} ="
    if holds_secret(name, value):
        return f"# {key} = a secret, not shown  # {source}"
    text = _value(value)
    if text is None:
        return f"# {key} = {value!a}, not UTF-8, so TOML has no way to say it  # {source}"
    return f"{f'{key} = {text}':30}  # {source}"


def _value(value: Any) -> str | None:  # noqa: ANN401 - of any setting
    """The value in TOML; None where TOML cannot express it."""
    if isinstance(value, list):
        items = [_value(item) for item in value]
        return None if None in items else f"[{', '.join(map(str, items))}]"
    if isinstance(value, float):
        return repr(value)  # inf is TOML, but not JSON
    if not isinstance(value, str):
        return json.dumps(value)
    try:
        value.encode()
    except UnicodeEncodeError:  # a file name of other bytes
        return None
    # JSON's escapes are TOML's too; DEL is the one character that JSON leaves alone.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
