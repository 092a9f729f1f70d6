"""simrun: run a similarnet model on pictures, videos and cameras.

>>> from simrun import Localizer
>>> result = Localizer.load()(frame)  # (H, W) grey or (H, W, 3) BGR, uint8
>>> [(region.quad, region.label) for region in result.regions]
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from simrun.version import __version__

if TYPE_CHECKING:
    from simrun.localizer import Localizer
    from simrun.result import Reading, Region, Result

__all__ = ["Localizer", "Reading", "Region", "Result", "__version__"]

# ONNX Runtime from 1.32 has telemetry in its Linux builds: it numbers the computer in ~/.cache and
# starts a thread to report with, as soon as it is imported. It must be told here, before that.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def __getattr__(name: str) -> object:
    """Import the public names on first use: `--help` needs neither OpenCV nor ONNX Runtime."""
    if name == "Localizer":
        from simrun.localizer import Localizer

        return Localizer
    if name in ("Reading", "Region", "Result"):
        from simrun import result

        return getattr(result, name)
    raise AttributeError(f"module 'simrun' has no attribute {name!r}")
