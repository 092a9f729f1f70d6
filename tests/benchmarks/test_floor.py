"""The least number of SIMD instructions is that of the multiplications, counted by hand."""

from __future__ import annotations

from benchmarks.arm.floor import least_simd, multiplications
from simrun.bundle.load import load_bundle


def test_multiplications_of_the_default_model_by_hand() -> None:
    h, w = 240, 320
    first = (h // 2) * (w // 2) * 16 * 25
    cells = (h // 4) * (w // 4)
    stride_4 = cells * 16 * (16 * 9) * 2
    stride_8 = cells // 4 * 24 * (16 * 16 + 5 * 24 * 9 + 16)
    readout = cells * 16
    by_hand = first + stride_4 + stride_8 + readout
    assert multiplications(load_bundle("scene-text"), (h, w)) == by_hand


def test_a_network_of_one_polarity_runs_twice_for_both() -> None:
    h, w = 60, 80
    first = (h - 4) * (w - 4) * 6 * 25
    cells = ((h - 4) // 2 - 4) * ((w - 4) // 2 - 4)
    one = first + cells * 16 * (6 * 25) + cells * 16
    assert multiplications(load_bundle("mnist-lenet"), (h, w)) == 2 * one


def test_the_least_is_a_quarter_of_the_multiplications_at_the_working_size() -> None:
    by_hand = multiplications(load_bundle("scene-text"), (240, 320)) / 4e6
    assert least_simd("scene-text", 320, (1280, 960)) == by_hand
