"""What a frame gave: regions, their labels, the time it took, and the heatmap behind them."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from simrun.files import printable_name

if TYPE_CHECKING:
    # Only the names: importing them here would load numpy for `simrun --help`.
    import numpy as np
    from numpy.typing import NDArray

SCHEMA: Final = "simrun/1"


def iso_time(unix_s: float) -> str:
    """A moment in seconds since 1970 as ISO 8601 in local time, with its distance from UTC."""
    ms = int(unix_s * 1000)
    text = _iso_second(ms // 1000)
    return f"{text[:19]}.{ms % 1000:03d}{text[19:]}"


@functools.lru_cache(maxsize=2)  # a frame's and the start's: most frames share their second
def _iso_second(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, UTC).astimezone().isoformat()


Point = tuple[float, float]
Quad = tuple[Point, Point, Point, Point]
"""Four corners (x, y) in pixels of the frame as captured, clockwise from the text's top left."""


@dataclass(frozen=True)
class Reading:
    """What a region says."""

    text: str
    """Empty where nothing was read."""
    probability: float
    """How sure that is, 0..1; 0 where nothing was read."""


@dataclass(frozen=True)
class Region:
    """One line of text, or one thing, found in a frame."""

    quad: Quad
    score: float
    """Mean heatmap value inside the region, clipped to 0..1."""
    label: str | None = None
    """Characters read from left to right, or the name of a thing; None where nothing was read."""
    label_score: float | None = None
    """Probability of `label`, 0..1: mean of its characters', or that of the thing's name."""
    track: int | None = None
    """Identity over frames; None where regions are not tracked."""
    channel: str | None = None
    """Name of the heatmap channel that found it; None where the heatmap has only one."""
    held: bool = False
    """Not in this frame: the track's last region, reported for a few frames after it was lost."""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Axis-aligned hull of the quad: x0, y0, x1, y1 in pixels."""
        xs, ys = [x for x, _ in self.quad], [y for _, y in self.quad]
        return min(xs), min(ys), max(xs), max(ys)

    def to_json(self) -> dict[str, Any]:
        """The region as a JSON object, coordinates to a tenth of a pixel."""
        data: dict[str, Any] = {
            "quad": [[round(x, 1), round(y, 1)] for x, y in self.quad],
            "box": [round(v, 1) for v in self.box],
            "score": round(self.score, 4),
            "label": self.label,
            "label_score": None if self.label_score is None else round(self.label_score, 4),
            "track": self.track,
        }
        if self.channel is not None:
            data["channel"] = self.channel
        if self.held:
            data["held"] = True
        return data


@dataclass(frozen=True)
class Latency:
    """Milliseconds spent on one frame, by stage."""

    capture: float = 0.0
    """Reading and decoding the frame; for a live source, its age when work on it began."""
    preprocess: float = 0.0
    infer: float = 0.0
    regions: float = 0.0
    classify: float = 0.0
    total: float = 0.0

    def after_capture(self, seconds: float) -> Latency:
        """The same with a capture that took `seconds`, which the total includes."""
        capture_ms = seconds * 1000
        return replace(self, capture=capture_ms, total=self.total + capture_ms)

    def to_json(self) -> dict[str, float]:
        """The stages as a JSON object, to a microsecond."""
        return {name: round(value, 3) for name, value in vars(self).items()}


STAGES: Final = tuple(stage.name for stage in fields(Latency))
"""In the order in which a frame goes through them; the last one is their sum."""


@dataclass(frozen=True)
class Heatmap:
    """Text likelihood on a coarse grid laid over the frame."""

    values: NDArray[np.float32]
    """(K, h, w); K = 1, or one channel per class."""
    pitch: float
    """Frame pixels from one cell to the next, on both axes."""
    origin: float
    """Frame coordinate of the centre of cell 0, in pixels, on both axes."""

    def to_frame(self, cells: NDArray[np.floating]) -> NDArray[np.float64]:
        """Frame pixels of points given in cells, (..., 2) as (x, y)."""
        return cells.astype("float64", copy=False) * self.pitch + self.origin


@dataclass(frozen=True)
class Result:
    """Everything that one frame gave."""

    width: int
    height: int
    regions: tuple[Region, ...]
    latency_ms: Latency
    frame: int = 0
    file: str | None = None
    time_s: float = 0.0
    """Seconds since the start of the source."""
    taken_s: float | None = None
    """When the frame was taken, or read from a file, in seconds since 1970; None if unknown."""
    heatmap: Heatmap | None = field(default=None, repr=False, compare=False)
    """The map behind the regions, for overlays; not part of the JSON."""

    def to_json(self) -> dict[str, Any]:
        """The result as one JSON object: a line of `--jsonl`."""
        return {
            "frame": self.frame,
            "file": None if self.file is None else printable_name(self.file),
            "time": None if self.taken_s is None else iso_time(self.taken_s),
            "time_s": round(self.time_s, 4),
            "width": self.width,
            "height": self.height,
            "regions": [region.to_json() for region in self.regions],
            "latency_ms": self.latency_ms.to_json(),
        }
