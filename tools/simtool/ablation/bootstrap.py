"""Poisson bootstrap whose random numbers belong to the images, not to the order of reading them.

In each resample every image counts Poisson(1) times (Hanley & MacGibbon 2006; Chamandy et al.
2012), which needs no second pass over the data. The counts of image j are read from a
counter-based generator at position j, so that batches, processes and hosts do not matter.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

HALVINGS: Final = 64
"""Random halvings of the data, for the stability of a ranking."""
_BLOCK_WORDS: Final = 4
"""64-bit words that a step of Philox' counter gives."""
_BITS: Final = 16
"""Of the random number behind a count: its probabilities are right to 2^-16."""


def poisson_counts(seed: int, first: int, images: int, resamples: int) -> NDArray[np.uint8]:
    """How often images `first`, `first` + 1, ... count in each resample: (images, resamples)."""
    blocks = -(-resamples * _BITS // (64 * _BLOCK_WORDS))
    words = _words(seed, 0, first, images, blocks)
    draws = words.view(np.uint16).reshape(images, -1)[:, :resamples]
    return np.asarray(_TABLE[draws], np.uint8)


def half_members(seed: int, first: int, images: int) -> NDArray[np.uint8]:
    """Which images are in the first half of each halving: (images, HALVINGS) of 0 and 1."""
    words = _words(seed, 1, first, images, 1).reshape(images, _BLOCK_WORDS)[:, 0]
    bits = np.unpackbits(words.astype("<u8").view(np.uint8).reshape(images, 8), axis=1)
    return np.asarray(bits, np.uint8)


def _words(seed: int, stream: int, first: int, images: int, blocks: int) -> NDArray[np.uint64]:
    """`blocks` steps of the generator for each image."""
    generator = np.random.Philox(key=[seed, stream], counter=first * blocks)
    return np.asarray(generator.random_raw(images * blocks * _BLOCK_WORDS), np.uint64)


def _inverse_poisson() -> NDArray[np.uint8]:
    """The count of Poisson(1) for each value of a 16-bit random number."""
    quantiles = (np.arange(2**_BITS) + 0.5) / 2**_BITS
    cumulative = np.cumsum([math.exp(-1) / math.factorial(k) for k in range(12)])
    return np.searchsorted(cumulative, quantiles).astype(np.uint8)


_TABLE: Final = _inverse_poisson()
