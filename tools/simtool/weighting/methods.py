"""The weightings by name.

A new one is one module here with one `Method`, and one line in `METHODS`: `--weighting NAME` then
takes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from simtool.weighting.base import Method
from simtool.weighting.eq1 import CODE, PRINTED
from simtool.weighting.signed import SIGNED
from simtool.weighting.softmax import SOFTMAX
from simtool.weighting.uniform import UNIFORM

METHODS: Final[Mapping[str, Method]] = MappingProxyType(
    {
        "paper-printed": PRINTED,
        "paper-code": CODE,
        "uniform": UNIFORM,
        "softmax": SOFTMAX,
        "signed": SIGNED,
    }
)
