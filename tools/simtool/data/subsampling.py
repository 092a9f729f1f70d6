"""Fewer of many, evenly spread."""

from __future__ import annotations


def subsampling_step(count: int, most: int) -> int:
    """The least step by which at most `most` of `count` things are kept, `things[::step]`; >= 1."""
    return max(1, -(-count // most))
