"""Every picture that a user may have, and everything that only looks like one."""

from __future__ import annotations

import io
import os
import socket
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from simrun.errors import SourceError
from simrun.images.declared_size import declared_size
from simrun.images.read import (
    Note,
    check_frame,
    read_image,
    to_bgr,
    to_channels,
    to_grey,
    to_rgb,
)


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
        (b"GIF89a" + b"\1" * 50, "is not a picture that OpenCV"),
        (b"8BPS" + b"\1" * 50, "is not a picture of a kind that is read"),
        (b"\0\0\0\x18ftypheic" + b"\0" * 50, "pillow-heif"),
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


def turned(mode: str, number: int) -> tuple[Pillow.Image, Pillow.Exif]:
    """A picture with another grey in each quarter, and EXIF that says how it lies."""
    image = Pillow.new("L", (40, 24), 20)
    for box, level in (((0, 0, 20, 12), 90), ((20, 0, 40, 12), 160), ((0, 12, 20, 24), 230)):
        image.paste(level, box)
    exif = Pillow.Exif()
    exif[0x0112] = number
    return image.convert(mode), exif


UPRIGHT = {
    1: lambda stored: stored,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored, 2).T,
    8: np.rot90,
}
"""The table of the EXIF standard: what row 0 and column 0 of the stored picture are."""


@pytest.mark.parametrize("number", UPRIGHT)
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG", "TIFF"])
def test_every_orientation_of_every_format(
    tmp_path: Path, kind: str, mode: str, number: int
) -> None:
    if kind == "JPEG" and mode == "RGBA":
        pytest.skip("JPEG has no alpha")
    image, exif = turned(mode, number)
    path = tmp_path / "turned.png"
    options: dict[str, object] = {"lossless": True} if kind == "WEBP" else {}
    path.write_bytes(as_bytes(image, kind, exif=exif, **options))
    expected = UPRIGHT[number](np.asarray(image.convert("L")))
    got = to_grey(read_image(path))
    assert got.shape == expected.shape
    # JPEG blurs where two greys meet.
    np.testing.assert_allclose(got[3::6, 3::6], expected[3::6, 3::6], atol=12)


@pytest.mark.parametrize("exif", [b"", b"Exif", b"II*\0", b"MM\0*\0\0\0\x08\0\x09\x01\x12"])
def test_damaged_exif_turns_nothing(tmp_path: Path, exif: bytes) -> None:
    path = tmp_path / "a.webp"
    image, _ = turned("RGB", 1)
    content = as_bytes(image, "WEBP", exif=b"x" * len(exif) or b"x", lossless=True)
    path.write_bytes(content.replace(b"x" * len(exif), exif) if exif else content)
    assert read_image(path).shape == (24, 40, 3)


class TestDepth:
    """More than eight bits: what is in use becomes visible, and is said."""

    scene = np.clip(gradient().astype(np.float64) * 0.6 + 13, 0, 255).astype(np.uint8)

    def read(self, tmp_path: Path, image: np.ndarray, suffix: str = ".png") -> tuple:
        path = tmp_path / f"deep{suffix}"
        path.write_bytes(encode(suffix, image))
        notes: list[Note] = []
        return read_image(path, lambda _, note: notes.append(note)), notes

    def test_eight_bits_written_as_sixteen_are_those_eight(self, tmp_path: Path) -> None:
        for scene in (self.scene, self.scene // 9, np.full_like(self.scene, 7)):
            image, notes = self.read(tmp_path, scene.astype(np.uint16) * 257)
            np.testing.assert_array_equal(image, scene)
            assert notes == []

    @pytest.mark.parametrize("suffix", [".png", ".tiff", ".pgm"])
    @pytest.mark.parametrize(
        ("scale", "offset"),
        [(4, 0), (16, 0), (64, 0), (4, 29000), (1, 65000), (1, 0)],
        ids=["10 bits", "12 bits", "14 bits", "thermal", "bright", "8 bits in 16"],
    )
    def test_fewer_bits_in_sixteen_are_stretched(
        self, tmp_path: Path, suffix: str, scale: int, offset: int
    ) -> None:
        deep = self.scene.astype(np.uint16) * scale + offset
        image, notes = self.read(tmp_path, deep, suffix)
        assert (image.min(), image.max()) == (0, 255)
        assert np.corrcoef(image.ravel(), self.scene.ravel())[0, 1] > 0.999
        assert notes == [Note.STRETCHED]

    def test_dead_pixels_do_not_count(self, tmp_path: Path) -> None:
        deep = np.tile(self.scene.astype(np.uint16) * 4 + 29000, (20, 20))
        deep[3, 5], deep[40, 7] = 0, 65535
        image, notes = self.read(tmp_path, deep)
        assert np.corrcoef(image[50:].ravel(), deep[50:].ravel())[0, 1] > 0.999
        assert notes == [Note.STRETCHED]

    def test_colour_and_alpha(self, tmp_path: Path) -> None:
        colour = np.dstack([self.scene, self.scene[::-1], self.scene]).astype(np.uint16) * 16
        clear = np.full((24, 40, 1), 65535, np.uint16)
        plain, _ = self.read(tmp_path, colour)
        opaque, notes = self.read(tmp_path, np.concatenate([colour, clear], axis=2))
        np.testing.assert_array_equal(plain, opaque)
        assert notes == [Note.STRETCHED]

    @pytest.mark.parametrize("kind", [np.float32, np.float64, np.int16, np.int32, np.int8])
    def test_negative_numbers(self, tmp_path: Path, kind: type[np.number]) -> None:
        numbers = (self.scene.astype(np.float64) - 100).astype(kind)
        image, notes = self.read(tmp_path, numbers, ".tiff")
        assert (image.min(), image.max()) == (0, 255)
        assert notes == [Note.STRETCHED]

    def test_infinite_values_and_nan_take_no_range_from_the_others(self, tmp_path: Path) -> None:
        real = np.tile(self.scene.astype(np.float32) - 100, (20, 20))
        real[0, :6] = (np.nan, np.inf, -np.inf, np.nan, 3e38, -3e38)
        with np.errstate(all="raise"):
            image, _ = self.read(tmp_path, real, ".tiff")
        assert image[0, 1] == 255
        assert image[0, 2] == 0
        assert image[0, 0] == 0
        assert np.corrcoef(image[1:].ravel(), real[1:].ravel())[0, 1] > 0.999

    @pytest.mark.parametrize("value", [0, 7.5, np.nan, np.inf])
    def test_a_picture_of_one_number(self, tmp_path: Path, value: float) -> None:
        image, _ = self.read(tmp_path, np.full((9, 9), value, np.float32), ".tiff")
        assert len(np.unique(image)) == 1


@pytest.mark.parametrize("white", [1, 15, 100, 255, 256, 1023, 65535])
@pytest.mark.parametrize("kind", ["P2", "P3", "P5", "P6"])
def test_the_white_that_a_netpbm_names_is_white(tmp_path: Path, kind: str, white: int) -> None:
    levels = np.linspace(0, white, 24 * 40).round().astype(int).reshape(24, 40)
    numbers = levels if kind in ("P2", "P5") else np.dstack([levels] * 3)
    head = f"{kind}\n# made up\n40 24\n# white\n{white}\n".encode()
    if kind in ("P2", "P3"):
        body = " ".join(map(str, numbers.ravel())).encode()
    else:
        body = numbers.astype(">u2" if white > 255 else "u1").tobytes()
    path = tmp_path / "a.pgm"
    path.write_bytes(head + body)
    image = to_grey(read_image(path))
    assert (image.min(), image.max()) == (0, 255)
    np.testing.assert_allclose(image, levels * (255 / white), atol=1)


class TestWhatFollows:
    """A complete JPEG with something behind it is complete."""

    jpeg = encode(".jpg", cv2.resize(gradient(), (200, 120)))

    @pytest.mark.parametrize(
        "tail",
        [
            b"\0" * 9,
            b"ftypmp42" + bytes(range(256)) * 20,
            b"\xff\xda\xff\xc0" * 5,
            b"\xff\xd8\xff" + b"x" * 99,
        ],
    )
    @pytest.mark.parametrize("progressive", [False, True])
    def test_a_film_behind_the_end(self, tmp_path: Path, tail: bytes, progressive: bool) -> None:
        image = Pillow.fromarray(cv2.resize(gradient(), (200, 120)))
        whole = as_bytes(image, "JPEG", progressive=progressive)
        path = tmp_path / "motion.jpg"
        path.write_bytes(whole)
        expected = read_image(path)
        path.write_bytes(whole + tail)
        np.testing.assert_array_equal(read_image(path), expected)

    def test_cut_anywhere_is_cut_short(self, tmp_path: Path) -> None:
        path = tmp_path / "cut.jpg"
        for end in range(4, len(self.jpeg) - 1, 7):
            path.write_bytes(self.jpeg[:end])
            with pytest.raises(SourceError, match="cut short"):
                read_image(path)

    def test_a_preview_with_an_end_of_its_own_is_not_the_end(self, tmp_path: Path) -> None:
        preview = b"\xff\xe1" + struct.pack(">H", len(self.jpeg) + 2) + self.jpeg
        path = tmp_path / "preview.jpg"
        path.write_bytes(self.jpeg[:2] + preview + self.jpeg[2:])
        assert read_image(path).shape == (120, 200, 3)
        path.write_bytes(self.jpeg[:2] + preview + self.jpeg[2:-40])
        with pytest.raises(SourceError, match="cut short"):
            read_image(path)


class TestSeveral:
    """Of several pictures in one file the first is read, and it is said."""

    @pytest.mark.parametrize(
        ("kind", "count"),
        [(kind, count) for kind in ("PNG", "WEBP", "TIFF", "GIF") for count in (1, 2)],
    )
    def test_the_first_is_read(self, tmp_path: Path, kind: str, count: int) -> None:
        pictures = [Pillow.new("L", (40, 24), level) for level in (200, 30)]
        more: dict[str, object] = {"save_all": True, "append_images": pictures[1:count]}
        options: dict[str, object] = {"lossless": True} if kind == "WEBP" else {}
        path = tmp_path / "several.png"
        path.write_bytes(as_bytes(pictures[0], kind, **options, **(more if count > 1 else {})))
        notes: list[Note] = []
        image = read_image(path, lambda _, note: notes.append(note))
        assert to_grey(image).mean() == pytest.approx(200, abs=3)
        assert notes == [Note.FIRST_ONLY] * (count - 1)


@pytest.mark.parametrize(
    "mode", ["1", "P", "PA", "LA", "RGBA", "CMYK", "L", "I;16", "F"], ids=lambda mode: mode
)
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "WEBP", "GIF"])
def test_every_pixel_format(tmp_path: Path, mode: str, kind: str) -> None:
    """Grey levels come as they are, on white where there is alpha."""
    scene = Pillow.fromarray(np.repeat(np.uint8([[0, 255]]), 8, axis=1).repeat(9, axis=0))
    if mode in ("I;16", "F"):
        numbers = np.asarray(scene).astype(np.uint16 if mode == "I;16" else np.float32)
        image = Pillow.fromarray(numbers * (257 if mode == "I;16" else 1))
    else:
        image = (scene.convert("LA") if mode == "PA" else scene).convert(mode)
    path = tmp_path / "pixels.png"
    try:
        path.write_bytes(as_bytes(image, kind))
    except (OSError, ValueError):
        pytest.skip(f"{kind} holds no {mode}")
    np.testing.assert_allclose(to_grey(read_image(path)), np.asarray(scene), atol=4)


class TestWhatIsNoPlainFile:
    """A pipe, a device, a socket, a huge file: refused at once, without reading."""

    def test_a_pipe_without_a_writer(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "a.jpg")
        with pytest.raises(SourceError, match="is no file"):
            read_image(tmp_path / "a.jpg")

    def test_a_link_to_a_device(self, tmp_path: Path) -> None:
        (tmp_path / "a.jpg").symlink_to("/dev/zero")
        with pytest.raises(SourceError, match="is no file"):
            read_image(tmp_path / "a.jpg")

    def test_a_socket_a_broken_link_and_a_loop(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("a.jpg")
            Path("b.jpg").symlink_to("nowhere")
            Path("c.jpg").symlink_to("c.jpg")
            for name in "abc":
                with pytest.raises(SourceError, match="cannot read"):
                    read_image(Path(f"{name}.jpg"))

    @pytest.mark.parametrize("head", [b"", b"\xff\xd8\xff"])
    def test_a_file_of_eight_gigabytes(self, tmp_path: Path, head: bytes) -> None:
        path = tmp_path / "a.jpg"
        path.write_bytes(head)
        os.truncate(path, 8 << 30)
        with pytest.raises(SourceError, match=r"has 8\.6 GB"):
            read_image(path)

    def test_a_name_with_a_null_byte(self) -> None:
        with pytest.raises(SourceError, match="null"):
            read_image("a\0b.jpg")


class TestWhatTheNumbersStandFor:
    """The file says so, and decoders look away."""

    @pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
    def test_a_grey_of_a_png_that_is_transparent_is_white(self, tmp_path: Path, bits: int) -> None:
        values = np.tile([0, 0, min(40, (1 << bits) - 1), 0], (8, 4))
        path = tmp_path / "page.png"
        path.write_bytes(grey_png(values, bits, clear=0))
        image = read_image(path)
        assert (image[values == 0] == 255).all()
        assert (image[values != 0] == {8: 40, 16: 0}.get(bits, 255)).all()

    @pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
    def test_white_is_zero(self, tmp_path: Path, kind: type[np.number]) -> None:
        top = 65535 if kind is np.uint16 else 255
        numbers = top - gradient().astype(np.float64) * (top // 255)
        path = tmp_path / "fax.tif"
        path.write_bytes(tiff(numbers.astype(kind), photometric=0))
        assert np.abs(read_image(path).astype(int) - gradient()).max() <= 1

    def test_a_fourth_number_that_is_no_alpha(self, tmp_path: Path) -> None:
        colours = np.dstack([gradient()] * 3)
        path = tmp_path / "infrared.tif"
        path.write_bytes(tiff(np.dstack([colours, gradient() * 0]), photometric=2, extra=0))
        np.testing.assert_array_equal(read_image(path), colours)

    @pytest.mark.parametrize(("extra", "factor"), [(2, 1.0), (1, 0.5)])
    @pytest.mark.parametrize("kind", [np.uint8, np.uint16])
    def test_half_covered_ground(
        self, tmp_path: Path, extra: int, factor: float, kind: type[np.number]
    ) -> None:
        scale = 257 if kind is np.uint16 else 1
        colours = np.dstack([gradient() * factor] * 3)
        numbers = np.dstack([colours, np.full(gradient().shape, 128)]).astype(kind) * scale
        path = tmp_path / "glass.tif"
        path.write_bytes(tiff(numbers.astype(kind), photometric=2, extra=extra))
        wanted = (gradient() / 2 + 127)[:, :, None]
        assert np.abs(read_image(path).astype(float) - wanted).max() <= 2

    def test_alpha_that_is_left_away_is_told(self, tmp_path: Path) -> None:
        path = tmp_path / "glass.tif"
        path.write_bytes(tiff(np.dstack([gradient(), gradient()]), photometric=1, extra=2))
        notes: list[Note] = []
        read_image(path, lambda _, note: notes.append(note))
        assert notes == [Note.ALPHA_LOST]


def grey_png(values: np.ndarray, bits: int, clear: int) -> bytes:
    height, width = values.shape
    if bits < 8:
        places = ((values[:, :, None] >> np.arange(bits)[::-1]) & 1).reshape(height, -1)
        rows = np.packbits(places.astype(np.uint8), axis=1)
    else:
        rows = values.astype(">u2" if bits == 16 else "u1")
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    chunks = [
        (b"IHDR", header),
        (b"tRNS", struct.pack(">H", clear)),
        (b"IDAT", zlib.compress(raw)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def tiff(pixels: np.ndarray, photometric: int, extra: int | None = None) -> bytes:
    """Uncompressed, little-endian, in one strip."""
    height, width, samples = (*pixels.shape, 1)[:3]
    data = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    tags = {
        256: [width],
        257: [height],
        258: [8 * pixels.dtype.itemsize] * samples,
        259: [1],
        262: [photometric],
        273: [8],
        277: [samples],
        278: [height],
        279: [len(data)],
        339: [3 if pixels.dtype.kind == "f" else 1] * samples,
    }
    if extra is not None:
        tags[338] = [extra]
    directory = 8 + len(data)
    behind = directory + 2 + 12 * len(tags) + 4
    entries, arrays = b"", b""
    for tag, values in sorted(tags.items()):
        packed = struct.pack(f"<{len(values)}H", *values)
        if len(packed) > 4:
            place = struct.pack("<I", behind + len(arrays))
            arrays += packed
            packed = place
        entries += struct.pack("<HHI", tag, 3, len(values)) + packed.ljust(4, b"\0")
    head = b"II*\0" + struct.pack("<I", directory)
    return head + data + struct.pack("<H", len(tags)) + entries + b"\0" * 4 + arrays
