"""Decoding on arrays small enough to be done by hand."""

from __future__ import annotations

import numpy as np
import pytest

from simrun.recognition.ctc import decode_greedy
from simrun.result import Reading

CHARACTERS = ("", "A", "B", " ")


def logits_of(path: str, sure: float = 0.9) -> np.ndarray:
    """Logits (T, 4) whose likeliest outputs, `_` for the blank, have the probability `sure`."""
    rows = np.full((len(path), 4), (1 - sure) / 3)
    rows[np.arange(len(path)), ["_AB ".index(letter) for letter in path]] = sure
    return np.log(rows).astype(np.float32)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("A", "A"),
        ("AAA", "A"),
        ("A_A", "AA"),
        ("__AB__", "AB"),
        ("A_AB_B", "AABB"),
        (" A_ _ B ", "A B"),
        ("____", ""),
        ("  _ ", ""),
    ],
)
def test_repetitions_then_blanks_are_dropped(path: str, text: str) -> None:
    reading = decode_greedy(logits_of(path), CHARACTERS)
    assert reading.text == text
    assert reading.probability == pytest.approx(0.9 if text else 0.0)


def test_the_probability_is_the_geometric_mean_of_each_characters_highest() -> None:
    rows = np.array(
        [[0.1, 0.6, 0.2, 0.1], [0.0, 0.8, 0.2, 0.0], [0.9, 0, 0, 0.1], [0, 0, 0.5, 0.4]]
    )
    spaces = np.array([[0.1, 0.1, 0.1, 0.7]])
    logits = np.log(np.concatenate([rows, spaces]) + 1e-9).astype(np.float32) + 5.0
    reading = decode_greedy(logits, CHARACTERS)
    assert reading.text == "AB"
    assert reading.probability == pytest.approx(np.sqrt(0.8 * 0.5 / 0.9), rel=1e-3)


def test_the_blank_may_be_any_output() -> None:
    logits = logits_of("A_BB")[:, [1, 2, 0, 3]]
    assert decode_greedy(logits, ("A", "B", "", " ")).text == "AB"


def test_no_steps_give_no_text() -> None:
    assert decode_greedy(np.empty((0, 4), np.float32), CHARACTERS) == Reading("", 0.0)
