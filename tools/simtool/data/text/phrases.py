"""What the lines of training strips say: words, numbers, and what stands on signs."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

_LETTERS: Final = string.ascii_uppercase
_DIGITS: Final = string.digits
_MONTHS: Final = (
    *("Jan", "Feb", "March", "April", "May", "June"),
    *("July", "Aug", "Sept", "Oct", "Nov", "Dec"),
)


class Phrases:
    """A source of lines of text."""

    def __init__(self, words: Sequence[str]) -> None:
        """Draw on a word list, and on `signs.txt` beside this file: what stands on signs."""
        self._signs = Path(__file__).with_name("signs.txt").read_text(encoding="utf-8").split()
        self._words = words
        self._names = [w for w in words if w[:1].isupper()]

    def line(self, rng: np.random.Generator) -> str:
        """A line to be drawn, with spaces and signs as they come."""
        kind = rng.random()
        for share, maker in self._kinds():
            if kind < share:
                return maker(rng)
            kind -= share
        return self.word(rng)

    def _kinds(self) -> tuple[tuple[float, Callable[[np.random.Generator], str]], ...]:
        return (
            (0.17, digits),
            (0.10, digit_groups),
            (0.15, self.word),
            (0.37, self.phrase),
            (0.05, self.address),
            (0.04, plate),
            (0.03, price),
            (0.03, date_or_time),
            (0.03, code),
            (0.02, self.web),
            (0.01, random_letters),
        )

    def word(self, rng: np.random.Generator) -> str:
        """One word."""
        roll = rng.random()
        source = self._signs if roll < 0.35 else self._names if roll < 0.5 else self._words
        word = source[int(rng.integers(len(source)))]
        if rng.random() < 0.03:
            word += "'s"
        if rng.random() < 0.06:
            word += str(rng.choice([".", ",", "!", ":", "?", "-"]))
        return word

    def phrase(self, rng: np.random.Generator) -> str:
        """Two to five words; now and then a number or an ampersand among them."""
        count = int(rng.choice([2, 2, 2, 3, 3, 4, 5]))
        parts = [self.word(rng) for _ in range(count)]
        if rng.random() < 0.2:
            parts[int(rng.integers(count))] = digits(rng)[:4]
        if count > 2 and rng.random() < 0.1:
            parts[1] = str(rng.choice(["&", "-", "+", "/", "@", "and"]))
        return " ".join(parts)

    def address(self, rng: np.random.Generator) -> str:
        """A house number and a street."""
        kind = str(rng.choice(["St", "Street", "Road", "Rd", "Ave", "Ave.", "Lane", "Blvd", "Dr"]))
        parts = [str(rng.integers(1, 9999)), self.word(rng), kind]
        return " ".join(parts[int(rng.random() < 0.2) :])

    def web(self, rng: np.random.Generator) -> str:
        """A site or a mail address."""
        name, end = self.word(rng).lower(), str(rng.choice(["com", "co.uk", "org", "net", "de"]))
        return str(rng.choice([f"www.{name}.{end}", f"{name}.{end}", f"info@{name}.{end}"]))


def digits(rng: np.random.Generator) -> str:
    """Digits alone, one to ten, mostly four to eight; runs of one digit and leading zeros too."""
    count = int(rng.integers(4, 9)) if rng.random() < 0.7 else int(rng.integers(1, 11))
    if rng.random() < 0.12:
        few = rng.integers(0, 10, 2)
        return "".join(str(few[int(i)]) for i in rng.integers(0, 2, count))
    if rng.random() < 0.15:
        return str(rng.integers(0, 400)).zfill(count)
    return "".join(str(d) for d in rng.integers(0, 10, count))


def digit_groups(rng: np.random.Generator) -> str:
    """Groups of digits: telephone numbers, meters, cards."""
    sizes = rng.integers(1, 6, int(rng.integers(2, 5)))
    glue = str(rng.choice([" ", " ", " ", "-", ".", "/", ","]))
    text = glue.join("".join(str(d) for d in rng.integers(0, 10, int(n))) for n in sizes)
    lead = rng.random()
    return f"({text[:3]}) {text}" if lead < 0.05 else f"+{text}" if lead < 0.1 else text


def plate(rng: np.random.Generator) -> str:
    """A number plate: letters and digits in some order."""
    pattern = str(
        rng.choice(
            ["LLL DDDD", "LLDD LLL", "DLLLDDD", "LL-DDD-LL", "LL DDDD", "LLL DDD", "L DDDD LL",
             "DDD LLL", "LL LL DDD", "LLDDDD", "DDDD LLL", "LLL-DDDD", "LDDDDL", "LDDDDD"]
        )
    )  # fmt: skip
    return _filled(pattern, rng)


def code(rng: np.random.Generator) -> str:
    """An article, a room or a container: characters at random."""
    pattern = "".join(str(c) for c in rng.choice(list("LDDLDD"), int(rng.integers(3, 10))))
    if len(pattern) > 5 and rng.random() < 0.5:
        pattern = pattern[:3] + str(rng.choice([" ", "-", "/", "."])) + pattern[3:]
    return _filled(pattern, rng)


def random_letters(rng: np.random.Generator) -> str:
    """Letters without a sense, so that no letter depends on its neighbours."""
    return _filled("L" * int(rng.integers(1, 9)), rng)


def price(rng: np.random.Generator) -> str:
    """An amount with a currency, or a share."""
    amount = f"{rng.integers(0, 300)}{rng.choice(['.', ',', '.'])}{rng.integers(0, 100):02d}"
    if rng.random() < 0.2:
        amount = str(rng.integers(1, 1000))
    sign = str(rng.choice(["$", "£", "€", "", "EUR ", "USD "]))
    ends = ["", "", "", " each", "/kg", "%", " off", "p"]
    return sign + amount + (str(rng.choice(ends)) if rng.random() < 0.5 else "")


def date_or_time(rng: np.random.Generator) -> str:
    """A date, a time or opening hours."""
    day, month, year = rng.integers(1, 32), rng.integers(1, 13), rng.integers(1900, 2040)
    hour, minute = rng.integers(0, 24), rng.integers(0, 60)
    name = str(rng.choice(_MONTHS))
    forms = (
        f"{day:02d}.{month:02d}.{year}",
        f"{month}/{day}/{year % 100:02d}",
        f"{year}-{month:02d}-{day:02d}",
        f"{day} {name} {year}",
        f"{name} {day}, {year}",
        f"{hour:02d}:{minute:02d}",
        f"{year}",
        f"{hour % 12 + 1}:{minute:02d} {'AM' if hour < 12 else 'PM'}",
        f"{hour % 12 + 1} am - {minute % 12 + 1} pm",
        f"{hour:02d}:{minute:02d}:{day:02d}",
        f"Since {year}",
        f"Est. {year}",
        "24 hours",
    )
    return forms[int(rng.integers(len(forms)))]


def cased(text: str, rng: np.random.Generator) -> str:
    """The text in capitals, as titles, in small letters, or as it comes."""
    roll = rng.random()
    if roll < 0.42:
        return text.upper()
    if roll < 0.68:
        return text.title()
    return text if roll < 0.85 else text.lower()


def _filled(pattern: str, rng: np.random.Generator) -> str:
    pools = {"L": _LETTERS, "D": _DIGITS}
    return "".join(pools[c][int(rng.integers(len(pools[c])))] if c in pools else c for c in pattern)
