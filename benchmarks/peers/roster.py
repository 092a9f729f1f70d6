"""Which detectors take part, at which sides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.peers.classical import Gradient, GradientOptions, Mser
from benchmarks.peers.detector import Detector, MissingPeerError
from benchmarks.peers.ours import Ours, parse_ours
from benchmarks.peers.ppocr import RECIPES, load_family
from benchmarks.peers.tesseract import Tesseract

NETWORK_SIDES = [640, 480, 320, 256, 192, 128]
GRADIENTS = {320: GradientOptions(0.2, 0.3, 2), 160: GradientOptions(0.3, 0.8, 1)}
"""Best pixel F1 on 60 dev photos at each side."""


def gather(
    ours: Sequence[str], peers: Path | None, only: str | None
) -> tuple[list[Detector], list[str]]:
    """The detectors that can be had here, and why the others cannot.

    Args:
        ours: bundles as `NAME` or `NAME:640,320`.
        peers: folder that `fetch.py` filled; None leaves its networks out.
        only: keep detectors whose name has this in it; None keeps all.
    """
    groups: list[Callable[[], Sequence[Detector]]] = [
        *(lambda pair=pair: [Ours(*pair)] for text in ours for pair in parse_ours(text)),
        *(lambda side=side: [Mser(side)] for side in (640, 320)),
        *(lambda side=side, o=o: [Gradient(side, o)] for side, o in GRADIENTS.items()),
        *(lambda side=side: [Tesseract(side)] for side in (640, 320)),
        *(lambda recipe=recipe: load_family(recipe, _given(peers), NETWORK_SIDES)
          for recipe in RECIPES),
    ]  # fmt: skip
    found: list[Detector] = []
    missing: dict[str, None] = {}
    for load in groups:
        try:
            found += load()
        except MissingPeerError as error:
            missing[str(error)] = None
    chosen = [detector for detector in found if only is None or only in detector.card.name]
    return chosen, list(missing)


def _given(peers: Path | None) -> Path:
    if peers is None:
        raise MissingPeerError("no PP-OCR networks: --peers FOLDER was not given")
    return peers
