"""simrun: run a similarnet model on pictures, videos and cameras.

>>> from simrun import Localizer
>>> result = Localizer.load()(frame)  # (H, W) grey or (H, W, 3) BGR, uint8
>>> [(region.quad, region.label) for region in result.regions]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simrun.pipeline import Localizer
    from simrun.result import Region, Result

__all__ = ["Localizer", "Region", "Result", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Import the public names on first use: `--help` needs neither OpenCV nor ONNX Runtime."""
    if name == "Localizer":
        from simrun.pipeline import Localizer

        return Localizer
    if name in ("Region", "Result"):
        from simrun import result

        return getattr(result, name)
    raise AttributeError(f"module 'simrun' has no attribute {name!r}")
