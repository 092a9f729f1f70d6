"""A region is read again when its picture or its place changed, and else not."""

from __future__ import annotations

import numpy as np
import pytest

from simrun.inference.session import Engine, EngineConfig
from simrun.recognition.memory import RememberingReader
from simrun.recognition.reader import LineReader
from tests.simrun.readers import META, box, line, reader_graph


class CountedEngine(Engine):
    """Counts the strips that it reads."""

    def __init__(self) -> None:
        super().__init__(reader_graph(), EngineConfig(), what="reader.onnx")
        self.strips = 0

    def run(self, batch: np.ndarray) -> np.ndarray:
        self.strips += len(batch)
        return super().run(batch)


@pytest.fixture
def engine() -> CountedEngine:
    return CountedEngine()


@pytest.fixture
def reader(engine: CountedEngine) -> RememberingReader:
    reader = LineReader(engine, META)
    engine.strips = 0  # a new reader tries its graph
    return RememberingReader(reader)


def frame_of(*codes: str) -> np.ndarray:
    frame = np.full((120, 240), 20, np.uint8)
    for row, code in enumerate(codes):
        strip = line(code)
        frame[10 + 24 * row : 26 + 24 * row, 8 : 8 + strip.shape[1]] = np.maximum(strip, 20)
    return frame


QUADS = [box(8, 10, 72), box(8, 34, 72)]


def test_what_did_not_change_is_not_read_again(
    reader: RememberingReader, engine: CountedEngine
) -> None:
    frame = frame_of("_|_-_|_-_", "_-_-_-_-_")
    first = reader.read(frame, QUADS)
    assert [reading.text for reading in first] == ["|-|-", "----"]
    for _ in range(9):
        assert reader.read(frame, QUADS) == first
    assert engine.strips == 2


def test_one_changed_character_is_read_in_its_frame(
    reader: RememberingReader, engine: CountedEngine
) -> None:
    reader.read(frame_of("_|_-_|_-_", "_-_-_-_-_"), QUADS)
    changed = reader.read(frame_of("_|_-_|_|_", "_-_-_-_-_"), QUADS)
    assert [reading.text for reading in changed] == ["|-||", "----"]
    assert engine.strips == 3


def test_noise_and_light_are_no_change(reader: RememberingReader, engine: CountedEngine) -> None:
    rng = np.random.default_rng(0)
    frame = frame_of("_|_-_|_-_", "_-_-_-_-_").astype(float)
    for shift in range(0, 20, 2):
        noisy = frame + shift + rng.normal(0, 4, frame.shape)
        reader.read(noisy.clip(0, 255).astype(np.uint8), QUADS)
    assert engine.strips == 2


def test_a_slow_change_is_noticed(reader: RememberingReader, engine: CountedEngine) -> None:
    before, after = frame_of("_|_-_|_-_").astype(float), frame_of("_|_-_|_|_").astype(float)
    for share in np.linspace(0, 1, 60):
        mixed = ((1 - share) * before + share * after).astype(np.uint8)
        (reading,) = reader.read(mixed, QUADS[:1])
    assert reading.text == "|-||"
    assert 2 <= engine.strips <= 8


def test_a_region_that_moved_or_grew_is_read_again(
    reader: RememberingReader, engine: CountedEngine
) -> None:
    frame = frame_of("_|_-_|_-_")
    reader.read(frame, [box(8, 10, 72)])
    reader.read(frame, [box(9.5, 10.5, 71)])  # as a heatmap wavers
    assert engine.strips == 1
    assert reader.read(frame, [box(8, 10, 32)])[0].text == "|-"
    assert engine.strips == 2


def test_a_region_that_is_not_found_for_a_moment_is_remembered(
    reader: RememberingReader, engine: CountedEngine
) -> None:
    frame = frame_of("_|_-_|_-_")
    for gap in (5, 6):
        reader.read(frame, QUADS[:1])
        for _ in range(gap):
            assert reader.read(frame, []) == []
    reader.read(frame, QUADS[:1])
    assert engine.strips == 2
    assert len(reader._known) == 1
