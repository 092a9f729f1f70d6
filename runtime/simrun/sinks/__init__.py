"""Where results go.

A new kind of sink is one module here with one class that fits `Sink`, and one line where the
command line builds its sinks.
"""

from simrun.sinks.base import Sink, StreamInfo

__all__ = ["Sink", "StreamInfo"]
