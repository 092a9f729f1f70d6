"""Files written, most of them whole or not at all; JSON read back; data known by its hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simrun.errors import ModelError, SourceError
from simrun.files import output_errors, replace_file


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file beside its place and rename it: a reader sees the old or the new one.

    Raises:
        OutputError: the disk is full, the folder is not writable, ...; `path` is as it was.
    """
    with output_errors(str(path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, content)


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write a JSON object for people to read, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    write_atomic(path, json_bytes(data))


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file. Raises OutputError where that cannot be done."""
    with output_errors(str(path)):
        path.write_text(text, encoding="utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file. Raises OutputError where that cannot be done."""
    with output_errors(str(path)):
        path.write_bytes(content)


def file_digest(path: Path) -> bytes:
    """SHA-256 of a file of data, 32 bytes. Raises SourceError where it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror or error}") from error


def json_bytes(data: Mapping[str, Any]) -> bytes:
    """A JSON object as an indented UTF-8 file."""
    return (json.dumps(data, indent=1, allow_nan=False) + "\n").encode()


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object that this program wrote.

    Raises:
        ModelError: it cannot be read or is no JSON object.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise ModelError(f"{path} is not JSON ({error}); make it again") from error
    if not isinstance(data, dict):
        raise ModelError(f"{path} holds a JSON {type(data).__name__}, not an object")
    return data
