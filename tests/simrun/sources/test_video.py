"""Films: every frame as it was shown, at its time, by PyAV and by OpenCV alone."""

from __future__ import annotations

import itertools
import shutil
import struct
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from simrun.errors import SourceError
from simrun.images.read import Image
from simrun.sources import BadFrame, Frame
from simrun.sources import filled as filled_module
from simrun.sources.film_end import missing_bytes
from simrun.sources.registry import open_source
from simrun.sources.video import ClipSource, Timeline
from tests.simrun.live_fakes import picture

OPEN_FILES = Path("/proc/self/fd")
FFMPEG = shutil.which("ffmpeg")
needs_ffmpeg = pytest.mark.skipif(FFMPEG is None, reason="needs ffmpeg (apt install ffmpeg)")


@pytest.fixture(params=["av", "opencv"])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Read films with PyAV, or as where it is not installed."""
    name: str = request.param
    if name == "av":
        pytest.importorskip("av")
    monkeypatch.setattr("simrun.sources.video.has_av", lambda: name == "av")
    return name


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Twelve frames of one grey each, one more step of 20 each time."""
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (64, 48))
    for i in range(12):
        writer.write(np.full((48, 64, 3), 20 * i, np.uint8))
    writer.release()
    return path


@pytest.fixture
def film(tmp_path: Path, clip: Path) -> Callable[..., Path]:
    """Make a film of the clip with ffmpeg: its name and ffmpeg's arguments."""

    def make(name: str, *arguments: str, source: Path = clip) -> Path:
        path = tmp_path / name
        run_ffmpeg("-i", source, *arguments, path)
        return path

    return make


def run_ffmpeg(*arguments: object) -> None:
    command = [str(FFMPEG), "-v", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True, timeout=60)


def display_matrix(a: int, b: int, c: int, d: int) -> bytes:
    """How a track of an MP4 is shown: (x, y) becomes (ax + cy, bx + dy)."""
    one = 1 << 16
    return struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)


def read(path: Path) -> list[Frame]:
    """All frames, none of them bad."""
    source = open_source(str(path))
    frames = list(source)
    source.close()
    assert [f.error for f in frames if isinstance(f, BadFrame)] == []
    return [f for f in frames if isinstance(f, Frame)]


def greys(frames: Sequence[Frame]) -> list[int]:
    """How bright they are, in steps of the clip."""
    return [round(float(frame.image.mean()) / 20) for frame in frames]


class TestEveryFrame:
    def test_with_its_time(self, reader: str, clip: Path) -> None:
        frames = read(clip)
        assert greys(frames) == list(range(12))
        assert [frame.time_s for frame in frames] == pytest.approx([i / 10 for i in range(12)])
        source = open_source(str(clip))
        assert (source.length, source.rate, source.live) == (12, 10.0, False)
        source.close()

    @needs_ffmpeg
    @pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov", "ts"])
    def test_at_a_variable_rate(self, reader: str, film: Callable[..., Path], suffix: str) -> None:
        select = ("-vf", "select='not(between(n,3,7))'", "-vsync", "vfr")
        path = film(f"vfr.{suffix}", *select, "-c:v", "libx264", "-pix_fmt", "yuv420p")
        expected = [0.0, 0.1, 0.2, 0.8, 0.9, 1.0, 1.1]
        assert [frame.time_s for frame in read(path)] == pytest.approx(expected, abs=2e-3)

    @needs_ffmpeg
    @pytest.mark.parametrize(
        "arguments",
        [
            ("b.mkv", "-f", "lavfi", "-i", "sine=duration=6", "-c:v", "libx264", "-c:a", "aac"),
            ("b.ts", "-f", "lavfi", "-i", "sine=duration=6", "-c:v", "mpeg2video", "-r", "25"),
            ("b.webm", "-c:v", "libvpx", "-b:v", "1M"),
            ("b.flv", "-c:v", "flv"),
            ("b.mp4", "-c:v", "libx264", "-movflags", "frag_keyframe+empty_moov"),
            ("b.h264", "-c:v", "libx264"),
            ("b.mpg", "-c:v", "mpeg2video", "-r", "25"),
        ],
        ids=lambda arguments: arguments[0],
    )
    def test_of_a_whole_film_none_is_missed(
        self, reader: str, film: Callable[..., Path], arguments: Sequence[str]
    ) -> None:
        assert sorted(set(greys(read(film(*arguments))))) == list(range(12))

    @needs_ffmpeg
    def test_of_a_film_trimmed_without_encoding_it(
        self, reader: str, film: Callable[..., Path], tmp_path: Path
    ) -> None:
        whole = film("whole.mp4", "-c:v", "libx264", "-pix_fmt", "yuv420p")
        trimmed = tmp_path / "trimmed.mp4"
        run_ffmpeg("-ss", "0.6", "-i", whole, "-c", "copy", trimmed)
        frames = read(trimmed)
        assert greys(frames) == [6, 7, 8, 9, 10, 11]
        assert frames[-1].time_s == pytest.approx(0.5, abs=1e-3)

    @needs_ffmpeg
    @pytest.mark.parametrize(
        ("matrix", "turns"),
        [((1, 0, 0, 1), 0), ((0, 1, -1, 0), -1), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 1)],
        ids=["as it is", "clockwise", "upside down", "counterclockwise"],
    )
    def test_upright(
        self, reader: str, film: Callable[..., Path], matrix: tuple[int, ...], turns: int
    ) -> None:
        path = film("a.mp4", "-vf", "drawbox=0:0:32:24:white:fill", "-c:v", "libx264")
        content = path.read_bytes()
        plain, (a, b, c, d) = display_matrix(1, 0, 0, 1), matrix
        track = content.index(plain, content.index(b"tkhd"))
        turned = display_matrix(a, b, c, d)
        path.write_bytes(content[:track] + turned + content[track + len(turned) :])
        image = read(path)[0].image
        stored = np.array([[True, False], [False, False]])
        height, width = image.shape[0] // 2, image.shape[1] // 2
        bright = image[:, :, 0].reshape(2, height, 2, width).mean(axis=(1, 3)) > 128
        np.testing.assert_array_equal(bright, np.rot90(stored, turns))

    @needs_ffmpeg
    @pytest.mark.parametrize(
        ("name", "arguments"),
        [
            ("a.avi", ("-vf", "scale=61:45", "-c:v", "mjpeg")),
            ("a.mkv", ("-vf", "scale=61:45", "-c:v", "ffv1", "-pix_fmt", "bgr0")),
            ("b.mkv", ("-c:v", "ffv1", "-pix_fmt", "gray")),
            ("c.mkv", ("-c:v", "ffv1", "-pix_fmt", "gray16le")),
            ("d.mkv", ("-c:v", "ffv1", "-pix_fmt", "yuv420p10le")),
            ("e.mov", ("-c:v", "qtrle", "-pix_fmt", "argb")),
            ("f.mp4", ("-c:v", "libx264", "-pix_fmt", "yuv444p")),
            ("g.mp4", ("-c:v", "libx264", "-pix_fmt", "yuvj420p")),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_of_every_pixel_format(
        self, reader: str, film: Callable[..., Path], name: str, arguments: Sequence[str]
    ) -> None:
        frames = read(film(name, *arguments))
        assert greys(frames) == list(range(12))
        assert frames[0].image.shape[2] == 3

    @needs_ffmpeg
    def test_where_the_size_changes_twice(self, film: Callable[..., Path], tmp_path: Path) -> None:
        pytest.importorskip("av")
        sizes = ((64, 48), (96, 64), (48, 32))
        parts = [
            film(f"{i}.ts", "-vf", f"scale={w}:{h}", "-c:v", "libx264", "-pix_fmt", "yuv420p")
            for i, (w, h) in enumerate(sizes)
        ]
        path = tmp_path / "all.ts"
        path.write_bytes(b"".join(part.read_bytes() for part in parts))
        frames = read(path)
        shapes = [frame.image.shape[1::-1] for frame in frames]
        assert shapes == [size for size in sizes for _ in range(12)]
        times = [frame.time_s for frame in frames]
        assert np.diff(times) == pytest.approx(np.full(35, 0.1), abs=0.02)

    def test_opencv_alone_says_what_it_does_not_tell(
        self, clip: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr("simrun.sources.video.has_av", lambda: False)
        read(clip)
        assert [m for m in caplog.messages if "similarnet[video]" in m and "size" in m]

    @pytest.mark.parametrize(
        "name", ["12:30:05.avi", "bad\udcff.avi", "a b%03d.avi", "é.avi"], ids=ascii
    )
    def test_under_any_name(
        self, reader: str, clip: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        monkeypatch.chdir(clip.parent)
        clip.rename(name)
        source = open_source(name)
        assert len(list(source)) == 12
        source.close()
        source.name.encode()


@needs_ffmpeg
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("i.mp4", ("libx264", "-flags", "+ildct+ilme", "-x264opts", "tff=1")),
        ("j.mkv", ("libx264", "-flags", "+ildct+ilme", "-x264opts", "bff=1")),
        ("i.mpg", ("mpeg2video", "-flags", "+ildct+ilme", "-r", "25", "-q:v", "2")),
        ("i.ts", ("mpeg2video", "-flags", "+ildct+ilme", "-r", "25", "-q:v", "2")),
        ("i.avi", ("mpeg4", "-flags", "+ildct+ilme", "-q:v", "2")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_of_interlaced_films_the_picture_or_an_error(
    reader: str, film: Callable[..., Path], name: str, arguments: Sequence[str]
) -> None:
    path = film(name, "-pix_fmt", "yuv420p", "-c:v", *arguments)
    if reader == "opencv" and filled_module.may_stay_unfilled():
        with pytest.raises(SourceError, match=r"interlaced .*similarnet\[video\]"):
            read(path)
    else:
        assert sorted(set(greys(read(path)))) == list(range(12))


class BufferedCapture:
    """A `cv2.VideoCapture` that leaves its buffer as it was where a frame is None."""

    frames: Sequence[Image | None] = ()
    promised = 0.0
    rate = 10.0
    released = 0

    def __init__(self, *_: object) -> None:
        self.index = -1
        self.buffer = np.full((24, 32, 3), 0xA5, np.uint8)

    def isOpened(self) -> bool:
        return True

    def get(self, prop: int) -> float:
        props = {
            cv2.CAP_PROP_FRAME_COUNT: self.promised,
            cv2.CAP_PROP_FPS: self.rate,
            cv2.CAP_PROP_POS_MSEC: 0.0,
        }
        return props[prop]

    def grab(self) -> bool:
        self.index += 1
        return self.index < len(self.frames)

    def retrieve(self) -> tuple[bool, Image]:
        frame = self.frames[self.index]
        if frame is not None:
            self.buffer = frame
        return True, self.buffer.copy()

    def read(self) -> tuple[bool, Image | None]:
        return self.retrieve() if self.grab() else (False, None)

    def release(self) -> None:
        BufferedCapture.released += 1


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch, clip: Path) -> Callable[..., ClipSource]:
    """Open a clip of some frames of which the file itself says `promised` and `rate`."""

    def open_it(*frames: Image | None, promised: float = 10.0, rate: float = 10.0) -> ClipSource:
        monkeypatch.setattr("simrun.sources.video.has_av", lambda: False)
        monkeypatch.setattr("simrun.sources.opencv_film.may_stay_unfilled", lambda: True)
        monkeypatch.setattr(filled_module, "may_stay_unfilled", lambda: True)
        monkeypatch.setattr(BufferedCapture, "frames", frames)
        monkeypatch.setattr(BufferedCapture, "promised", promised)
        monkeypatch.setattr(BufferedCapture, "rate", rate)
        monkeypatch.setattr(cv2, "VideoCapture", BufferedCapture)
        return ClipSource(clip)

    return open_it


class TestByOpenCv:
    @pytest.mark.parametrize("given", [10, 8, 1, 12])
    def test_what_the_container_promises_proves_nothing(
        self, scripted: Callable[..., ClipSource], given: int
    ) -> None:
        frames = list(scripted(*(picture(i) for i in range(given))))
        assert [frame.index for frame in frames] == list(range(given))
        assert all(isinstance(frame, Frame) for frame in frames)

    def test_a_frame_in_the_middle_that_was_not_filled(
        self, scripted: Callable[..., ClipSource]
    ) -> None:
        still = [picture(9)] * 3
        *frames, bad = scripted(picture(1), *still, picture(5), None, picture(6))
        assert [int(f.image[0, 0, 0]) for f in frames if isinstance(f, Frame)] == [1, 9, 9, 9, 5]
        assert isinstance(bad, BadFrame)
        assert "frame 5" in bad.error
        assert "interlaced" in bad.error

    def test_a_film_that_is_never_filled(self, scripted: Callable[..., ClipSource]) -> None:
        with pytest.raises(SourceError, match="interlaced"):
            list(scripted(None, None))

    def test_a_still_film_is_no_fault(self, scripted: Callable[..., ClipSource]) -> None:
        assert len(list(scripted(*[picture(3)] * 40))) == 40

    def test_where_memory_cannot_be_coloured_it_is_said(
        self, scripted: Callable[..., ClipSource], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("platform.libc_ver", lambda: ("", ""))
        with pytest.raises(SourceError, match="cannot be told on this system"):
            list(scripted(picture(1)))

    @pytest.mark.parametrize(
        ("told", "length"), [(-9.2e18, None), (0.0, None), (1.0, 1), (250.0, 250)]
    )
    def test_a_length_that_is_none_is_not_known(
        self, scripted: Callable[..., ClipSource], told: float, length: int | None
    ) -> None:
        assert scripted(promised=told).length == length

    @pytest.mark.parametrize(
        ("told", "rate", "second_s"),
        [(0.0, None, 0.0), (0.5, 0.5, 2.0), (25.0, 25.0, 0.04), (1000.0, None, 0.0)],
    )
    def test_without_a_rate_that_can_be_frames_have_no_time(
        self,
        scripted: Callable[..., ClipSource],
        told: float,
        rate: float | None,
        second_s: float,
    ) -> None:
        source = scripted(picture(1), picture(2), promised=2, rate=told)
        assert source.rate == rate
        assert [frame.time_s for frame in source if isinstance(frame, Frame)] == [0.0, second_s]

    def test_the_time_to_read_is_that_of_the_frame_itself(
        self, scripted: Callable[..., ClipSource], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        moments = itertools.accumulate([8.0, 0.25, 100.0, 0.5, 100.0])
        clock = SimpleNamespace(perf_counter=lambda: next(moments))
        monkeypatch.setattr("simrun.sources.video.time", clock)
        frames = list(scripted(picture(1), picture(2), promised=2))
        assert [frame.capture_s for frame in frames if isinstance(frame, Frame)] == [0.25, 0.5]

    def test_closing_lets_go_of_the_film(self, scripted: Callable[..., ClipSource]) -> None:
        before = BufferedCapture.released
        source = scripted(*[picture(3)] * 4)
        assert len(list(source)) == 4
        source.close()
        assert BufferedCapture.released == before + 2

    def test_a_picture_without_pixels_ends_the_clip(
        self, scripted: Callable[..., ClipSource]
    ) -> None:
        frames = list(scripted(picture(1), np.zeros((0, 32, 3), np.uint8), picture(2)))
        assert [frame.index for frame in frames] == [0]

    def test_a_clip_without_one_frame_is_an_error(
        self, scripted: Callable[..., ClipSource]
    ) -> None:
        with pytest.raises(SourceError, match="has no frame that can be decoded"):
            list(scripted())


@pytest.mark.parametrize(
    ("rate", "given", "times"),
    [
        (10.0, (5.0, 5.04, 6.6), (0.0, 0.04, 1.6)),
        (10.0, (0.0, 0.1, 0.0, 0.1, 0.3), (0.0, 0.1, 0.2, 0.3, 0.5)),
        (10.0, (None, None, 7.0, None, 7.5), (0.0, 0.1, 0.2, 0.3, 0.7)),
        (10.0, (0.0, 0.0, 0.0), (0.0, 0.1, 0.2)),
        (10.0, (float("nan"), float("inf"), -float("inf"), -9e18), (0.0, 0.1, 0.2, 0.3)),
        (10.0, (-0.2, -0.1, 0.0), (0.0, 0.1, 0.2)),
        (None, (None, None), (0.0, 0.0)),
        (None, (3.0, 3.5, 1.0, 1.5), (0.0, 0.5, 0.5, 1.0)),
    ],
)
def test_times_go_up(
    rate: float | None, given: Sequence[float | None], times: Sequence[float]
) -> None:
    timeline = Timeline(rate)
    assert [timeline.at(moment) for moment in given] == pytest.approx(times)


class TestCutShort:
    def errors(self, path: Path) -> str:
        """What is said of a film, as it is opened or at its end."""
        try:
            return "; ".join(f.error for f in open_source(str(path)) if isinstance(f, BadFrame))
        except SourceError as error:
            return str(error)

    def test_a_clip_that_lost_its_end_says_so(self, reader: str, clip: Path) -> None:
        content = clip.read_bytes()
        clip.write_bytes(content[: len(content) // 2])
        missing = len(content) - len(content) // 2
        assert f"it is cut short, {missing} bytes are missing" in self.errors(clip)

    @needs_ffmpeg
    @pytest.mark.parametrize(
        ("name", "options"),
        [("a.mp4", ("-movflags", "+faststart")), ("a.mov", ()), ("a.mkv", ()), ("a.webm", ())],
    )
    def test_other_containers(
        self, reader: str, film: Callable[..., Path], name: str, options: Sequence[str]
    ) -> None:
        codec = "libvpx" if name.endswith("webm") else "libx264"
        path = film(name, "-c:v", codec, "-g", "3", *options)
        assert missing_bytes(path) == 0
        content = path.read_bytes()
        path.write_bytes(content[: len(content) * 3 // 4])
        assert "is cut short" in self.errors(path)

    @pytest.mark.parametrize(
        ("content", "missing"),
        [
            (b"", 0),
            (b"\0\0\0\x08ftyp" + b"\0\0\0\x18mdat" + b"x" * 10, 6),
            (b"\0\0\0\x08ftyp" + b"\0\0\0\0mdat" + b"x" * 10, 0),
            (b"\0\0\0\x08ftyp" + struct.pack(">I4sQ", 1, b"mdat", 100) + b"x" * 10, 74),
            (b"\0\0\0\x08ftyp" + b"\0\0\0\x08mdat" + b"appended by somebody", 0),
            (b"RIFF\x10\0\0\0AVI " + b"x" * 5, 7),
            (b"RIFF\0\0\0\0AVI " + b"x" * 5, 0),
            (b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x88xx", 6),
            (b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x01" + b"\xff" * 7 + b"xx", 0),
            (b"\x47" * 188, 0),
        ],
    )
    def test_bytes_are_counted(self, tmp_path: Path, content: bytes, missing: int) -> None:
        path = tmp_path / "film"
        path.write_bytes(content)
        assert missing_bytes(path) == missing

    @pytest.mark.parametrize(
        ("content", "message"), [(b"", "is empty"), (b"x" * 999, "not a video")]
    )
    def test_what_is_no_clip(
        self, reader: str, tmp_path: Path, content: bytes, message: str
    ) -> None:
        path = tmp_path / "bad.mp4"
        path.write_bytes(content)
        before = len(list(OPEN_FILES.iterdir()))
        with pytest.raises(SourceError, match=message):
            open_source(str(path))
        assert len(list(OPEN_FILES.iterdir())) <= before

    @needs_ffmpeg
    def test_a_film_without_pictures(self, reader: str, tmp_path: Path) -> None:
        path = tmp_path / "sound.mp4"
        run_ffmpeg("-f", "lavfi", "-i", "sine=duration=1", path)
        with pytest.raises(SourceError, match=r"no video|not a video"):
            open_source(str(path))

    def test_a_playlist_under_the_name_of_a_film_opens_nothing_else(
        self, reader: str, clip: Path
    ) -> None:
        path = clip.with_suffix(".mp4")
        path.write_text("#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n")
        assert "not a video" in self.errors(path)

    def test_damaged_frames_are_told_and_the_others_read(self, clip: Path) -> None:
        pytest.importorskip("av")
        content = bytearray(clip.read_bytes())
        starts = [i for i in range(len(content)) if content[i : i + 3] == b"\xff\xd8\xff"]
        content[starts[5] : starts[5] + 200] = bytes(200)
        clip.write_bytes(content)
        frames = list(open_source(str(clip)))
        assert [f.index for f in frames if isinstance(f, BadFrame)] == [5]
        assert greys([f for f in frames if isinstance(f, Frame)]) == [*range(5), *range(6, 12)]

    def test_a_jpeg_of_a_film_that_is_damaged_inside(self, tmp_path: Path) -> None:
        pytest.importorskip("av")
        path = tmp_path / "noise.avi"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (64, 48))
        for i in range(6):
            writer.write(np.random.default_rng(i).integers(0, 255, (48, 64, 3), np.uint8))
        writer.release()
        content = bytearray(path.read_bytes())
        scan = [i for i in range(len(content)) if content[i : i + 2] == b"\xff\xda"][3] + 600
        content[scan : scan + 200] = bytes(200)
        path.write_bytes(content)
        assert [f.index for f in open_source(str(path)) if isinstance(f, BadFrame)] == [3]
