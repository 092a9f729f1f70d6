"""Whether a JSON value is one that the runtime can work with."""

from __future__ import annotations

from typing import Final

_LARGEST: Final = 1e9
"""Greatest number, without its sign, in a field that the runtime works with."""


def is_number(value: object) -> bool:
    """Whether it is a number of a size to work with; NaN and infinities are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST


def is_text(value: object) -> bool:
    """Whether it is a string that can be written out; JSON allows half of a surrogate pair."""
    return isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)
