"""The version, in a room of its own: who names it imports nothing else."""

from typing import Final

__version__: Final = "0.1.0"
