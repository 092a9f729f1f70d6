"""SHA-256 without OpenSSL."""

from __future__ import annotations

import importlib
from typing import Final

_BUILT_IN: Final = ("_sha2", "_sha256")
"""CPython's own modules, from 3.12 on and before; other builds may lack both."""


def sha256_hex(content: bytes) -> str:
    """SHA-256 of some bytes, as 64 hexadecimal digits.

    `hashlib` loads OpenSSL for it: 3.5 MB that stay resident, on a board of 512 MB, to hash half a
    megabyte once. So what `hashlib` itself falls back on comes first here.
    """
    for name in _BUILT_IN:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        return str(module.sha256(content).hexdigest())
    import hashlib

    return hashlib.sha256(content).hexdigest()
