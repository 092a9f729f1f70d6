from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from simrun.errors import SourceError
from simtool.data import LabelledImages
from simtool.data import mnist as mnist_module
from simtool.data.mnist import RAW_SHA256, load_mnist
from tests.simtool.tiny import digits, write_idx

IMAGES = "train-images-idx3-ubyte"
LABELS = "train-labels-idx1-ubyte"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_idx(tmp_path, digits(20), "train")
    return tmp_path


def test_reads_raw_and_gzip_alike(folder: Path) -> None:
    raw = load_mnist("train", folder)
    for name in (IMAGES, LABELS):
        path = folder / name
        path.with_name(f"{name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    packed = load_mnist("train", folder)
    assert np.array_equal(raw.images, packed.images)
    assert raw.images.shape == (20, 1, 28, 28)
    assert raw.sha256 == packed.sha256 == digits(20).sha256


def test_finds_the_folder_by_environment_and_one_level_down(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = folder.parent / "below" / "mnist"
    write_idx(below, digits(30), "train")
    monkeypatch.setenv("SIMTOOL_DATA", str(below.parent))
    assert len(load_mnist("train")) == 30
    assert len(load_mnist("train", folder)) == 20


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        (IMAGES, lambda raw: raw[:-1], "header promises"),
        (IMAGES, lambda raw: raw + b"x", "header promises"),
        (IMAGES, lambda raw: raw[:7], "cut short"),
        (IMAGES, lambda raw: b"", "cut short"),
        (IMAGES, lambda raw: b"\x00\x00\x08\x01" + raw[4:], "magic number is 2049"),
        (IMAGES, lambda raw: gzip.compress(raw)[:-20], "damaged gzip"),
        (LABELS, lambda raw: raw[:4] + (19).to_bytes(4, "big") + raw[8:-1], "20 images, 19 labels"),
        (LABELS, lambda raw: raw[:-1] + b"\x0b", "labels 0 to 11"),
    ],
)
def test_bad_files_are_refused_in_one_line(
    folder: Path, name: str, damage: Callable[[bytes], bytes], message: str
) -> None:
    path = folder / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(SourceError, match=message) as caught:
        load_mnist("train", folder)
    assert "\n" not in str(caught.value)


def test_missing_files_and_unknown_splits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="--data"):
        load_mnist("train", tmp_path)
    with pytest.raises(SourceError, match="no split 'dev'"):
        load_mnist("dev", tmp_path)


def test_hash_depends_on_pixels_and_labels() -> None:
    one = digits(20)
    other_pixels, other_labels = one.images.copy(), one.labels.copy()
    other_pixels[0, 0, 0, 0] ^= 1
    other_labels[0] = 3
    assert one.sha256 != LabelledImages(other_pixels, one.labels, one.classes, "train").sha256
    assert one.sha256 != LabelledImages(one.images, other_labels, one.classes, "train").sha256


def test_download_checks_the_raw_content_and_tries_the_next_mirror(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pooch

    good = {name: (folder / name).read_bytes() for name in (IMAGES, LABELS)}
    hashes = {name: hashlib.sha256(raw).hexdigest() for name, raw in good.items()}
    monkeypatch.setattr(mnist_module, "RAW_SHA256", hashes)
    monkeypatch.delenv("SIMTOOL_DATA", raising=False)
    asked = []

    def retrieve(url: str, known_hash: None, fname: str, path: Path) -> str:
        asked.append(url)
        path.mkdir(parents=True, exist_ok=True)
        raw = good[fname.removesuffix(".gz")]
        first = url.startswith(mnist_module.MIRRORS[0])
        (path / fname).write_bytes(gzip.compress(b"tampered" if first else raw))
        return str(path / fname)

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / name)
    assert load_mnist("train").sha256 == digits(20).sha256
    assert len(asked) == 4


def test_without_any_mirror_the_remedy_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pooch

    def retrieve(*_: object, **__: object) -> str:
        raise ConnectionError("no route")

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / name)
    monkeypatch.delenv("SIMTOOL_DATA", raising=False)
    with pytest.raises(SourceError, match="fetch MNIST by hand and give --data"):
        load_mnist("train")


@pytest.mark.data
def test_the_real_files_are_the_known_ones(mnist_folder: Path) -> None:
    for name, known in RAW_SHA256.items():
        file = next(mnist_folder.glob(f"{name}*"))
        assert hashlib.sha256(mnist_module.read_raw(file)).hexdigest() == known
    data = load_mnist("test", mnist_folder)
    assert len(data) == 10_000
    assert data.images.mean() == pytest.approx(33.791, abs=0.001)
