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
from simrun.images import check_frame, read_image, to_bgr, to_grey


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
        (encode(".jpg", gradient())[:-20], "is cut short"),
        (encode(".jpg", gradient())[:30], "is cut short"),
        (encode(".png", gradient())[:-20], "is cut short"),
        (b"\x89PNG\r\n\x1a\n" + b"IEND", "is not a picture"),
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


def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    png = encode(".png", gradient())
    path = tmp_path / "huge.png"
    path.write_bytes(png[:16] + struct.pack(">II", 30000, 20000) + png[24:])
    with pytest.raises(SourceError, match="30000x20000 pixels"):
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
