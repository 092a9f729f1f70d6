"""Every picture that a user may have, and everything that only looks like one."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from simrun.errors import SourceError
from simrun.images.declared_size import declared_size
from simrun.images.read import check_frame, read_image, to_bgr, to_channels, to_grey, to_rgb


def gradient(height: int = 24, width: int = 40) -> np.ndarray:
    return np.linspace(0, 255, height * width).reshape(height, width).astype(np.uint8)


def encode(suffix: str, image: np.ndarray) -> bytes:
    ok, data = cv2.imencode(suffix, image)
    assert ok
    return data.tobytes()


def test_grey_png_is_read_exactly(tmp_path: Path) -> None:
    path = tmp_path / "grey.png"
    path.write_bytes(encode(".png", gradient()))
    np.testing.assert_array_equal(read_image(path), gradient())


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    path.write_bytes(encode(".png", gradient().astype(np.uint16) * 257))
    np.testing.assert_array_equal(read_image(path), gradient())


def test_float_tiff_is_stretched_to_eight_bits(tmp_path: Path) -> None:
    path = tmp_path / "float.tiff"
    path.write_bytes(encode(".tiff", gradient().astype(np.float32) / 255 - 3))
    image = read_image(path)
    assert image.dtype == np.uint8
    assert np.abs(image.astype(int) - gradient()).max() <= 1


def test_an_empty_page_of_many_pixels_is_no_false_claim(tmp_path: Path) -> None:
    path = tmp_path / "page.png"
    path.write_bytes(as_bytes(Pillow.new("1", (6000, 5000)), "PNG"))
    assert read_image(path).shape == (5000, 6000)


def test_a_tall_transparent_picture_is_laid_on_white_in_every_band(tmp_path: Path) -> None:
    image = np.random.default_rng(1).integers(0, 256, (150, 20, 4), np.uint8)
    path = tmp_path / "tall.png"
    path.write_bytes(encode(".png", image))
    alpha = image[:, :, 3:] / 255
    expected = image[:, :, :3] * alpha + 255 * (1 - alpha)
    assert np.abs(read_image(path) - expected).max() <= 0.51


def test_transparent_pixels_show_white_not_what_hides_below(tmp_path: Path) -> None:
    image = np.zeros((4, 6, 4), np.uint8)
    image[:, 3:] = (10, 20, 30, 255)
    path = tmp_path / "alpha.png"
    path.write_bytes(encode(".png", image))
    read = read_image(path)
    assert (read[:, :3] == 255).all()
    assert (read[:, 3:] == (10, 20, 30)).all()


def test_cmyk_jpeg_becomes_bgr(tmp_path: Path) -> None:
    path = tmp_path / "cmyk.jpg"
    Pillow.new("CMYK", (32, 16), (255, 0, 0, 0)).save(path)
    image = read_image(path)
    assert image.shape == (16, 32, 3)
    blue, green, red = image.reshape(-1, 3).mean(axis=0)
    assert red < 60 < min(blue, green)


def test_exif_orientation_turns_the_picture(tmp_path: Path) -> None:
    image = Pillow.new("RGB", (64, 32), "black")
    image.paste("white", (0, 0, 16, 32))
    exif = Pillow.Exif()
    exif[0x0112] = 6  # turn 90 degrees clockwise
    path = tmp_path / "turned.jpg"
    image.save(path, exif=exif, quality=95)
    turned = read_image(path)
    assert turned.shape[:2] == (64, 32)
    assert turned[:12].mean() > 200 > 50 > turned[20:].mean()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty (0 bytes)"),
        (b"hello, this is text", "is not a picture"),
        (b"GIF89a" + b"\1" * 50, "is not a picture of a kind that is read"),
        (encode(".bmp", gradient())[:20], "its header is bad"),
        (encode(".jpg", gradient())[:-20], "is cut short"),
        (encode(".jpg", gradient())[:30], "is cut short"),
        (encode(".png", gradient())[:-20], "is cut short"),
        (b"\x89PNG\r\n\x1a\n" + b"IEND", "is cut short"),
        (
            encode(".png", gradient())[:33] + b"\xff" + encode(".png", gradient())[34:],
            "is cut short",
        ),
    ],
)
def test_what_only_looks_like_a_picture(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.jpg"
    path.write_bytes(content)
    with pytest.raises(SourceError) as caught:
        read_image(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No such file"):
        read_image(tmp_path / "none.png")
    with pytest.raises(SourceError, match="Is a directory"):
        read_image(tmp_path)


def as_bytes(image: Pillow.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("width", [40, 300])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("BMP", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"exif": Pillow.Exif()}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"big_tiff": True}),
        ("PPM", {}),
    ],
)
def test_the_size_in_a_header_is_read(kind: str, options: dict[str, object], width: int) -> None:
    image = Pillow.fromarray(cv2.resize(gradient(), (width, 24))).convert("RGB")
    assert declared_size(as_bytes(image, kind, **options)) == (width, 24)


def test_sizes_that_other_programs_write() -> None:
    grey = Pillow.fromarray(gradient())
    assert declared_size(as_bytes(grey, "PPM")) == (40, 24)
    assert declared_size(as_bytes(grey.convert("1"), "PPM")) == (40, 24)
    assert declared_size(b"P2\n# a comment\n3 # another\n 2\n255\n0 0 0 0 0 0") == (3, 2)
    small = as_bytes(Pillow.new("RGBA", (5, 4)), "WEBP", lossless=True)
    assert declared_size(small) == (5, 4)
    swapped = struct.pack(">2sHIH", b"MM", 42, 8, 2)
    swapped += struct.pack(">HHIHHHHIHH", 256, 3, 1, 7, 0, 257, 3, 1, 6, 0)
    assert declared_size(swapped) == (7, 6)
    filled = as_bytes(grey, "JPEG").replace(b"\xff\xc0", b"\xff\xff\xff\xc0")
    assert declared_size(filled) == (40, 24)
    upside_down = struct.pack("<2s12xIii", b"BM", 40, 9, -8)
    assert declared_size(upside_down) == (9, 8)
    old = struct.pack("<2s12xIHH", b"BM", 12, 9, 8)
    assert declared_size(old) == (9, 8)


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<2s12xIii", b"BM", 40, 60000, 60000),
        b"RIFF\0\0\0\0WEBPVP8X" + bytes(8) + b"\xff\xff\xff" * 2,
        struct.pack("<2sHIH", b"II", 42, 8, 2)
        + struct.pack("<HHIIHHII", 256, 4, 1, 60000, 257, 4, 1, 60000),
        b"P5 60000 60000 255\n",
    ],
)
def test_other_huge_pictures_are_refused_too(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "huge.bmp"
    path.write_bytes(data)
    with pytest.raises(SourceError, match="at most 256 are read"):
        read_image(path)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 3e38])
def test_odd_numbers_in_a_float_tiff(tmp_path: Path, odd: float) -> None:
    image = gradient().astype(np.float32)
    image[0, 0] = odd
    path = tmp_path / "odd.tiff"
    path.write_bytes(encode(".tiff", image))
    with np.errstate(all="raise"):
        assert read_image(path).shape == image.shape


def test_a_picture_that_memory_does_not_suffice_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise MemoryError

    path = tmp_path / "large.png"
    path.write_bytes(encode(".png", gradient()))
    monkeypatch.setattr(cv2, "imdecode", refuse)
    with pytest.raises(SourceError, match="takes more memory than there is"):
        read_image(path)


def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    png = encode(".png", gradient())
    path = tmp_path / "huge.png"
    path.write_bytes(png[:16] + struct.pack(">II", 30000, 20000) + png[24:])
    with pytest.raises(SourceError, match="30000x20000 pixels"):
        read_image(path)
    path.write_bytes(png[:16] + struct.pack(">II", 10000, 20000) + png[24:])
    with pytest.raises(SourceError, match=r"claims 10000x20000 pixels in \d+ bytes"):
        read_image(path)
    buffer = io.BytesIO()
    Pillow.new("L", (8, 8)).save(buffer, "JPEG")
    jpeg = buffer.getvalue()
    at = jpeg.index(b"\xff\xc0") + 5
    path.write_bytes(jpeg[:at] + struct.pack(">HH", 20000, 30000) + jpeg[at + 4 :])
    with pytest.raises(SourceError, match="30000x20000 pixels"):
        read_image(path)


@pytest.mark.parametrize(
    "frame",
    [
        None,
        [[1, 2]],
        np.zeros((4, 4), np.float32),
        np.zeros((0, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((2, 4, 4, 3), np.uint8),
    ],
)
def test_what_is_not_a_frame(frame: object) -> None:
    with pytest.raises(SourceError, match="a frame must be uint8"):
        check_frame(frame)


def test_grey_and_bgr_are_made_from_each_other() -> None:
    bgr = to_bgr(gradient())
    assert bgr.shape == (24, 40, 3)
    np.testing.assert_array_equal(to_grey(bgr), gradient())


def test_a_network_sees_rgb_or_grey_of_a_colour_or_grey_picture() -> None:
    blue = np.zeros((2, 3, 3), np.uint8)
    blue[..., 0] = 200
    np.testing.assert_array_equal(to_rgb(blue), blue[..., ::-1])
    np.testing.assert_array_equal(to_rgb(gradient()), np.dstack([gradient()] * 3))
    np.testing.assert_array_equal(to_channels(blue, 3), to_rgb(blue))
    np.testing.assert_array_equal(to_channels(blue, 1), to_grey(blue))
