"""The part of the count that runs inside the emulated Python: calls with a mark after each stage.

Started by `count.py` with a job as JSON in its only argument; the photos are of one size:

    {"photos": [PATH, ...],
     "calls": [{"bundle": FOLDER, "side": 640, "read": false} |
               {"network": FILE, "side": 640, "options": {...}}]}

For every call and photo, in order: one mark at the start and one after each of the three stages,
and one after the reading, which is left out unless "read" is true.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2

from benchmarks.accuracy.peers.db import DbOptions
from benchmarks.accuracy.peers.detector import Card, Frame
from benchmarks.accuracy.peers.ppocr import PpOcr, open_session
from simrun import Localizer
from simrun.bundle.load import load_bundle
from simrun.images.read import read_image


class Marker:
    """Makes the system call that the counting plugin takes for a mark, while it is on."""

    def __init__(self) -> None:
        """Start switched off: a session's first call plans its memory and is not counted."""
        self.on = False

    def __call__(self) -> float:
        """Mark; the value lets it stand in for a clock."""
        if self.on:
            os.getppid()
        return 0.0


def main() -> None:
    """Run the job."""
    job = json.loads(sys.argv[1])
    cv2.setNumThreads(1)
    frames = [read_image(path) for path in job["photos"]]
    for spec in job["calls"]:
        marker = Marker()
        call = bundle_call(spec, marker) if "bundle" in spec else network_call(spec, marker)
        call(frames[0])
        marker.on = True
        for frame in frames:
            call(frame)


def bundle_call(spec: Mapping[str, Any], marker: Marker) -> Callable[[Frame], None]:
    """One of our models: it asks its clock at the start and after each of its four stages."""
    bundle = load_bundle(spec["bundle"])
    read = bool(spec.get("read"))
    localizer = Localizer(bundle, side=spec["side"], classify=read, clock=marker)

    def call(frame: Frame) -> None:
        localizer(frame)

    return call


def network_call(spec: Mapping[str, Any], marker: Marker) -> Callable[[Frame], None]:
    """A PP-OCR detector, with as many marks as one of ours makes."""
    session = open_session(Path(spec["network"]).read_bytes())
    options = DbOptions(**spec["options"])
    detector = PpOcr(Card("", spec["side"]), options, session)

    def call(frame: Frame) -> None:
        marker()
        batch = detector.prepare(frame)
        marker()
        values = detector.run(batch)
        marker()
        detector.to_quads(values, frame)
        marker()
        marker()

    return call


if __name__ == "__main__":
    main()
