"""V4L2 cameras, network streams and GStreamer pipelines over a scripted OpenCV and kernel."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from simrun.errors import SourceError, UsageError
from simrun.images.read import Image
from simrun.sources import SourceOptions
from simrun.sources.devices.base import DeviceUnusableError
from simrun.sources.devices.discovery import probe_device
from simrun.sources.devices.gstreamer import GstreamerDevice
from simrun.sources.devices.network import StreamDevice, is_url
from simrun.sources.devices.v4l2 import V4l2Device
from simrun.sources.options import Size
from simrun.sources.registry import open_camera, open_source

MJPG = cv2.VideoWriter.fourcc(*"MJPG")


SCENE = np.full((48, 64, 3), 100, np.uint8)
JPEG = cv2.imencode(".jpg", SCENE)[1].reshape(1, -1)
YUYV = cv2.cvtColor(SCENE, cv2.COLOR_BGR2YUV_YUYV)
GREY = SCENE[:, :, 0].copy()
"""A scene as cameras send it, in the shapes that OpenCV gives the buffers."""


class FakeCapture:
    """A `cv2.VideoCapture` of a camera that has some formats, the first of which is its default."""

    def __init__(
        self, *, opens: bool = True, reads: Any = None, formats: Sequence[str] = ("MJPG",)
    ) -> None:
        self.opens = opens
        self.reads = reads
        self.formats = [cv2.VideoWriter.fourcc(*name) for name in formats]
        self.asked: list[int] = []
        self.props: dict[int, float] = {
            cv2.CAP_PROP_FRAME_WIDTH: 1280,
            cv2.CAP_PROP_FRAME_HEIGHT: 720,
            cv2.CAP_PROP_FPS: 30,
            cv2.CAP_PROP_POS_MSEC: 12_345.5,
            cv2.CAP_PROP_CONVERT_RGB: 1,
        }
        self.released = False

    def isOpened(self) -> bool:
        return self.opens

    def read(self) -> tuple[bool, Any]:
        if isinstance(self.reads, Exception):
            raise self.reads
        return self.reads is not None, self.reads

    def set(self, prop: int, value: float) -> bool:
        self.asked.append(prop)
        if prop == cv2.CAP_PROP_FOURCC and value not in self.formats:
            value = self.formats[0]
        self.props[prop] = value
        return True

    def get(self, prop: int) -> float:
        return self.props.get(prop, 0.0)

    def release(self) -> None:
        self.released = True


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A device file that can be opened."""
    path = tmp_path / "video0"
    path.touch()
    return path


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    """Where the kernel tells the devices' names."""
    (tmp_path / "sys" / "video0").mkdir(parents=True)
    return tmp_path / "sys"


class TestV4l2:
    def test_what_is_asked_for(self, node: Path) -> None:
        capture = FakeCapture()
        options = SourceOptions(size=Size(800, 600), fps=15)
        stream = V4l2Device(str(node), options, open_capture=lambda _: capture).open()
        assert capture.props[cv2.CAP_PROP_FOURCC] == MJPG
        assert capture.props[cv2.CAP_PROP_BUFFERSIZE] == 2
        assert capture.asked[0] == cv2.CAP_PROP_FOURCC
        assert stream.rate == 15
        assert stream.description == "800x600 MJPG at 15 frames/s, time stamps of the driver"

    def test_size_and_rate_are_left_to_the_camera_unless_asked_for(self, node: Path) -> None:
        capture = FakeCapture()
        stream = V4l2Device(str(node), SourceOptions(), open_capture=lambda _: capture).open()
        assert stream.description.startswith("1280x720 MJPG at 30 frames/s")

    def test_the_time_stamp_of_the_driver_is_taken(self, node: Path) -> None:
        capture = FakeCapture(reads=np.zeros((2, 2, 3), np.uint8))
        stream = V4l2Device(str(node), SourceOptions(), open_capture=lambda _: capture).open()
        shot = stream.read()
        assert shot is not None
        assert shot.stamp_s == pytest.approx(12.3455)
        capture.props[cv2.CAP_PROP_POS_MSEC] = 0
        shot = stream.read()
        assert shot is not None
        assert shot.stamp_s is None

    @pytest.mark.parametrize(
        ("formats", "raw", "colour"),
        [
            (("YUYV", "MJPG"), JPEG, False),
            (("YUYV", "MJPG"), JPEG, True),
            (("BGR3", "YUYV"), YUYV, False),
            (("BGR3", "YUYV"), YUYV, True),
            (("GREY",), GREY, False),
            (("GREY",), GREY, True),
        ],
    )
    def test_what_the_camera_sends_is_made_a_picture_of_later(
        self, node: Path, formats: Sequence[str], raw: Image, colour: bool
    ) -> None:
        capture = FakeCapture(reads=raw, formats=formats)
        options = SourceOptions(size=Size(64, 48), colour=colour)
        stream = V4l2Device(str(node), options, open_capture=lambda _: capture).open()
        assert capture.props[cv2.CAP_PROP_CONVERT_RGB] == 0
        # Whatever asks for new buffers has to come before.
        assert capture.asked[-1] == cv2.CAP_PROP_CONVERT_RGB
        shot = stream.read()
        assert shot is not None
        assert shot.image is raw
        decoded = shot.decoded()
        assert decoded.image.shape == ((48, 64, 3) if colour else (48, 64))
        assert decoded.stamp_s == shot.stamp_s
        assert np.abs(decoded.image.astype(int) - 100).max() <= 1

    @pytest.mark.parametrize("colour", [False, True])
    def test_other_formats_are_left_to_opencv(self, node: Path, colour: bool) -> None:
        image = np.full((48, 64, 3), 9, np.uint8)
        capture = FakeCapture(reads=image, formats=("NV12", "H264"))
        options = SourceOptions(size=Size(64, 48), colour=colour)
        stream = V4l2Device(str(node), options, open_capture=lambda _: capture).open()
        assert cv2.CAP_PROP_CONVERT_RGB not in capture.asked
        assert stream.description.startswith("64x48 NV12")
        shot = stream.read()
        assert shot is not None
        assert shot.decoded().image is image

    def test_an_opencv_that_converts_all_the_same_is_believed(
        self, node: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        image = np.full((48, 64, 3), 9, np.uint8)
        capture = FakeCapture(reads=image)
        get = capture.get
        monkeypatch.setattr(
            capture, "get", lambda prop: 1.0 if prop == cv2.CAP_PROP_CONVERT_RGB else get(prop)
        )
        device = V4l2Device(str(node), SourceOptions(), open_capture=lambda _: capture)
        shot = device.open().read()
        assert shot is not None
        assert shot.decoded().image is image

    def test_an_empty_buffer_is_no_frame(self, node: Path) -> None:
        capture = FakeCapture(reads=np.empty((1, 0), np.uint8))
        stream = V4l2Device(str(node), SourceOptions(), open_capture=lambda _: capture).open()
        assert stream.read() is None

    def test_failed_reads(self, node: Path) -> None:
        capture = FakeCapture()
        stream = V4l2Device(str(node), SourceOptions(), open_capture=lambda _: capture).open()
        assert stream.read() is None
        capture.reads = cv2.error("jpeg")
        with pytest.raises(SourceError, match="OpenCV failed"):
            stream.read()
        stream.close()
        assert capture.released

    def test_a_camera_that_is_not_there_says_what_is(self) -> None:
        there = r"there is (none at all|/dev/video\d+)"
        with pytest.raises(SourceError, match=rf"no camera /dev/video97; {there}"):
            open_camera("97")

    def test_a_camera_in_use(self, node: Path, sysfs: Path) -> None:
        (sysfs / "video0" / "name").write_text("HD Webcam\n")
        capture = FakeCapture(opens=False)
        device = V4l2Device(str(node), SourceOptions(), open_capture=lambda _: capture, sysfs=sysfs)
        with pytest.raises(SourceError, match=r"\(HD Webcam\) gives no video: it is in") as info:
            device.open()
        assert not isinstance(info.value, DeviceUnusableError)
        assert capture.released

    @pytest.mark.parametrize("driver", ["unicam-image", "rp1-cfe-csi2_ch0"])
    def test_a_ribbon_cable_camera_is_sent_to_rpicam(
        self, node: Path, sysfs: Path, driver: str
    ) -> None:
        (sysfs / "video0" / "name").write_text(f"{driver}\n")
        device = V4l2Device(str(node), SourceOptions(), sysfs=sysfs)
        with pytest.raises(DeviceUnusableError, match="use --camera rpicam"):
            device.open()

    def test_no_permission_names_the_group(
        self, node: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise PermissionError(13, "Permission denied")

        # Tests may run as root, whom no permission stops.
        monkeypatch.setattr(Path, "open", refuse)
        with pytest.raises(SourceError, match="add yourself to the group 'video'"):
            V4l2Device(str(node), SourceOptions()).open()

    def test_what_is_no_video_device(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match=r"cannot open .*: Is a directory"):
            V4l2Device(str(tmp_path), SourceOptions()).open()

    def test_a_file_that_is_no_camera_is_refused_by_the_real_opencv(self, node: Path) -> None:
        with pytest.raises(SourceError, match="video0 gives no video"):
            V4l2Device(str(node), SourceOptions()).open()


class FakeKernel:
    """A driver's side of the two questions, as linux/videodev2.h lays them out."""

    QUERYCAP = 2 << 30 | 104 << 16 | ord("V") << 8 | 0
    REQBUFS = 3 << 30 | 20 << 16 | ord("V") << 8 | 8

    def __init__(self, everything: int, this_node: int, refusal: int | None = None) -> None:
        self.abilities = everything, this_node
        self.refusal = refusal
        self.buffers: list[tuple[int, ...]] = []
        self.flags = 0
        self.descriptor = -1

    def ioctl(self, descriptor: int, question: int, argument: bytes) -> bytes:
        self.descriptor = descriptor
        self.flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        if question == self.QUERYCAP:
            assert len(argument) == 104
            version, reserved = 0x060600, (0, 0, 0)
            names = b"uvcvideo", b"HD Webcam", b"usb-1.2"
            return struct.pack("16s32s32s6I", *names, version, *self.abilities, *reserved)
        assert question == self.REQBUFS
        self.buffers.append(struct.unpack("5I", argument))
        if self.refusal is not None:
            raise OSError(self.refusal, os.strerror(self.refusal))
        return argument


class TestProbe:
    """What the kernel says of a device."""

    @pytest.mark.parametrize(
        ("everything", "this_node", "buffers"),
        [
            pytest.param(0x84A00001, 0x04200001, [(0, 1, 1, 0, 0)], id="a webcam"),
            pytest.param(0x84A00001, 0x04A00000, [], id="the metadata of a webcam"),
            pytest.param(0x04000001, 0, [(0, 1, 1, 0, 0)], id="a driver that tells no nodes apart"),
            pytest.param(0x84201000, 0x04201000, [(0, 9, 1, 0, 0)], id="pictures of many planes"),
            pytest.param(0x84200002, 0x04200002, [], id="an output"),
            pytest.param(0x84208000, 0x04208000, [], id="a codec"),
            pytest.param(0x84208003, 0x04208003, [], id="a codec that says it captures, too"),
            pytest.param(0x84207000, 0x04207000, [], id="a codec of many planes that says so"),
        ],
    )
    def test_only_what_gives_pictures_is_asked_whether_it_is_free(
        self,
        node: Path,
        monkeypatch: pytest.MonkeyPatch,
        everything: int,
        this_node: int,
        buffers: list[tuple[int, ...]],
    ) -> None:
        kernel = FakeKernel(everything, this_node)
        monkeypatch.setattr(fcntl, "ioctl", kernel.ioctl)
        assert probe_device(node) == ("capture" if buffers else "other")
        # No buffers, of single (1) or many (9) planes, mapped into memory (1).
        assert kernel.buffers == buffers

    def test_a_device_that_another_program_captures_from_is_busy(
        self, node: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kernel = FakeKernel(0x84A00001, 0x04200001, errno.EBUSY)
        monkeypatch.setattr(fcntl, "ioctl", kernel.ioctl)
        assert probe_device(node) == "busy"

    def test_another_refusal_is_an_error_and_the_device_is_let_go(
        self, node: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kernel = FakeKernel(0x84A00001, 0x04200001, errno.ENODEV)
        monkeypatch.setattr(fcntl, "ioctl", kernel.ioctl)
        with pytest.raises(OSError, match="No such device"):
            probe_device(node)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(kernel.descriptor)

    def test_a_device_is_opened_for_both_ways_and_without_waiting(
        self, node: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kernel = FakeKernel(0x84A00001, 0x04200001)
        monkeypatch.setattr(fcntl, "ioctl", kernel.ioctl)
        probe_device(node)
        assert kernel.flags & os.O_ACCMODE == os.O_RDWR
        assert kernel.flags & os.O_NONBLOCK

    def test_what_is_no_video_device_is_an_error(self, node: Path) -> None:
        with pytest.raises(OSError, match="Inappropriate ioctl"):
            probe_device(node)


class TestStream:
    def test_the_password_reaches_the_server_and_no_message(self) -> None:
        urls: list[str] = []

        def refuse(url: str) -> FakeCapture:
            urls.append(url)
            return FakeCapture(opens=False)

        device = StreamDevice("rtsp://u:s3cret@h/x", open_capture=refuse)
        with pytest.raises(SourceError, match="nobody answers") as info:
            device.open()
        assert urls == ["rtsp://u:s3cret@h/x"]
        assert "s3cret" not in f"{info.value} {device.name}"

    def test_what_is_a_url(self) -> None:
        assert is_url("RTSP://host/x")
        assert not is_url("clip.mp4")
        assert not is_url("file:///etc/passwd")
        assert not is_url("concat://x")

    def test_nobody_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;udp")
        with pytest.raises(SourceError, match=r"cannot open http://127\.0\.0\.1:1/x\.mjpg"):
            open_source("http://127.0.0.1:1/x.mjpg")
        assert os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] == "rtsp_transport;udp"


class TestGstreamer:
    def test_a_pipeline_needs_an_appsink(self) -> None:
        with pytest.raises(UsageError, match="has to end in an appsink"):
            open_source("gst:videotestsrc ! autovideosink")

    def test_an_opencv_without_gstreamer_names_the_package(self) -> None:
        device = GstreamerDevice("videotestsrc ! appsink", has_gstreamer=lambda: False)
        with pytest.raises(DeviceUnusableError, match="python3-opencv"):
            device.open()

    def test_a_pipeline_that_runs(self) -> None:
        image = np.ones((4, 4, 3), np.uint8)
        seen: list[str] = []

        def start(pipeline: str) -> FakeCapture:
            seen.append(pipeline)
            return FakeCapture(reads=image)

        device = GstreamerDevice(
            "videotestsrc ! appsink", open_capture=start, has_gstreamer=lambda: True
        )
        shot = device.open().read()
        assert shot is not None
        assert np.array_equal(shot.image, image)
        assert seen == ["videotestsrc ! appsink"]
        assert device.name == "gst:videotestsrc ! appsink"

    def test_a_pipeline_that_does_not_start(self) -> None:
        capture = FakeCapture(opens=False)
        device = GstreamerDevice(
            "nosuch ! appsink", open_capture=lambda _: capture, has_gstreamer=lambda: True
        )
        with pytest.raises(SourceError, match="gst-launch"):
            device.open()
        assert capture.released


@pytest.mark.parametrize("spec", ["-1", "front", "", "rpi"])
def test_what_is_no_camera(spec: str) -> None:
    with pytest.raises(UsageError, match="a camera is 0, 1"):
        open_camera(spec)
