"""The version, in a room of its own: who names it imports nothing else."""

# The build reads this line, and knows no annotation but `str`.
__version__ = "0.1.0"
