"""What cameras send, as pictures."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from simrun.errors import SourceError
from simrun.images.read import Image, to_grey
from simrun.sources.decode import find_decoder
from simrun.sources.demo import HEIGHT, WIDTH, draw_scene
from simrun.sources.devices.base import Decode
from simrun.sources.options import Size

SIZE = Size(WIDTH, HEIGHT)
SUBSAMPLINGS = {
    "4:4:4": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    "4:2:2": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    "4:2:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
}


def decoder(fourcc: str, *, colour: bool, size: Size = SIZE) -> Decode:
    found = find_decoder(fourcc, size, colour=colour)
    assert found is not None
    return found


def jpeg(scene: Image, subsampling: str = "4:2:2") -> NDArray[np.uint8]:
    """(1, N), as OpenCV hands it over."""
    factor = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SUBSAMPLINGS[subsampling]]
    return np.asarray(cv2.imencode(".jpg", scene, factor)[1], np.uint8).reshape(1, -1)


def differences(fourcc: str, data: NDArray[np.uint8], size: Size = SIZE) -> NDArray[np.int_]:
    """Between grey pictures and colour ones that were greyed, pixel by pixel."""
    grey = decoder(fourcc, colour=False, size=size)(data)
    colour = decoder(fourcc, colour=True, size=size)(data)
    assert (grey.shape, colour.shape) == (
        (size.height, size.width),
        (size.height, size.width, 3),
    )
    assert grey.dtype == colour.dtype == np.uint8
    return np.abs(grey.astype(int) - to_grey(colour))


def test_every_colour_in_yuyv_has_the_grey_of_opencvs_picture() -> None:
    levels = np.arange(0, 256, 5, np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(1, -1, 3)
    pairs = cv2.cvtColor(np.repeat(colours, 2, axis=1), cv2.COLOR_BGR2YUV_YUYV)
    assert (pairs[..., 0].min(), pairs[..., 0].max()) == (16, 235)
    assert differences("YUYV", np.asarray(pairs, np.uint8), Size(pairs.shape[1], 1)).max() <= 1


def test_yuyv_beyond_black_and_white_is_cut_off_as_opencv_does() -> None:
    luma = np.arange(256, dtype=np.uint8)
    data = np.stack([luma, np.full_like(luma, 128)], axis=1)[None]
    size = Size(256, 1)
    assert differences("YUYV", data, size).max() <= 1
    grey = decoder("YUYV", colour=False, size=size)(data)[0]
    assert grey[:17].max() == 0
    assert grey[235:].min() == 255


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_a_jpegs_own_grey_is_that_of_its_colours(subsampling: str) -> None:
    for moment in range(5):
        wrong = differences("MJPG", jpeg(draw_scene(0.4 * moment), subsampling))
        assert wrong.max() <= 4
        assert (wrong > 1).mean() < 1e-4


@pytest.mark.parametrize("colour", [False, True])
def test_a_scene_comes_through(colour: bool) -> None:
    scene = draw_scene(1.0)
    expected = scene if colour else to_grey(scene)
    yuyv = np.asarray(cv2.cvtColor(scene, cv2.COLOR_BGR2YUV_YUYV), np.uint8)
    for fourcc, data in (("MJPG", jpeg(scene)), ("JPEG", jpeg(scene)), ("YUYV", yuyv)):
        image = decoder(fourcc, colour=colour)(data)
        assert np.abs(image.astype(int) - expected).mean() < 1.5, fourcc


def test_a_grey_camera_gives_the_same_three_times_where_colour_is_wanted() -> None:
    data = to_grey(draw_scene(0.0))
    assert decoder("GREY", colour=False)(data) is data
    assert differences("GREY", data).max() == 0


@pytest.mark.parametrize("fourcc", ["BGR3", "NV12", "H264", ""])
def test_what_is_left_to_opencv(fourcc: str) -> None:
    assert find_decoder(fourcc, SIZE, colour=False) is None


def test_grey_rows_that_opencv_4_reads_beyond_are_left_to_it() -> None:
    assert find_decoder("GREY", Size(638, 480), colour=False) is None


WHOLE = jpeg(draw_scene(0.0))
CUT = WHOLE[:, : WHOLE.size // 2]
NOISE = np.random.default_rng(1).integers(0, 256, (1, 9000), dtype=np.uint8)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(CUT, id="cut in the middle"),
        pytest.param(WHOLE[:, :-2], id="without its end"),
        pytest.param(WHOLE[:, :300], id="header alone"),
        pytest.param(WHOLE[:, :0], id="empty"),
        pytest.param(np.zeros_like(WHOLE), id="zeros"),
        pytest.param(NOISE, id="noise"),
        pytest.param(jpeg(np.zeros((2 * HEIGHT, 2 * WIDTH), np.uint8)), id="far too large"),
    ],
)
@pytest.mark.parametrize("colour", [False, True])
def test_a_broken_jpeg_is_an_error(data: NDArray[np.uint8], colour: bool) -> None:
    decode = decoder("MJPG", colour=colour)
    decode(WHOLE)
    with pytest.raises(SourceError, match="JPEG frame"):
        decode(data)
    decode(WHOLE)


@pytest.mark.parametrize("colour", [False, True])
def test_a_camera_that_never_marks_the_end_is_read(colour: bool) -> None:
    decode, marked = decoder("MJPG", colour=colour), decoder("MJPG", colour=colour)
    for moment in range(3):
        with pytest.raises(SourceError, match="cut short"):
            decode(jpeg(draw_scene(0.4 * moment))[:, :-2])
    for moment in range(3):
        whole = jpeg(draw_scene(0.4 * moment))
        assert np.array_equal(decode(whole[:, :-2]), marked(whole))


@pytest.mark.parametrize("first", [1, 3, 9])
def test_a_camera_whose_first_frames_are_cut_short_is_not_taken_for_one(first: int) -> None:
    decode = decoder("MJPG", colour=True)
    cut, passed = WHOLE[:, : WHOLE.size // 2], 0
    for _ in range(first):
        try:
            decode(cut)
            passed += 1
        except SourceError:
            pass
    decode(WHOLE)
    with pytest.raises(SourceError, match="cut short"):
        decode(cut)
    assert passed == max(0, first - 3)


def test_the_end_of_a_preview_is_not_that_of_the_frame() -> None:
    decode = decoder("MJPG", colour=True)
    whole = WHOLE.tobytes()
    preview = whole[:2] + b"\xff\xe1" + struct.pack(">H", 12) + b"\xff\xd8\xff\xd9" + b"x" * 6
    with pytest.raises(SourceError, match="cut short"):
        decode(np.frombuffer(preview + whole[2 : len(whole) // 2], np.uint8)[None])
    decode(np.frombuffer(preview + whole[2:], np.uint8)[None])


def test_a_jpeg_may_be_somewhat_larger_than_agreed() -> None:
    rounded = np.zeros((1088, 1920), np.uint8)
    decode = decoder("MJPG", colour=False, size=Size(1920, 1080))
    assert decode(jpeg(rounded)).shape == rounded.shape


@pytest.mark.parametrize("fourcc", ["YUYV", "GREY"])
def test_a_raw_frame_of_another_shape_is_an_error(fourcc: str) -> None:
    with pytest.raises(SourceError, match="a raw frame has the shape"):
        decoder(fourcc, colour=False)(draw_scene(0.0))
