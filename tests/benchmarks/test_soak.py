"""The soak's arithmetic and its source."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from benchmarks.endurance import flapping
from benchmarks.endurance.soak import SIZES, LiveMix, MemorySlope, blocks, errors_in, fit
from benchmarks.harness.console import BenchmarkError
from simrun.sources.base import Frame


def test_a_slope_is_found_after_the_warm_up_and_through_noise() -> None:
    seconds = np.arange(0, 1200, 2.0)
    noise = np.random.default_rng(1).normal(0, 0.2, len(seconds))
    warm_up = 40 * np.minimum(seconds / 200, 1)
    found = fit(blocks(np.column_stack([seconds, 150 + warm_up + 12 * seconds / 3600 + noise])))
    assert abs(found.mb_per_hour - 12) < 3 * found.standard_error
    assert found.standard_error < 0.5
    assert not found.is_flat


def test_a_frame_in_work_at_some_readings_is_no_slope() -> None:
    seconds = np.arange(0, 1200, 2.0)
    in_work = np.where(np.random.default_rng(1).random(len(seconds)) < 0.2, 6.2, 0.0)
    assert fit(blocks(np.column_stack([seconds, 150 + in_work]))).is_flat
    assert not fit(blocks(np.column_stack([seconds, 150 + seconds / 600 + in_work]))).is_flat


def test_flat_means_less_than_a_megabyte_an_hour_at_twice_the_error() -> None:
    assert MemorySlope(0.9, 0.0).is_flat
    assert MemorySlope(-0.5, 0.7).is_flat
    assert not MemorySlope(0.5, 0.3).is_flat
    assert not MemorySlope(1.5, 0.0).is_flat


def test_too_short_a_run_is_no_result() -> None:
    with pytest.raises(BenchmarkError, match="let it run for longer"):
        blocks(np.ones((10, 2)))


def test_the_source_shows_every_size_and_reads_memory_when_asked(tmp_path: Path) -> None:
    readings, asked = tmp_path / "readings", tmp_path / "asked"
    source = LiveMix(readings, asked, rest_s=0.0)
    frames = iter(source)
    sizes = {frame.image.shape for frame in islice(frames, SIZES) if isinstance(frame, Frame)}
    assert SIZES * 0.95 < len(sizes) <= SIZES
    assert not readings.exists()
    asked.touch()
    after = [next(frames) for _ in range(20)]
    source.close()
    assert not asked.exists()
    table = np.loadtxt(readings, ndmin=2)
    assert table.shape == (1, 4)
    assert (table[:, 1:3] > 10).all()
    assert table[0, 3] == 0
    assert [frame.index for frame in after] == list(range(SIZES, SIZES + 20))


def test_before_a_reading_the_camera_is_open_and_shows_new_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flapping, "_RATE", 1e6)
    monkeypatch.setattr(flapping, "_BAD_RATE", 1e6)
    device = flapping.FlappingDevice()
    readings, asked = tmp_path / "readings", tmp_path / "asked"
    source = LiveMix(readings, asked, rest_s=0.0, device=device)
    asked.touch()
    frames = [frame for frame in islice(source, 20) if isinstance(frame, Frame)]
    source.close()
    assert [frame.image.shape for frame in frames[:11]] == [(1080, 1920, 3)] * 3 + [
        (480, 640, 3)
    ] * 8
    assert readings.exists()
    assert not device.steady.is_set()


def test_what_was_logged_as_an_error_is_written_down(tmp_path: Path) -> None:
    log = f"warning: cam was unplugged\nerror: {tmp_path}/save has missed 1 results\nframes: 2\n"
    assert errors_in(log, tmp_path) == ["error: save has missed 1 results"]
