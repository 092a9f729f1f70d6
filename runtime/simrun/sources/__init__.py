"""Where frames come from: pictures, clips, cameras, streams, standard input, the demo scene.

`registry` finds the source behind a name; each kind has a module of its own.
"""

from simrun.sources.base import BadFrame, Counted, Frame, Source
from simrun.sources.options import SourceOptions, parse_raw, parse_size

__all__ = [
    "BadFrame",
    "Counted",
    "Frame",
    "Source",
    "SourceOptions",
    "parse_raw",
    "parse_size",
]
