"""A regular expression as a language: the part of them that texts on signs and meters need."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from simrun.errors import UsageError, brief, first_line
from simrun.recognition.language import MAX_EDGES, Language, fold

_MOST_POSITIONS: Final = 500
_KNOWN: Final = "characters, . [classes] \\d \\w \\s ( | ) ? * + {n} {n,m}"
_CLASSES: Final[dict[str, Callable[[str], bool]]] = {
    "d": str.isdigit,
    "w": lambda letter: letter.isalnum() or letter == "_",
    "s": str.isspace,
}
_REPEATS: Final = {"?": (0, 1), "*": (0, None), "+": (1, None)}


@dataclass(frozen=True)
class _Part:
    """A piece of the automaton: where a text can enter and leave it."""

    optional: bool
    first: frozenset[int]
    last: frozenset[int]


_EMPTY: Final = _Part(True, frozenset(), frozenset())


def language_of_pattern(pattern: str, characters: Sequence[str]) -> Language:
    """The texts that match a regular expression as a whole.

    Args:
        pattern: characters, classes, groups, alternatives and repetitions; small letters stand for
            capitals where the reader knows no others.
        characters: what the reader's outputs stand for; the blank for an empty string.

    Raises:
        UsageError: it is no regular expression, has what is not known here, or what the reader
            does not read, or is too large.
    """
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(
            f"--pattern {brief(pattern)} is no regular expression: {first_line(error)}"
        ) from error
    return _Parser(pattern, characters).language()


class _Parser:
    """Goes through a pattern that `re` accepts, and builds Glushkov's automaton on the way.

    Each character or class in the pattern is a position; a repetition builds its piece again.
    """

    def __init__(self, pattern: str, characters: Sequence[str]) -> None:
        self._pattern = pattern
        self._characters = [letter for letter in characters if letter]
        self._all = characters
        self._at = 0
        self._letters: list[frozenset[str]] = []
        self._follows: list[set[int]] = []

    def language(self) -> Language:
        """The automaton of the whole pattern: a state for each character of each position."""
        whole = self._alternatives()
        states: list[list[int]] = []
        outputs: list[int] = []
        for letters in self._letters:
            states.append(list(range(len(outputs), len(outputs) + len(letters))))
            outputs += sorted(self._all.index(letter) for letter in letters)
        sizes = [len(some) for some in states]
        edges = sum(sizes[p] * sizes[q] for p, some in enumerate(self._follows) for q in some)
        if edges > MAX_EDGES:
            raise self._error("is too large; let it repeat less")
        if not outputs:
            raise self._error("matches nothing that can be read")
        follows = [
            {state for follower in self._follows[p] for state in states[follower]}
            for p, some in enumerate(states)
            for _ in some
        ]
        first = {state for p in whole.first for state in states[p]}
        last = {state for p in whole.last for state in states[p]}
        return Language.of(outputs, first, last, follows, {})

    def _error(self, what: str) -> UsageError:
        return UsageError(f"--pattern {brief(self._pattern)} {what}")

    def _next(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _take(self) -> str:
        letter = self._next()
        self._at += 1
        return letter

    def _alternatives(self) -> _Part:
        part = self._sequence()
        while self._next() == "|":
            self._at += 1
            other = self._sequence()
            part = _Part(
                part.optional or other.optional, part.first | other.first, part.last | other.last
            )
        return part

    def _sequence(self) -> _Part:
        part = _EMPTY
        while self._next() not in ("", "|", ")"):
            part = self._join(part, self._repeated())
        return part

    def _join(self, one: _Part, other: _Part) -> _Part:
        """One piece after the other."""
        for position in one.last:
            self._follows[position] |= other.first
        return _Part(
            one.optional and other.optional,
            one.first | other.first if one.optional else one.first,
            one.last | other.last if other.optional else other.last,
        )

    def _repeated(self) -> _Part:
        """A piece and the sign of repetition behind it."""
        start = self._at
        part = self._piece()
        end = self._at
        least, most = self._count()
        after = self._at
        if self._next() in ("?", "+", "*", "{"):
            raise self._unknown(self._next())
        if (least, most) == (1, 1):
            return part
        copies = [part]
        while len(copies) < max(1, least if most is None else most):
            self._at = start
            copies.append(self._piece())
        self._at = after if after > end else end
        if most == 0:
            return _EMPTY
        if most is None:
            for position in copies[-1].last:
                self._follows[position] |= copies[-1].first
        whole = _EMPTY
        for number, copy in enumerate(copies):
            optional = copy.optional or number >= least
            whole = self._join(whole, _Part(optional, copy.first, copy.last))
        return whole

    def _count(self) -> tuple[int, int | None]:
        """How often: at least, and at most; None for any number."""
        if self._next() in _REPEATS:
            return _REPEATS[self._take()]
        counted = re.compile(r"\{(\d*)(,?)(\d*)\}").match(self._pattern, self._at)
        if counted is None or not (counted[1] or counted[3]):
            return 1, 1
        self._at = counted.end()
        least = int(counted[1] or 0)
        most = int(counted[3]) if counted[3] else None if counted[2] else least
        if max(least, most or 0) > _MOST_POSITIONS:
            raise self._error("is too large; let it repeat less")
        return least, most

    def _piece(self) -> _Part:
        """A character, a class, or a group."""
        letter = self._take()
        if letter == "(":
            if self._next() == "?":
                if not self._pattern.startswith("?:", self._at):
                    raise self._unknown("(" + self._pattern[self._at : self._at + 2])
                self._at += 2
            part = self._alternatives()
            self._at += 1
            return part
        if letter in "^$":
            raise self._error(f"has {letter}; leave it out, it is matched as a whole anyway")
        if letter == "[":
            return self._position(self._class())
        if letter == ".":
            return self._position(frozenset(self._characters))
        if letter == "\\":
            return self._position(self._escape())
        return self._position(self._literal(letter))

    def _position(self, letters: frozenset[str]) -> _Part:
        if not letters:
            raise self._error("has a class of which the model reads no character")
        if len(self._letters) >= _MOST_POSITIONS:
            raise self._error("is too large; let it repeat less")
        self._letters.append(letters)
        self._follows.append(set())
        place = frozenset({len(self._letters) - 1})
        return _Part(False, place, place)

    def _literal(self, letter: str) -> frozenset[str]:
        known = fold(letter, self._characters)
        if known is None:
            raise self._error(f"has {brief(letter)}, which the model does not read")
        return frozenset({known})

    def _escape(self) -> frozenset[str]:
        """What stands behind a backslash."""
        letter = self._take()
        belongs = _CLASSES.get(letter.lower())
        if belongs is not None:
            inside = letter.islower()
            return frozenset(c for c in self._characters if belongs(c) == inside)
        if letter.isalnum():
            raise self._unknown("\\" + letter)
        return self._literal(letter)

    def _class(self) -> frozenset[str]:
        """What stands in square brackets; the first one is behind us."""
        negated = self._next() == "^"
        self._at += negated
        letters: set[str] = set()
        start = self._at
        while self._next() != "]" or self._at == start:
            low = self._take()
            if low == "\\" and self._next().lower() in _CLASSES:
                letters |= self._escape()
                continue
            low = self._take() if low == "\\" else low
            high = low
            if self._next() == "-" and self._pattern[self._at + 1 : self._at + 2] != "]":
                self._at += 1
                high = self._take()
                high = self._take() if high == "\\" else high
            span = (chr(code) for code in range(ord(low), min(ord(high), ord(low) + 10_000) + 1))
            letters |= {known for c in span if (known := fold(c, self._characters))}
        self._at += 1
        return frozenset(self._characters) - letters if negated else frozenset(letters)

    def _unknown(self, what: str) -> UsageError:
        return self._error(f"has {brief(what)}, which is not known here; known: {_KNOWN}")
