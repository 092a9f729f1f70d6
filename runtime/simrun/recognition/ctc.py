"""From a reader's logits to text: connectionist temporal classification (CTC), its decoding.

The outputs say at each step along the strip which character is there, or none, the blank. A text is
what is left when repetitions and then blanks are dropped: `22_2` is `22`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simrun.recognition.language import Language
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


def decode_within(logits: Floats, characters: Sequence[str], language: Language) -> Reading:
    """The likeliest path whose text is in a language.

    Args:
        logits: (T, C).
        characters: what the C outputs stand for; the blank for an empty string.
        language: the texts that may be read.

    Returns:
        The text, as the language writes it, and the geometric mean over its characters of each
        one's highest probability, among all characters, not only those that the language has. Empty
        where the strip has too few steps for any of the texts.
    """
    logs = logits - logits.max(axis=1, keepdims=True)
    logs -= np.log(np.exp(logs).sum(axis=1, keepdims=True))
    blanks = logs[:, list(characters).index("")]
    lattice = _forward(logs[:, language.outputs], blanks, language)
    runs = lattice.best_path(language)
    highest = [logs[start:stop, language.outputs[state]].max() for state, start, stop in runs]
    letters = [characters[language.outputs[state]] for state, _, _ in runs]
    reading = assemble(letters, np.exp(highest).tolist())
    return Reading(language.names.get(reading.text, reading.text), reading.probability)


@dataclass(frozen=True)
class _Lattice:
    """Viterbi's scores: logarithms of the probability of the best path to a place after t steps."""

    silent: NDArray[np.float64]
    """(T + 1,) of the path that has said nothing."""
    said: NDArray[np.float64]
    """(T + 1, S) of paths whose last step says the character of a state."""
    rested: NDArray[np.float64]
    """(T + 1, S) of paths whose last step is a blank behind that character."""

    def best_path(self, language: Language) -> list[tuple[int, int, int]]:
        """The states of the best path to a last state, each with the steps that say it.

        Returns:
            A state, its first step and the one behind its last step; nothing where no path is long
            enough.
        """
        ends = np.where(language.last, np.maximum(self.said[-1], self.rested[-1]), -np.inf)
        state = int(ends.argmax())
        if ends[state] == -np.inf:
            return []
        t, runs = len(self.said) - 1, []
        resting = bool(self.rested[t, state] > self.said[t, state])
        while state >= 0:
            while resting:
                t -= 1
                resting = bool(self.rested[t, state] > self.said[t, state])
            stop, entered = t, False
            while not entered:
                t -= 1
                before, score, resting = self._entry(t, state, language)
                entered = score > self.said[t, state]
            runs.append((state, t, stop))
            state = before
        return runs[::-1]

    def _entry(self, t: int, state: int, language: Language) -> tuple[int, float, bool]:
        """The best way into a state after t steps: from which one, how good, whether from a blank.

        The state is -1 where the text begins.
        """
        before, best, resting = (
            -1,
            float(self.silent[t] if language.first[state] else -np.inf),
            False,
        )
        edges = slice(language.starts[state], language.starts[state + 1])
        sources = language.sources[edges]
        if len(sources):
            rested = self.rested[t, sources]
            said = np.where(language.twins[edges], -np.inf, self.said[t, sources])
            scores = np.maximum(rested, said)
            most = int(scores.argmax())
            if scores[most] > best:
                before, best = int(sources[most]), float(scores[most])
                resting = bool(rested[most] > said[most])
        return before, best, resting


def _forward(emitted: Floats, blanks: Floats, language: Language) -> _Lattice:
    """The scores of all places, step by step.

    Args:
        emitted: (T, S) logarithms of the probability of each state's character.
        blanks: (T,) the same of the blank.
        language: the texts that may be read.
    """
    steps, states = emitted.shape
    silent = np.concatenate([[0.0], np.cumsum(blanks, dtype=np.float64)])
    said = np.full((steps + 1, states), -np.inf)
    rested = said.copy()
    inner = np.flatnonzero(np.diff(language.starts))
    starts = language.starts[inner]
    for t in range(steps):
        entered = np.where(language.first, silent[t], -np.inf)
        if len(inner):
            sources = language.sources
            before = np.where(language.twins, -np.inf, said[t, sources])
            np.maximum(before, rested[t, sources], out=before)
            entered[inner] = np.maximum(entered[inner], np.maximum.reduceat(before, starts))
        said[t + 1] = np.maximum(said[t], entered) + emitted[t]
        rested[t + 1] = np.maximum(said[t], rested[t]) + blanks[t]
    return _Lattice(silent, said, rested)
