"""MNIST: 60000 + 10000 handwritten digits, white on black, 28x28 (LeCun, Cortes, Burges)."""

from __future__ import annotations

import gzip
import hashlib
import logging
import os
import struct
import zlib
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simrun.errors import SourceError
from simtool.data.dataset import LabelledImages

log = logging.getLogger(__name__)

CLASSES: Final = tuple("0123456789")
SPLITS: Final = {"train": "train", "test": "t10k"}
"""Name of each split -> how its file names begin."""
DATA_VARIABLE: Final = "SIMTOOL_DATA"

# Of the raw content: the .gz files are in circulation with different compression.
RAW_SHA256: Final = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
MIRRORS: Final = (
    "https://ossci-datasets.s3.amazonaws.com/mnist",
    "https://storage.googleapis.com/cvdf-datasets/mnist",
)

_UNSIGNED_BYTE: Final = 8
_GZIP_MAGIC: Final = b"\x1f\x8b"


def load_mnist(split: str, data: Path | None = None) -> LabelledImages:
    """One split of MNIST, or of another data set in the same four files.

    Looked for in the folder `data`, else in the folder that the environment variable SIMTOOL_DATA
    names, else in the download cache. The folder either holds the files or a folder `mnist`
    that does.

    Args:
        split: `train` (60000) or `test` (10000).
        data: folder of the files, compressed or not.

    Returns:
        images (N, 1, 28, 28) uint8, labels (N,).

    Raises:
        SourceError: unknown split, files missing, damaged or not belonging together.
    """
    if split not in SPLITS:
        raise SourceError(f"MNIST has no split '{split}'; it has {', '.join(SPLITS)}")
    names = [f"{SPLITS[split]}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1")]
    folder = data or _folder_from_environment()
    if folder is not None:
        files = [_find(folder, name) for name in names]
    else:
        files = [_download(name) for name in names]
    images = parse_idx(read_raw(files[0]), 3, str(files[0]))
    labels = parse_idx(read_raw(files[1]), 1, str(files[1]))
    return LabelledImages(images[:, np.newaxis], labels.astype(np.int64), CLASSES, split)


def _folder_from_environment() -> Path | None:
    value = os.environ.get(DATA_VARIABLE)
    return Path(value) if value else None


def _find(folder: Path, name: str) -> Path:
    """The file of that name in `folder` or `folder/mnist`, compressed or not."""
    for place in (folder, folder / "mnist"):
        for candidate in (place / name, place / f"{name}.gz"):
            if candidate.is_file():
                return candidate
    raise SourceError(
        f"no {name}[.gz] in {folder} or {folder / 'mnist'}; give the MNIST folder with --data, or "
        f"neither --data nor {DATA_VARIABLE} to download it"
    )


def _download(name: str) -> Path:
    """The file from the download cache, fetched from the first mirror that has the right one."""
    import pooch  # here, because looking up local files must not need it

    cache = Path(pooch.os_cache("similarnet")) / "mnist"
    reasons = []
    for mirror in MIRRORS:
        url = f"{mirror}/{name}.gz"
        try:
            # No known_hash: pooch would check the compressed bytes, which vary by mirror.
            path = Path(pooch.retrieve(url, known_hash=None, fname=f"{name}.gz", path=cache))
        except (OSError, ValueError) as error:
            reasons.append(f"{url}: {type(error).__name__}")
            continue
        if _raw_matches(path, name):
            return path
        path.unlink()
        reasons.append(f"{url}: not the known content")
    raise SourceError(
        f"cannot download {name} ({'; '.join(reasons)}); fetch MNIST by hand and give --data"
    )


def _raw_matches(path: Path, name: str) -> bool:
    try:
        raw = read_raw(path)
    except SourceError as error:
        log.warning("%s", error)
        return False
    return hashlib.sha256(raw).hexdigest() == RAW_SHA256[name]


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
