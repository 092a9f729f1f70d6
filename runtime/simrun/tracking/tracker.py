"""Regions that keep their identity over frames, and do not flicker.

A track is one region of text followed through the frames. It expects its region where it was last
seen, moved on by its velocity, and takes what `simrun.tracking.association` pairs with that place.
A region
that no track takes begins a new one. A track that lost its region is remembered for a second, or
for a few frames where they come slower, and has its old number when the region comes back.

With `hold` N a track is reported from the moment when it was seen in N of the last 2N - 1 frames,
and until it was lost for more than N. In the frames between, its last region is reported again as
it was, with `held` set: nothing is there to be cut out or measured. Words that have just become a
line are held beside it, which flickers less than to let each form drive out the other. Frames are
those that the tracker was given: a live source may have skipped others, and the time between two
counts as it is.

The labels are those of the frame itself, or, where a reader says how sure it is of each, what the
track's last readings come to: see `simrun.tracking.consensus`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simrun.errors import UsageError
from simrun.result import Region, Result
from simrun.tracking.association import Shapes, match
from simrun.tracking.consensus import Consensus
from simrun.types import Floats

MAX_HOLD: Final = 1000

_MEMORY_S: Final = 1.0
_MEMORY_FRAMES: Final = 5
"""A lost track is forgotten once both this time and this number of frames have passed."""
_MAX_LOST: Final = 64
"""Lost tracks remembered at most, the latest seen: foliage must not fill the memory."""
_MIN_FRAME_S: Final = 0.001
_FRAME_S: Final = 1 / 25
"""A source whose time advances by less than the one from frame to frame, as a folder of pictures
does, counts as one that takes the other."""

_GAIN: Final = 0.5
"""Weight of the newest displacement in a track's velocity."""
_COAST_S: Final = 0.5
"""A lost track moves on with its velocity for this long."""
_STEADY: Final = 1.25
"""A region that changes its length by more grew or lost a part: its centre tells no velocity."""

_REACH_HEIGHTS: Final = 0.5
_MAX_REACH_HEIGHTS: Final = 4.0
"""How far from the expected place a region may be, in heights: at once, and after any time."""
_NEW_SPEED: Final = 0.5
_OLD_SPEED: Final = 0.1
"""What is added to that reach with time, in diagonals of the frame a second: for a track of
unknown motion, and for one seen often enough to know it."""
_KNOWN_AFTER: Final = 2
"""Displacements after which a track's motion counts as known."""


class Tracker:
    """Gives regions their track numbers, frame by frame; one tracker, one stream.

    Numbers count up from 0 and are never used again, not even after the frame changed its size,
    which ends all tracks. The same results in give the same results out.
    """

    def __init__(self, hold: int = 0, *, combine: bool = False) -> None:
        """Start without tracks.

        Args:
            hold: frames before a region is reported and after it is lost; 0 reports what is seen.
            combine: a region's label comes from its track's last readings, by their probabilities;
                else it is the frame's own.

        Raises:
            UsageError: `hold` is out of range.
        """
        if not 0 <= hold <= MAX_HOLD:
            raise UsageError(f"--hold is {hold}; it must be 0 to {MAX_HOLD} frames")
        self._hold = hold
        self._combine = combine
        self._tracks: list[_Track] = []
        self._next = 0
        self._size = (0, 0)
        self._time_s: float | None = None
        self._now_s = 0.0

    def __call__(self, result: Result) -> Result:
        """The same result with its regions numbered, unsteady ones left out, lost ones held.

        Args:
            result: of the next frame; its `time_s` tells how long ago the last one was.

        Returns:
            What is seen, in its old order, then what is held, by number.
        """
        self._tick(result)
        seen = self._follow(result.regions)
        for track in self._tracks:
            track.step(self._now_s, self._hold)
        reported = [replace(t.region, track=t.number) for t in seen if t.shown]
        held = [
            replace(t.region, track=t.number, held=True)
            for t in self._tracks
            if t.shown and t.missed
        ]
        self._forget()
        return replace(result, regions=(*reported, *held))

    def _tick(self, result: Result) -> None:
        """Advance the clock by what the source says, or by a little."""
        if (result.width, result.height) != self._size:
            self._size = (result.width, result.height)
            self._tracks = []
        passed = 0.0 if self._time_s is None else result.time_s - self._time_s
        self._now_s += passed if passed >= _MIN_FRAME_S else _FRAME_S
        self._time_s = result.time_s

    def _follow(self, regions: Sequence[Region]) -> list[_Track]:
        """The track of each region, known or new."""
        tracks = {j: self._tracks[i] for i, j in self._match(regions)}
        for j, region in enumerate(regions):
            if j not in tracks:
                tracks[j] = _Track(self._next, region)
                self._next += 1
                self._tracks.append(tracks[j])
            tracks[j].see(region, self._now_s, combine=self._combine)
        return [tracks[j] for j in range(len(regions))]

    def _match(self, regions: Sequence[Region]) -> list[tuple[int, int]]:
        """Pairs of a track's and a region's index; the tracks' motions are brought up to date."""
        tracks = self._tracks
        if not tracks or not regions:
            return []
        last, seen = Shapes.of([track.region for track in tracks]), Shapes.of(regions)
        lost_s = self._now_s - np.array([track.seen_s for track in tracks])
        velocity = np.array([track.velocity for track in tracks])
        known = np.array([track.moves >= _KNOWN_AFTER for track in tracks])
        expected = last.moved(velocity * np.minimum(lost_s, _COAST_S)[:, None])
        pairs = match(expected, seen, self._reach(last, known, lost_s))
        if pairs:
            rows, columns = np.array(pairs).T
            measured = _velocity(last.pick(rows), seen.pick(columns), lost_s[rows])
            velocity[rows] += _GAIN * (measured - velocity[rows])
            for i, (vx, vy) in zip(rows.tolist(), velocity[rows].tolist(), strict=True):
                tracks[i].velocity = vx, vy
                tracks[i].moves += 1
        return pairs

    def _reach(self, last: Shapes, known: NDArray[np.bool_], lost_s: Floats) -> Floats:
        """(m,) how far from its expected place a track looks for its region, in pixels."""
        speed = np.where(known, _OLD_SPEED, _NEW_SPEED) * float(np.hypot(*self._size))
        heights = last.sizes.min(axis=1)
        reach = np.minimum(_REACH_HEIGHTS * heights + speed * lost_s, _MAX_REACH_HEIGHTS * heights)
        return np.asarray(reach, np.float64)

    def _forget(self) -> None:
        """Drop what was lost too long ago, and the oldest of what is too much to remember."""
        frames = max(self._hold, _MEMORY_FRAMES)
        kept = [
            t for t in self._tracks if t.missed <= frames or self._now_s - t.seen_s <= _MEMORY_S
        ]
        lost = sorted((t for t in kept if t.missed), key=lambda t: t.missed)
        dropped = {t.number for t in lost[_MAX_LOST:]}
        self._tracks = [t for t in kept if t.number not in dropped]


@dataclass
class _Track:
    """One region followed over the frames; `region` is as it was last seen."""

    number: int
    region: Region
    seen_s: float = 0.0
    velocity: tuple[float, float] = (0.0, 0.0)
    """Pixels a second."""
    moves: int = 0
    """Displacements that made up that velocity."""
    missed: int = 0
    """Frames since it was seen."""
    history: int = 0
    """A bit a frame, the newest lowest: whether it was seen."""
    shown: bool = False
    readings: Consensus = field(default_factory=Consensus)

    def see(self, region: Region, now_s: float, *, combine: bool) -> None:
        """The region as it is in the frame in hand."""
        if combine:
            label, score = self.readings.add(region.label, region.label_score, now_s - self.seen_s)
            region = replace(region, label=label, label_score=score)
        self.region, self.seen_s = region, now_s

    def step(self, now_s: float, hold: int) -> None:
        """Count the frame in hand, and decide whether the track is reported in it."""
        seen = self.seen_s == now_s
        self.missed = 0 if seen else self.missed + 1
        window = max(1, 2 * hold - 1)
        self.history = (self.history << 1 | seen) & ((1 << window) - 1)
        if self.missed > hold:
            self.shown = False
        elif self.history.bit_count() >= max(1, hold):
            self.shown = True


def _velocity(before: Shapes, after: Shapes, elapsed_s: Floats) -> Floats:
    """(k, 2) pixels a second from k shapes to the same ones later."""
    lengths = before.sizes[:, 0], after.sizes[:, 0]
    # A change of shape moves the centre too, but that is no motion.
    steady = np.maximum(*lengths) <= _STEADY * np.minimum(*lengths)
    step = (after.centres - before.centres) / elapsed_s[:, None]
    return np.asarray(step * steady[:, None], np.float64)
