"""Measuring: turns, pace, figures, records and their comparison, on scripted clocks."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest

from simrun.bench import command
from simrun.bench.command import bench
from simrun.bench.compare import compare, ratio_of_medians
from simrun.bench.measure import (
    SETTLE,
    TURN,
    Clocks,
    Feed,
    Sample,
    Series,
    WayToRun,
    measure,
    periods_taken,
)
from simrun.bench.record import missed_share, public_name, read_record, spread, summarise
from simrun.bench.report import to_markdown, to_table
from simrun.bench.settings import BenchSettings, parse_side, split_list
from simrun.diagnostics.machine import Machine
from simrun.errors import OutputError, SourceError, UsageError
from simrun.images.read import Image
from simrun.result import Latency, Result
from simrun.sources import BadFrame, Frame, Source, SourceOptions
from tests.simrun.conftest import STROKES

BLACK = np.zeros((48, 64), np.uint8)


@dataclass
class World:
    """Time that passes only where a test says so, and what happened in it."""

    now: float = 0.0
    waits: list[float] = field(default_factory=list)
    calls: list[tuple[str, float]] = field(default_factory=list)

    @property
    def clocks(self) -> Clocks:
        return Clocks(wall=lambda: self.now, cpu=lambda: self.now / 2, wait=self.wait)

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def localizer(self, name: str, *costs_ms: float) -> Localize:
        return Localize(self, name, itertools.cycle(costs_ms))


@dataclass
class Localize:
    """A localizer that takes the times it is told to."""

    world: World
    name: str
    costs_ms: Iterator[float]

    def __call__(self, image: Image) -> Result:
        cost = next(self.costs_ms)
        self.world.calls.append((self.name, self.world.now))
        self.world.now += cost / 1000
        height, width = image.shape[:2]
        return Result(width, height, (), Latency(infer=cost, total=cost))


class Frames:
    """A source of black frames, each of which took a while to read."""

    name = "/somewhere/black.png"
    length = None
    rate = None

    def __init__(self, count: int = 4, capture_s: float = 0.0, live: bool = False) -> None:
        self.count, self.capture_s, self.live = count, capture_s, live
        self.closed = False

    def __iter__(self) -> Iterator[Frame | BadFrame]:
        return (Frame(BLACK, i, 0.0, capture_s=self.capture_s) for i in range(self.count))

    def close(self) -> None:
        self.closed = True


def pi(temperature_c: float = 40.0, throttled: int = 0) -> Machine:
    """A Raspberry Pi 4."""
    return Machine(
        board="Raspberry Pi 4 Model B Rev 1.5",
        system="Debian GNU/Linux 12 (bookworm)",
        kernel="6.6.31+rpt-rpi-v8",
        architecture="aarch64",
        userland_bits=64,
        cpu="Cortex-A72",
        cores=4,
        features=("neon",),
        memory_mb=3794,
        available_mb=3000,
        temperature_c=temperature_c,
        clock_mhz=1500,
        clock_max_mhz=1800,
        governor="ondemand",
        throttled=throttled,
    )


def series(world: World, name: str, *costs_ms: float, fps: float | None = None) -> Series:
    return Series(
        WayToRun(320, 1, fps), world.localizer(name, *costs_ms), Feed(Frames), world.clocks
    )


def test_kinds_take_turns_and_the_first_frames_of_a_turn_are_not_counted() -> None:
    world = World()
    both = [series(world, "a", 1), series(world, "b", 2)]
    measure(both, frames=TURN + 5, seconds=None, warmup=3)
    order = [(name, len(list(group))) for name, group in itertools.groupby(world.calls, _name)]
    full, rest = SETTLE + TURN, SETTLE + 5
    assert order == [("a", 3), ("b", 3), ("a", full), ("b", full), ("a", rest), ("b", rest)]
    assert [len(one.samples) for one in both] == [TURN + 5, TURN + 5]


def _name(call: tuple[str, float]) -> str:
    return call[0]


def test_a_machine_that_slows_down_does_so_for_all_kinds() -> None:
    """The clock's drift, 1 ms to 3 ms a frame, moves both medians alike."""
    world = World()
    steps = [1 + 2 * i / 300 for i in range(400)]
    shared = iter(steps)
    both = [series(world, "a"), series(world, "b")]
    for one in both:
        one.localizer = Localize(world, "x", shared)
    measure(both, frames=100, seconds=None, warmup=0)
    medians = [np.median([sample.latency.total for sample in one.samples]) for one in both]
    assert medians[1] / medians[0] == pytest.approx(1, abs=0.05)


def test_seconds_count_the_time_of_each_kind() -> None:
    world = World()
    both = [series(world, "a", 10), series(world, "b", 50)]
    shares: list[float] = []
    measure(both, frames=None, seconds=0.95, warmup=0, on_turn=shares.append)
    assert [len(one.samples) for one in both] == [100, 20]
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_paced_frames_begin_on_time_and_a_slow_one_costs_the_periods_it_runs_into() -> None:
    world = World()
    paced = series(world, "p", 20, 20, 250, 100, 20, fps=10)
    paced.turn(settle=0, frames=5)
    assert [at for _, at in world.calls] == pytest.approx([0, 0.1, 0.2, 0.5, 0.6])
    assert world.waits == pytest.approx([0.08, 0.08, 0.05])
    assert paced.elapsed_s == pytest.approx(0.62)


def test_a_camera_is_measured_as_by_a_run_that_shows_no_pictures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[SourceOptions] = []

    def refuse(_: str, options: SourceOptions) -> Source:
        asked.append(options)
        raise SourceError("no camera 0")

    monkeypatch.setattr(command, "open_camera", refuse)
    with pytest.raises(SourceError, match="no camera 0"):
        bench(BenchSettings(model=str(STROKES), camera="0"))
    assert asked == [SourceOptions(colour=False)]


def test_a_paced_camera_is_asked_for_its_frame_when_it_is_due() -> None:
    world = World()
    taken: list[float] = []

    class Camera(Frames):
        def __iter__(self) -> Iterator[Frame | BadFrame]:
            for frame in super().__iter__():
                taken.append(world.now)
                yield frame

    feed = Feed(lambda: Camera(3, capture_s=0.09, live=True))
    paced = Series(WayToRun(320, 1, 10.0), world.localizer("a", 20), feed, world.clocks)
    paced.turn(settle=0, frames=3)
    assert taken == pytest.approx([0, 0.1, 0.2])


@pytest.mark.parametrize(
    ("busy_ms", "periods"), [(0, 1), (99.9, 1), (100, 1), (100.1, 2), (250, 3)]
)
def test_periods_that_a_frame_takes(busy_ms: float, periods: int) -> None:
    assert periods_taken(busy_ms, 0.1) == periods


def test_missed_deadlines_count_the_frames_that_were_never_taken() -> None:
    assert missed_share([20, 20, 20, 20], 0.1) == 0
    # Periods: 1 in time; 3 for the frame of 250 ms; 1 in time.
    assert missed_share([20, 250, 100], 0.1) == pytest.approx(3 / 5)
    assert missed_share([150] * 4, 0.1) == 1


def test_reading_a_file_is_work_and_the_age_of_a_cameras_frame_is_not() -> None:
    samples = [Sample(Latency(capture=30, infer=20, total=50), 10, 0)] * 3
    assert summarise(samples, WayToRun(320, 1), live=False)["frames_per_s"] == pytest.approx(20)
    assert summarise(samples, WayToRun(320, 1), live=True)["frames_per_s"] == pytest.approx(50)
    assert summarise(samples, WayToRun(320, 1, 25.0), live=False)["missed"] == 1
    assert summarise(samples, WayToRun(320, 1, 25.0), live=True)["missed"] == 0


def test_a_sample_has_its_capture_and_cpu_time() -> None:
    world = World()
    feed = Feed(lambda: Frames(capture_s=0.005))
    one = Series(WayToRun(320, 1), world.localizer("a", 10), feed, world.clocks)
    one.turn(settle=0, frames=1)
    (sample,) = one.samples
    assert sample.latency == Latency(capture=5, infer=10, total=15)
    assert sample.cpu_ms == pytest.approx(5)
    assert one.frame_size == (64, 48)


@pytest.mark.usefixtures("opencv_threads")
def test_opencv_has_the_threads_of_the_kind_that_runs() -> None:
    seen: list[int] = []

    def count(image: Image) -> Result:
        seen.append(cv2.getNumThreads())
        return Result(64, 48, (), Latency())

    one, two = (Series(WayToRun(320, n), count, Feed(Frames)) for n in (1, 2))
    one.warm_up(1)
    two.turn(settle=1, frames=1)
    one.turn(settle=0, frames=1)
    two.warm_up(1)
    assert seen == [1, 2, 2, 1, 2]


def test_percentiles_and_jitter() -> None:
    figures = spread([1, 2, 1, 2, 1])
    assert figures == {"p50": 1, "p95": 2, "p99": 2, "mean": 1.4, "jitter": 1}
    # The same values in order: as spread out, but steady.
    assert spread([1, 1, 1, 2, 2])["jitter"] == 0.25
    assert spread([7])["jitter"] == 0


def test_a_file_begins_again_and_a_camera_that_ends_is_an_error() -> None:
    opened: list[Frames] = []

    def open_it() -> Source:
        opened.append(Frames(2))
        return opened[-1]

    feed = Feed(open_it)
    assert [feed.take().index for _ in range(5)] == [0, 1, 0, 1, 0]
    assert [source.closed for source in opened] == [True, True, False]
    camera = Feed(lambda: Frames(1, live=True))
    camera.take()
    with pytest.raises(SourceError, match="stopped giving frames"):
        camera.take()


def test_a_source_without_a_frame_or_with_a_bad_one_is_an_error() -> None:
    with pytest.raises(SourceError, match="has no frames"):
        Feed(lambda: Frames(0)).take()

    class Bad(Frames):
        def __iter__(self) -> Iterator[Frame | BadFrame]:
            yield BadFrame(0, "x.png", "x.png is empty")

    with pytest.raises(SourceError, match=r"x\.png is empty; a measurement needs frames that"):
        Feed(Bad).take()


def test_lists_take_commas_and_repetition_and_keep_each_value_once() -> None:
    assert split_list(["320,640", "320", " 160 "], parse_side) == [320, 640, 160]
    with pytest.raises(UsageError, match="--side is big; it must be a number of pixels"):
        split_list(["320,big"], parse_side)
    with pytest.raises(UsageError, match=r"--side is 9{40}; it must"):
        parse_side("9" * 5000)
    with pytest.raises(UsageError, match="--side is empty"):
        split_list(["320,"], parse_side)


def test_options_that_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="--source PATH or --camera N, not both"):
        BenchSettings(source="a.png", camera="0")
    with pytest.raises(UsageError, match="--frames N or --seconds S, not both"):
        BenchSettings(frames=5, seconds=1.0)


def test_the_ratio_of_a_record_to_itself_is_one_and_to_another_has_an_interval() -> None:
    random = np.random.default_rng(7)
    slow, fast = random.gamma(20, 0.5, 300), random.gamma(20, 0.4, 300)
    same = ratio_of_medians(list(slow), list(slow))
    assert same.value == 1
    assert same.low < 1 < same.high
    ratio = ratio_of_medians(list(fast), list(slow))
    assert ratio.low < ratio.value < ratio.high < 1
    assert ratio.low < 0.8 < ratio.high


def test_a_short_series_has_an_interval_too() -> None:
    ratio = ratio_of_medians([1.0, 2.0, 3.0, 4.0], [2.0, 2.0, 2.0, 2.0])
    assert (ratio.value, ratio.low, ratio.high) == (1.25, 0.5, 2)


def test_the_interval_is_wider_where_successive_samples_are_alike() -> None:
    random = np.random.default_rng(7)
    alike = list(np.repeat(random.gamma(20, 0.5, 30), 10))
    shuffled = list(random.permutation(alike))
    together, apart = ratio_of_medians(alike, alike), ratio_of_medians(shuffled, shuffled)
    assert together.high - together.low > 1.5 * (apart.high - apart.low)


@pytest.fixture
def record_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The record of a short real run of the strokes bundle at two sides, paced and not."""
    settings = BenchSettings(
        model=str(STROKES),
        side=["160,320"],
        frames=4,
        warmup=1,
        paced=1000.0,
        json=str(tmp_path / "record.json"),
    )
    bench(settings, read_state=pi)
    assert "side 320, 1 thread, paced 1000/s: 4 frames" in capsys.readouterr().out
    return tmp_path / "record.json"


def test_the_record_has_every_sample_and_all_circumstances(record_file: Path) -> None:
    record = read_record(str(record_file))
    assert record["schema"] == "simrun-bench/1"
    assert record["model"]["name"] == "strokes"
    assert len(record["model"]["sha256"]) == 64
    assert record["source"] == {"name": "demo", "live": False, "width": 640, "height": 480}
    assert record["session"] == {"provider": "CPUExecutionProvider"}
    assert record["machine"]["board"] == "Raspberry Pi 4 Model B Rev 1.5"
    assert record["machine"]["clock_max_mhz"] == 1800
    assert set(record["machine"]).isdisjoint(record["state"]["before"])
    assert record["state"]["before"]["temperature_c"] == 40
    assert record["state"]["after"]["throttling"] == []
    assert record["memory"]["configurations_in_process"] == 2
    assert record["memory"]["peak_mib"] > 20
    assert set(record["versions"]) == {"simrun", "python", "numpy", "opencv", "onnxruntime"}
    kinds = [(r["side"], r["threads"], r["paced_fps"]) for r in record["results"]]
    assert kinds == [(160, 1, None), (160, 1, 1000), (320, 1, None), (320, 1, 1000)]
    for result in record["results"]:
        samples = result["samples"]
        assert {len(values) for values in samples.values()} == {4}
        assert set(samples) == {*result["stages_ms"], "cpu", "found"}
        parts = [samples[stage] for stage in ("preprocess", "infer", "regions", "classify")]
        np.testing.assert_allclose(samples["total"], np.sum(parts, axis=0), atol=1e-3)
    # A line for each list of samples, so that people can read the rest.
    assert len(record_file.read_text().splitlines()) < 500


def test_the_table_fits_80_columns_and_the_markdown_has_a_row_a_kind(record_file: Path) -> None:
    record = read_record(str(record_file))
    table = to_table(record)
    assert max(map(len, table.splitlines())) <= 80
    assert "MiB at the peak, all 2 configurations in one process" in table
    assert "Raspberry Pi 4 Model B Rev 1.5, Cortex-A72, 4 cores, aarch64" in table
    assert "before   40.0 °C, 1500 MHz, governor ondemand, not throttled, load " in table
    header, rule, *rows = to_markdown(record).splitlines()
    assert len(rows) == 4
    assert {line.count("|") for line in (header, rule, *rows)} == {header.count("|")}


def test_the_gain_by_threads_is_told(record_file: Path) -> None:
    record = read_record(str(record_file))
    one, _, two, _ = record["results"]
    two["side"], two["threads"] = one["side"], 2
    two["stages_ms"]["total"]["p50"] = one["stages_ms"]["total"]["p50"] / 1.25
    two["cpu_ms"]["p50"] = one["cpu_ms"]["p50"] * 1.5
    line = "side 160, 2 threads, back to back: 1.25 times as fast as 1, 1.50 times the CPU"
    assert line in to_table(record).splitlines()


def test_a_comparison_names_what_only_one_has_and_what_differs(record_file: Path) -> None:
    here = read_record(str(record_file))
    there = copy.deepcopy(here)
    there["versions"]["onnxruntime"] = "1.0"
    del there["results"][2:]
    for result in there["results"]:
        result["samples"]["infer"] = [2 * x for x in result["samples"]["infer"]]
    found = compare(here, there, "other.json")
    assert [ratios["infer"].value for ratios in found.ratios.values()] == [0.5, 0.5]
    assert all("capture" not in ratios for ratios in found.ratios.values())
    assert [kind.side for kind in found.only_here] == [320, 320]
    assert found.only_there == []
    (difference,) = found.differences
    assert difference.startswith("versions onnxruntime: 1.0 there, ")


@pytest.mark.parametrize(
    ("part", "name", "value", "message"),
    [
        ("model", "sha256", "f" * 64, "measured another model, strokes .ffffffffffff."),
        ("model", "classify", False, "model classify: False there, True here"),
        ("source", "width", 1280, "source width: 1280 there, 640 here"),
    ],
)
def test_records_of_different_work_are_not_compared(
    record_file: Path, part: str, name: str, value: object, message: str
) -> None:
    here = read_record(str(record_file))
    there = copy.deepcopy(here)
    there[part][name] = value
    with pytest.raises(UsageError, match=message):
        compare(here, there, "other.json")


def test_records_without_a_side_in_common_are_not_compared(record_file: Path) -> None:
    here = read_record(str(record_file))
    there = copy.deepcopy(here)
    for result in there["results"]:
        result["side"] += 1
    with pytest.raises(UsageError, match=r"no side, threads and pace in common.* side 161"):
        compare(here, there, "other.json")


def test_a_record_without_samples_is_refused(record_file: Path) -> None:
    here = read_record(str(record_file))
    there = read_record(str(record_file))
    del there["results"][0]["samples"]
    with pytest.raises(UsageError, match=r"--compare other.json holds figures without the samples"):
        compare(here, there, "other.json")


def test_another_models_record_is_refused_before_anything_is_measured(
    record_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = read_record(str(record_file))
    other["model"]["sha256"] = "0" * 64
    path = tmp_path / "other.json"
    path.write_text(json.dumps(other))
    monkeypatch.setattr("simrun.bench.command.measure", lambda *_, **__: pytest.fail("measured"))
    with pytest.raises(UsageError, match="another model"):
        bench(BenchSettings(model=str(STROKES), compare=[str(path)]), read_state=pi)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "No such file"), ("no", "is no JSON"), ("[]", "schema None"), ("{}", "schema None")],
)
def test_what_is_no_record_is_named(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "other.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=message):
        read_record(str(path))


def test_the_record_on_stdout_is_alone_there(capsys: pytest.CaptureFixture[str]) -> None:
    settings = BenchSettings(model=str(STROKES), frames=2, warmup=0, json="-", markdown=True)
    bench(settings, read_state=pi)
    out, err = capsys.readouterr()
    assert json.loads(out)["results"][0]["frames"] == 2
    assert "back to back: 2 frames" in err
    assert "| Raspberry Pi 4" in err


def test_a_computer_that_was_held_back_is_said_to_have_been(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    states = iter([pi(), pi(temperature_c=81.0, throttled=0x4)])
    settings = BenchSettings(str(STROKES), frames=2, warmup=0, json=str(tmp_path / "r.json"))
    bench(settings, read_state=lambda: next(states))
    assert "throttled now: the figures are those of a computer that is held back" in caplog.text
    assert "after    81.0 °C, 1500 MHz, governor ondemand, throttled now" in capsys.readouterr().out
    state = read_record(str(tmp_path / "r.json"))["state"]
    assert [state[when]["throttled"] for when in ("before", "after")] == [0, 4]


def test_a_record_that_is_there_is_kept(record_file: Path) -> None:
    with pytest.raises(OutputError, match="there already"):
        bench(BenchSettings(model=str(STROKES), json=str(record_file)), read_state=pi)


def test_a_picture_is_read_anew_for_every_frame(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "bars.png"), BLACK)
    target = tmp_path / "r.json"
    source = str(tmp_path / "bars.png")
    settings = BenchSettings(str(STROKES), source=source, frames=3, warmup=0, json=str(target))
    bench(settings, read_state=pi)
    record = read_record(str(target))
    assert record["source"]["name"] == "bars.png"
    assert min(record["results"][0]["samples"]["capture"]) > 0


@pytest.mark.parametrize(
    ("name", "public"),
    [
        ("demo", "demo"),
        ("photos/shop/a.jpg", "a.jpg"),
        ("photos/", "photos"),
        ("/dev/video0", "video0"),
        ("rtsp://user:secret@camera", "rtsp"),
        ("https://host/x?token=secret", "https"),
        ("gst:rtspsrc location=rtsp://user:secret@camera/x ! appsink", "gst"),
        ("-", "-"),
    ],
)
def test_a_record_does_not_tell_where_things_lie(name: str, public: str) -> None:
    assert public_name(name) == public


def test_auto_and_a_number_that_are_the_same_are_measured_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simrun.inference.threads.usable_cores", lambda: 1)
    target = tmp_path / "r.json"
    settings = BenchSettings(str(STROKES), threads=["1,auto"], frames=2, warmup=0, json=str(target))
    bench(settings, read_state=pi)
    record = read_record(str(target))
    assert [result["threads"] for result in record["results"]] == [1]
    assert record["threads_auto"]["320"]["chosen"] == 1
    assert len(record["threads_auto"]["320"]["times_ms"]["1"]) >= 3
