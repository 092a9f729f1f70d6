"""The texts that a reading may be: a finite automaton, from a list of words or a pattern.

Each state stands for one character that was read. A text is in the language if there is a way from
a first state to a last one that reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simrun.errors import UsageError, brief

MAX_EDGES: Final = 50_000
"""More would take longer for one region than a frame has time for."""
_MOST_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class Language:
    """An automaton of S states and E edges."""

    outputs: NDArray[np.intp]
    """(S,) which of the reader's outputs stands for the character of each state."""
    first: NDArray[np.bool_]
    """(S,) whether a text may begin there."""
    last: NDArray[np.bool_]
    """(S,) whether a text may end there."""
    sources: NDArray[np.intp]
    """(E,) the states that edges come from."""
    starts: NDArray[np.intp]
    """(S + 1,) the edges into state s are those from `starts[s]` up to `starts[s + 1]`."""
    twins: NDArray[np.bool_]
    """(E,) whether both ends of an edge have the same character: a blank must stand between."""
    names: Mapping[str, str] = field(default_factory=dict)
    """How a text is written, where that is not as it was read."""

    @classmethod
    def of(
        cls,
        outputs: Sequence[int],
        first: set[int],
        last: set[int],
        follows: Sequence[set[int]],
        names: Mapping[str, str],
    ) -> Language:
        """From the states that may follow each state."""
        sources: list[list[int]] = [[] for _ in outputs]
        for state, followers in enumerate(follows):
            for follower in followers:
                sources[follower].append(state)
        states, said = np.arange(len(outputs)), np.array(outputs, np.intp)
        counts = np.array([len(some) for some in sources], np.intp)
        flat = np.array([state for some in sources for state in some], np.intp)
        return cls(
            outputs=said,
            first=np.isin(states, list(first)),
            last=np.isin(states, list(last)),
            sources=flat,
            starts=np.concatenate([[0], np.cumsum(counts)]),
            twins=said[flat] == np.repeat(said, counts),
            names=names,
        )


def fold(letter: str, characters: Sequence[str]) -> str | None:
    """The character that a reader reads for a letter: in capitals where it knows no others."""
    if letter and letter in characters:
        return letter
    upper = letter.upper()
    return upper if upper and upper in characters else None


def language_of_words(words: Sequence[str], characters: Sequence[str]) -> Language:
    """The language of a list of words. Signs in them that the reader does not know are passed over.

    Args:
        words: as a label is to be written.
        characters: what the reader's outputs stand for; the blank for an empty string.

    Raises:
        UsageError: there are none, too many, or one has no character that the reader knows.
    """
    outputs: list[int] = []
    follows: list[set[int]] = []
    children: dict[tuple[int, str], int] = {}
    first, last = set[int](), set[int]()
    names: dict[str, str] = {}
    for word in words:
        state, read = -1, _folded(word, characters)
        for letter in read:
            if (state, letter) not in children:
                children[state, letter] = len(outputs)
                (first if state < 0 else follows[state]).add(len(outputs))
                outputs.append(characters.index(letter))
                follows.append(set())
            state = children[state, letter]
        last.add(state)
        names.setdefault(read, word)
        if len(outputs) > MAX_EDGES:
            raise UsageError(f"--words has more than {MAX_EDGES} characters; give fewer words")
    if not words:
        raise UsageError("--words has no words; write one a line")
    return Language.of(outputs, first, last, follows, names)


def read_words(path: Path) -> list[str]:
    """The words in a file, one a line.

    Raises:
        UsageError: it cannot be read, is not UTF-8 text, or is too large.
    """
    try:
        if not path.is_file():
            raise UsageError(f"--words is {path}; there is no such file")
        if path.stat().st_size > _MOST_BYTES:
            raise UsageError(f"--words is {path}; it is larger than 1 MiB, which no list here is")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"--words is {path}; it is not UTF-8 text, see byte {error.start}"
        ) from error
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"--words is {path}; it cannot be read: {why}") from error
    words = [line.strip() for line in text.splitlines() if line.strip()]
    if not words:
        raise UsageError(f"--words is {path}, which has no words; write one a line")
    return words


def _folded(word: str, characters: Sequence[str]) -> str:
    known = [fold(letter, characters) for letter in word]
    read = " ".join("".join(letter for letter in known if letter).split())
    if not read:
        raise UsageError(f"--words has {brief(word)}, of which the model reads no character")
    return read
