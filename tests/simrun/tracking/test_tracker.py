"""Regions keep their numbers, and come and go as `hold` says."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simrun.errors import UsageError
from simrun.result import Latency, Region, Result
from simrun.tracking.tracker import Tracker

RATE = 30.0


def region(x: float, y: float, width: float = 60, height: float = 20, **fields: str) -> Region:
    x1, y1 = x + width, y + height
    return Region(((x, y), (x1, y), (x1, y1), (x, y1)), 0.5, **fields)


def result(index: int, *regions: Region, time_s: float | None = None, width: int = 640) -> Result:
    time_s = index / RATE if time_s is None else time_s
    return Result(width, 480, regions, Latency(), frame=index, time_s=time_s)


def numbers(tracked: Result) -> list[int | None]:
    return [region.track for region in tracked.regions]


def seen_in(pattern: str, hold: int) -> str:
    """What comes of one region seen in the frames marked `x`: shown `x`, held `h`, neither `.`."""
    tracker, out = Tracker(hold), ""
    for index, mark in enumerate(pattern):
        regions = tracker(result(index, *[region(100, 100)] * (mark == "x"))).regions
        assert len(regions) <= 1
        out += "." if not regions else "h" if regions[0].held else "x"
    return out


@pytest.mark.parametrize(
    ("hold", "seen", "reported"),
    [
        (0, "xx.x..x", "xx.x..x"),
        (1, "x.xx...x", "xhxxh..x"),
        (2, "xxx....", ".xxhh.."),
        (2, "x.x.x", "..xhx"),
        (2, "x..x..x", "......."),
        (2, "xx...x.xx", ".xhh...xx"),
        (3, "xxxxx.....", "..xxxhhh.."),
        (3, "x.x.x.x", "....xhx"),
        (3, "x..x..x", "......."),
        (3, "xx.x...x", "...xhhhx"),
        (3, "xxx....xxx", "..xhhh...x"),
    ],
)
def test_hold_table(hold: int, seen: str, reported: str) -> None:
    assert seen_in(seen, hold) == reported


@given(st.text("x.", max_size=60), st.integers(0, 6))
def test_hold_rules(seen: str, hold: int) -> None:
    reported = seen_in(seen, hold)
    missed = hold + 1
    for index, mark in enumerate(seen):
        missed = 0 if mark == "x" else missed + 1
        window = seen[max(0, index - max(0, 2 * hold - 2)) : index + 1]
        steady = window.count("x") >= max(1, hold)
        was = index > 0 and reported[index - 1] != "."
        shown = missed <= hold and (was or steady)
        assert reported[index] == (mark.replace(".", "h") if shown else ".")


def test_a_held_region_is_the_last_one_seen_and_says_so() -> None:
    tracker = Tracker(hold=2)
    tracker(result(0, region(90, 100)))
    tracker(result(1, region(100, 100, label="42")))
    (held,) = tracker(result(2)).regions
    assert held.box == (100, 100, 160, 120)
    assert (held.label, held.score, held.track, held.held) == ("42", 0.5, 0, True)
    assert held.to_json()["held"] is True
    (seen,) = tracker(result(3, region(101, 100))).regions
    assert (seen.track, seen.held) == (0, False)
    assert "held" not in seen.to_json()


def test_seen_regions_keep_their_order_and_everything_else() -> None:
    tracker = Tracker()
    first, second = region(0, 0, label="a", channel="c"), region(200, 0, label="b")
    given_result = result(0, first, second)
    tracked = tracker(given_result)
    assert [r.label for r in tracked.regions] == ["a", "b"]
    assert [r.quad for r in tracked.regions] == [first.quad, second.quad]
    assert tracked.regions[0].channel == "c"
    assert (tracked.frame, tracked.time_s, tracked.width) == (0, 0.0, 640)
    assert numbers(tracked) == [0, 1]
    assert numbers(tracker(result(1, second, first))) == [1, 0]
    assert numbers(given_result) == [None, None]


def test_jitter_does_not_matter() -> None:
    tracker = Tracker()
    for index in range(60):
        dx, dy = 6 * math.sin(index * 12.9), 4 * math.sin(index * 78.2)
        above, below = region(100 + dx, 100 + dy), region(100 - dx, 130 - dy)
        assert numbers(tracker(result(index, above, below))) == [0, 1]


@pytest.mark.parametrize("step", [1, 2, 5])
def test_regions_that_cross_keep_their_numbers(step: int) -> None:
    """One goes right and one left, 300 pixels a second each, through one another."""
    tracker = Tracker()
    for index in range(0, 60, step):
        there, back = region(10 * index, 100), region(600 - 10 * index, 104)
        assert numbers(tracker(result(index, there, back))) == [0, 1]


@pytest.mark.parametrize("rate", [5.0, 10.0, 30.0])
def test_a_small_fast_region_is_followed_at_any_rate(rate: float) -> None:
    """It moves by up to three times its size from frame to frame."""
    tracker = Tracker()
    for index in range(10):
        small = region(20 + 300 / rate * index, 100, width=20)
        assert numbers(tracker(result(index, small, time_s=index / rate))) == [0]


def test_frames_that_were_skipped_count_as_time() -> None:
    tracker = Tracker()
    for index in (0, 1, 2, 3, 12, 13, 27, 28):
        assert numbers(tracker(result(index, region(10 + 8 * index, 100)))) == [0]


def test_a_camera_of_a_frame_a_minute_keeps_its_numbers() -> None:
    tracker = Tracker()
    for index, regions in enumerate([1, 1, 0, 1, 1]):
        tracked = tracker(result(index, *[region(100, 100)] * regions, time_s=60.0 * index))
        assert numbers(tracked) == [0] * regions


def test_a_region_back_within_a_second_has_its_number_and_a_new_one_after() -> None:
    tracker = Tracker()
    assert numbers(tracker(result(0, region(100, 100)))) == [0]
    for index in range(1, 30):
        tracker(result(index))
    assert numbers(tracker(result(30, region(100, 100)))) == [0]
    for index in range(31, 62):
        tracker(result(index))
    assert numbers(tracker(result(62, region(100, 100)))) == [1]


def test_another_region_is_not_taken_for_a_lost_one() -> None:
    """The lost one stood still for long: it is not looked for two heights away."""
    tracker = Tracker()
    for index in range(5):
        tracker(result(index, region(100, 100)))
    assert numbers(tracker(result(8, region(100, 140)))) == [1]
    assert numbers(tracker(result(9, region(100, 100), region(100, 140)))) == [0, 1]


def test_no_time_makes_a_region_far_off_the_same() -> None:
    tracker = Tracker()
    tracker(result(0, region(100, 100)))
    assert numbers(tracker(result(1, region(100, 200), time_s=10.0))) == [1]


def test_a_lost_region_moves_on_for_half_a_second_and_waits_there() -> None:
    tracker = Tracker()
    for index in range(10):
        tracker(result(index, region(10 * index, 100)))
    # 0.9 s after it was last seen at 90, it is where half a second at 300 pixels a second led.
    assert numbers(tracker(result(36, region(240, 100)))) == [0]


@pytest.mark.parametrize(("step", "number"), [(20, 0), (40, 1)])
def test_how_far_a_new_region_may_go_at_once(step: int, number: int) -> None:
    """Half of its height, 10 pixels, and half of the frame's diagonal, 800, a second."""
    tracker = Tracker()
    tracker(result(0, region(100, 100)))
    assert numbers(tracker(result(1, region(100, 100 + step)))) == [number]


@pytest.mark.parametrize(("step", "number"), [(75, 0), (90, 1)])
def test_no_time_takes_a_region_further_than_four_heights(step: int, number: int) -> None:
    tracker = Tracker()
    tracker(result(0, region(100, 100)))
    assert numbers(tracker(result(27, region(100, 100 + step)))) == [number]


def test_growth_is_not_motion() -> None:
    """Half of a line is gone, then all of it: what comes back is where it was."""
    tracker = Tracker()
    tracker(result(0, region(100, 100, width=200)))
    assert numbers(tracker(result(1, region(100, 100, width=90)))) == [0]
    assert numbers(tracker(result(12, region(100, 100, width=90)))) == [0]


def test_a_line_that_writes_itself_keeps_its_number() -> None:
    tracker = Tracker()
    for index in range(20):
        assert numbers(tracker(result(index, region(100, 100, width=30 + 15 * index)))) == [0]


def test_words_are_held_beside_the_line_that_they_became() -> None:
    """A line that falls apart and joins again does not flicker: both forms stay."""
    tracker = Tracker(hold=2)
    line, words = region(100, 100, 130), (region(100, 100, 80), region(190, 100, 40))
    out = [tracker(result(i, *(words if i % 2 else (line,)))).regions for i in range(12)]
    assert [len(regions) for regions in out] == [0, 1, 1] + [2] * 9
    assert [sum(r.held for r in regions) for regions in out[3:]] == [0, 1] * 4 + [0]


def test_another_size_of_frame_ends_all_tracks_and_no_number_comes_again() -> None:
    tracker = Tracker(hold=1)
    assert numbers(tracker(result(0, region(100, 100)))) == [0]
    assert numbers(tracker(result(1, region(100, 100), width=800))) == [1]
    assert numbers(tracker(result(2, region(100, 100)))) == [2]


@pytest.mark.parametrize(
    "times", [(0.0,) * 40, tuple(-float(i) for i in range(40)), (0.0, 1e-40) * 20]
)
def test_a_source_without_time_counts_frames(times: Sequence[float]) -> None:
    tracker = Tracker()
    for index, time_s in enumerate(times[:3]):
        assert numbers(tracker(result(index, region(100, 100), time_s=time_s))) == [0]
    for index, time_s in enumerate(times[3:]):
        tracker(result(index, time_s=time_s))
    assert numbers(tracker(result(99, region(100, 100), time_s=times[-1]))) == [1]


@pytest.mark.parametrize(("away", "number"), [(23, 0), (27, 1)])
def test_without_time_a_second_has_25_frames(away: int, number: int) -> None:
    tracker = Tracker()
    tracker(result(0, region(100, 100), time_s=0.0))
    for index in range(away):
        tracker(result(1 + index, time_s=0.0))
    assert numbers(tracker(result(99, region(100, 100), time_s=0.0))) == [number]


def test_what_is_remembered_is_bounded() -> None:
    tracker = Tracker()
    for index in range(40):
        places = [(100 * x + 30 * (index % 3), 60 * y) for x in range(6) for y in range(8)]
        tracker(result(index, *[region(x + index % 7, y, 12, 6) for x, y in places]))
        assert len(tracker._tracks) <= 48 + 64


@pytest.mark.parametrize("hold", [-1, 1001])
def test_a_hold_out_of_range_is_refused(hold: int) -> None:
    with pytest.raises(UsageError, match=f"--hold is {hold}; it must be 0 to 1000 frames"):
        Tracker(hold)


@pytest.mark.parametrize("hold", [0, 1000])
def test_the_ends_of_the_range_of_hold_are_taken(hold: int) -> None:
    assert len(Tracker(hold)(result(0, region(100, 100))).regions) == (hold == 0)


places = st.tuples(st.integers(0, 600), st.integers(0, 440), st.integers(0, 90), st.integers(0, 40))
streams = st.lists(
    st.tuples(
        st.lists(places, max_size=8), st.floats(-1, 3, width=32), st.sampled_from([640, 320])
    ),
    max_size=25,
)


@given(streams, st.integers(0, 4))
def test_numbers_are_unique_never_come_again_and_results_are_the_same(
    stream: list[tuple[list[tuple[int, int, int, int]], float, int]], hold: int
) -> None:
    first, second = Tracker(hold), Tracker(hold)
    last_size, ended, alive = 640, set[int](), set[int]()
    for index, (boxes, time_s, width) in enumerate(stream):
        given_result = result(index, *[region(*b) for b in boxes], time_s=time_s, width=width)
        tracked = first(given_result)
        assert tracked == second(given_result)
        found = {r.track for r in tracked.regions if r.track is not None}
        assert len(found) == len(tracked.regions)
        if width != last_size:
            ended |= alive
            last_size = width
        assert not found & ended
        alive |= found
        seen = [r for r in tracked.regions if not r.held]
        assert {r.quad for r in seen} <= {r.quad for r in given_result.regions}
        if hold == 0:
            assert len(seen) == len(boxes) == len(tracked.regions)


def test_labels_are_the_frames_own_or_what_the_track_comes_to() -> None:
    readings = [("12", 0.95), ("12", 0.95), ("72", 0.8), ("12", 0.95)]
    box = ((10.0, 10.0), (60.0, 10.0), (60.0, 30.0), (10.0, 30.0))
    for combine, expected in ((False, ["12", "12", "72", "12"]), (True, ["12"] * 4)):
        tracker, shown = Tracker(combine=combine), []
        for index, (label, score) in enumerate(readings):
            region = Region(box, 0.9, label=label, label_score=score)
            result = Result(320, 240, (region,), Latency(), time_s=index / 30)
            (seen,) = tracker(result).regions
            shown.append(seen.label)
        assert shown == expected


def test_a_label_is_combined_over_its_own_track_alone() -> None:
    tracker = Tracker(combine=True)
    texts = {10.0: "LEFT", 200.0: "RIGHT"}
    for index in range(4):
        regions = tuple(
            Region(((x, 10.0), (x + 50, 10.0), (x + 50, 30.0), (x, 30.0)), 0.9, text, 0.9)
            for x, text in texts.items()
        )
        seen = tracker(Result(320, 240, regions, Latency(), time_s=index / 30)).regions
        assert [region.label for region in seen] == ["LEFT", "RIGHT"]
