"""Which detectors take part, at which sides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks.accuracy.peers.classical import Gradient, GradientOptions, Mser
from benchmarks.accuracy.peers.detector import Detector, MissingPeerError
from benchmarks.accuracy.peers.ours import Ours, parse_ours
from benchmarks.accuracy.peers.ppocr import RECIPES, Recipe, load_family
from benchmarks.accuracy.peers.tesseract import Tesseract

NETWORK_SIDES = [640, 480, 320, 256, 192, 128]
CLASSICAL_SIDES = [640, 320]
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
    loaders: list[Callable[[], Sequence[Detector]]] = [
        *(partial(_ours, text) for text in ours),
        _classical,
        _tesseract,
        *(partial(_network, recipe, peers) for recipe in RECIPES),
    ]
    found: list[Detector] = []
    missing: dict[str, None] = {}
    for load in loaders:
        try:
            found += load()
        except MissingPeerError as error:
            missing[str(error)] = None
    chosen = [detector for detector in found if only is None or only in detector.card.name]
    return chosen, list(missing)


def _ours(text: str) -> list[Detector]:
    return [Ours(bundle, side) for bundle, side in parse_ours(text)]


def _classical() -> list[Detector]:
    gradients = [Gradient(side, options) for side, options in GRADIENTS.items()]
    return [*(Mser(side) for side in CLASSICAL_SIDES), *gradients]


def _tesseract() -> list[Detector]:
    return [Tesseract(side) for side in CLASSICAL_SIDES]


def _network(recipe: Recipe, peers: Path | None) -> list[Detector]:
    if peers is None:
        raise MissingPeerError(f"no {recipe.file}: --peers FOLDER was not given")
    return [*load_family(recipe, peers, NETWORK_SIDES)]
