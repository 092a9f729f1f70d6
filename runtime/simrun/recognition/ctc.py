"""From a reader's logits to text: connectionist temporal classification (CTC), its decoding.

The outputs say at each step along the strip which character is there, or none, the blank. A text is
what is left when repetitions and then blanks are dropped: `22_2` is `22`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simrun.result import Reading

Floats = NDArray[np.float32]


def decode_greedy(logits: Floats, characters: Sequence[str]) -> Reading:
    """The likeliest output at each step, made into a text.

    Args:
        logits: (T, C).
        characters: what the C outputs stand for; the blank for an empty string.

    Returns:
        The text, single spaces between its words and none around it, and the geometric mean over
        its characters, spaces left out, of each one's highest probability; an empty text has 0.
    """
    best = logits.argmax(axis=1).tolist()
    starts = [t for t, output in enumerate(best) if t == 0 or output != best[t - 1]]
    runs = [characters[best[t]] for t in starts]
    if not any(letter.strip() for letter in runs):
        return Reading("", 0.0)
    highest = np.maximum.reduceat(_greatest_probabilities(logits), starts).tolist()
    return assemble(runs, highest)


def _greatest_probabilities(logits: Floats) -> Floats:
    """(T,) the probability of the likeliest output at each step."""
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(1 / odds.sum(axis=1), np.float32)


def assemble(runs: Sequence[str], highest: Sequence[float]) -> Reading:
    """A reading from the characters of a path, blanks as empty strings, and their probabilities."""
    sure = [
        math.log(max(p, 1e-12)) for letter, p in zip(runs, highest, strict=True) if letter.strip()
    ]
    if not sure:
        return Reading("", 0.0)
    return Reading(" ".join("".join(runs).split()), math.exp(math.fsum(sure) / len(sure)))
