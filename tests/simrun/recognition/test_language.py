"""Readings that are restricted to words or a pattern, against every path there is."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from simrun.errors import UsageError
from simrun.recognition.ctc import decode_greedy, decode_within
from simrun.recognition.language import language_of_words
from simrun.recognition.pattern import language_of_pattern
from simrun.result import Reading

SMALL = ("", "A", "B", "1")
ALL = ("", *"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ ")


def collapsed(path: tuple[int, ...]) -> str:
    return "".join(SMALL[output] for output, _ in itertools.groupby(path))


def best_by_hand(logs: np.ndarray, texts: re.Pattern[str]) -> tuple[str, float]:
    """The text of the likeliest of all paths that matches, and the path's score."""
    scored = [
        (float(sum(logs[t, c] for t, c in enumerate(path))), collapsed(path))
        for path in itertools.product(range(len(SMALL)), repeat=len(logs))
    ]
    score, text = max((s, t) for s, t in scored if texts.fullmatch(t))
    return text, score


@pytest.mark.parametrize(
    "pattern",
    ["AB", "[AB]1", "A*1", "(AB|B1)+", "AA", "[AB]{2}", "1?A{1,2}", "(A|1)[^A]", ".{3}", "A+B?1*"],
)
def test_the_best_path_in_a_language_is_found(pattern: str) -> None:
    rng = np.random.default_rng(0)
    language = language_of_pattern(pattern, SMALL)
    for _ in range(12):
        logits = rng.normal(0, 2, (5, 4)).astype(np.float32)
        logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        text, _ = best_by_hand(logs, re.compile(pattern))
        assert decode_within(logits, SMALL, language).text == text


def test_what_can_be_anything_is_read_as_without_a_pattern() -> None:
    rng = np.random.default_rng(1)
    language = language_of_pattern(".+", SMALL)
    for _ in range(40):
        logits = rng.normal(0, 3, (9, 4)).astype(np.float32)
        free, bound = decode_greedy(logits, SMALL), decode_within(logits, SMALL, language)
        if free.text:
            assert bound.text == free.text
            assert bound.probability == pytest.approx(free.probability, rel=1e-5)


def logits_of(text: str, likely: float = 0.9, other: str = "") -> np.ndarray:
    """Three steps a character, the last one blank; `other` is what else may be there."""
    rows = []
    for i, letter in enumerate(text):
        row = np.full(len(ALL), 0.02 / len(ALL))
        row[ALL.index(letter)] = likely
        if other:
            row[ALL.index(other[i])] += 0.98 - likely
        blank = np.full(len(ALL), 0.01 / len(ALL))
        blank[0] = 0.99
        rows += [row, row, blank]
    return np.log(np.array(rows)).astype(np.float32)


def test_a_pattern_tells_a_zero_from_an_o() -> None:
    logits = logits_of("2O3I", likely=0.6, other="2031")
    assert decode_greedy(logits, ALL).text == "2O3I"
    reading = decode_within(logits, ALL, language_of_pattern("[0-9]{4}", ALL))
    assert reading.text == "2031"
    assert 0.4 < reading.probability < 0.7


def test_a_word_that_is_not_in_the_language_has_hardly_a_probability() -> None:
    reading = decode_within(logits_of("EXIT"), ALL, language_of_pattern(r"\d{4}", ALL))
    assert reading.probability < 0.05
    words = language_of_words(["PUSH", "PULL"], ALL)
    assert decode_within(logits_of("EXIT"), ALL, words).probability < 0.05


def test_the_nearest_word_is_read_as_it_is_written() -> None:
    language = language_of_words(["Exit", "St. Mary's", "EXITS", "Wi-Fi 2"], ALL)
    assert decode_within(logits_of("EX1T", 0.6, "EXIT"), ALL, language).text == "Exit"
    assert decode_within(logits_of("ST MARYS"), ALL, language).text == "St. Mary's"
    assert decode_within(logits_of("WIFI 2"), ALL, language).text == "Wi-Fi 2"


def test_a_strip_too_short_for_every_text_has_none() -> None:
    language = language_of_pattern("[0-9]{9}", ALL)
    assert decode_within(logits_of("12"), ALL, language) == Reading("", 0.0)
    assert decode_within(np.empty((0, 37), np.float32), ALL, language) == Reading("", 0.0)


@pytest.mark.parametrize(
    ("pattern", "texts"),
    [
        ("[0-9]{2,4}", ["12", "1234"]),
        (r"\d+ KWH", ["12 KWH"]),
        ("[a-z]{3}", ["ABC"]),
        ("(?:no|yes)", ["NO", "YES"]),
        ("A{2}(B|[C-E])?", ["AA", "AAD"]),
        (r"[\dX]{3}", ["1X2"]),
        (r"\w\s\W", ["A  "]),
        ("(AB){2}", ["ABAB"]),
        ("A{,2}B", ["B", "AAB"]),
        ("(A{2}){2}", ["AAAA"]),
        ("A{0}B", ["B"]),
    ],
)
def test_what_a_pattern_means(pattern: str, texts: list[str]) -> None:
    language = language_of_pattern(pattern, ALL)
    for text in texts:
        read = decode_within(logits_of(text), ALL, language).text
        assert read == " ".join(text.split())


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("[0-9", "--pattern '[0-9' is no regular expression: unterminated"),
        ("*", "is no regular expression: nothing to repeat"),
        ("^12$", "has ^; leave it out"),
        ("12$", "has $; leave it out"),
        ("(?=1)2", "has '(?=', which is not known here; known: characters, . [classes]"),
        (r"(1)\1", r"has '\\1', which is not known here"),
        ("1+?", "has '?', which is not known here"),
        ("A-B", "has '-', which the model does not read"),
        ("[!?]", "has a class of which the model reads no character"),
        (".{400}", "is too large"),
        (".{9999}", "is too large"),
        ("", "matches nothing that can be read"),
        ("(" * 5000 + ")" * 5000, "is no regular expression"),
    ],
)
def test_a_pattern_that_is_none_is_one_line(pattern: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        language_of_pattern(pattern, ALL)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--words has no words"),
        (["EXIT", "出口"], r"has '\u51fa\u53e3', of which the model reads no character"),
        ([f"{i:09}"[::-1] for i in range(9999)], "--words has more than 50000 characters"),
    ],
)
def test_a_list_of_words_that_is_none_is_one_line(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        language_of_words(words, ALL)
    assert message in str(caught.value)
