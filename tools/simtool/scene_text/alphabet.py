"""The characters that are told apart."""

from __future__ import annotations

from typing import Final

CHARACTERS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
