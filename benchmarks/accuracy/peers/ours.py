"""This project's models, through the runtime as a user calls it."""

from __future__ import annotations

from dataclasses import asdict

from benchmarks.accuracy.peers.detector import Card, Frame, ModelFile, Quads
from benchmarks.harness.console import BenchmarkError
from simrun import Localizer


class Ours:
    """A bundle at one working side; regions are found, not read."""

    def __init__(self, bundle: str, side: int | None) -> None:
        """Load a bundle by name or folder; without a side at the model's own."""
        self._localizer = Localizer.load(bundle, side=side, threads=1, classify=False)
        loaded = self._localizer.bundle
        self.card = Card(
            # The folder's name: drafts of one model differ in nothing else.
            family=loaded.path.name,
            side=self._localizer.side,
            settings=asdict(self._localizer.region_options),
            model=ModelFile.of(loaded.meta.name, loaded.localizer),
            ours=True,
        )

    def detect(self, frame: Frame) -> Quads:
        """Regions of one frame."""
        return [region.quad for region in self._localizer(frame).regions]


def parse_ours(text: str) -> list[tuple[str, int | None]]:
    """`NAME`, or `NAME:640,320` with the sides wanted, as (bundle, side) pairs.

    Raises:
        BenchmarkError: a side is not a whole number.
    """
    bundle, colon, sides = text.rpartition(":")
    if not colon:
        return [(text, None)]
    try:
        return [(bundle, int(side)) for side in sides.split(",")]
    except ValueError as error:
        raise BenchmarkError(f"'{text}' is not NAME or NAME:640,320") from error
