"""The IDX file format of MNIST: big-endian header, then raw bytes; gzip-compressed or not.

Source: the format description on the MNIST page (LeCun, Cortes, Burges): two zero bytes, a type
byte (8 = unsigned byte), the number of dimensions, then each dimension as a 32-bit integer.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simrun.errors import SourceError

_UNSIGNED_BYTE: Final = 8
_GZIP_MAGIC: Final = b"\x1f\x8b"


def read_raw(path: Path) -> bytes:
    """Content of a file, decompressed where it is gzip.

    Raises:
        SourceError: the file cannot be read or its compression is damaged.
    """
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content[:2] == _GZIP_MAGIC else content
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SourceError(f"{path} is a damaged gzip file ({error}); fetch it again") from error
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror or error}") from error


def parse_idx(content: bytes, dimensions: int, name: str) -> NDArray[np.uint8]:
    """Decode an IDX array of unsigned bytes with that many dimensions.

    Args:
        content: the raw file.
        dimensions: 3 for images (N, H, W), 1 for labels (N,).
        name: what the error messages call the file.

    Raises:
        SourceError: wrong magic number, or more or fewer bytes than the header promises.
    """
    wanted = _UNSIGNED_BYTE << 8 | dimensions
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise SourceError(f"{name} is cut short: {len(content)} bytes; fetch it again")
    magic, *shape = struct.unpack(f">{1 + dimensions}I", content[:header])
    if magic != wanted:
        raise SourceError(
            f"{name} is not the IDX file expected: its magic number is {magic}, not {wanted}"
        )
    size = int(np.prod(shape, dtype=np.uint64))
    if len(content) - header != size:
        raise SourceError(
            f"{name} holds {len(content) - header} bytes of data, its header promises {size}; "
            "fetch it again"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
