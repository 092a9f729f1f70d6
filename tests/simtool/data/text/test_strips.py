"""Strips of one line: what they say is what was drawn, the same for the same seed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from simrun.errors import SourceError
from simrun.result import Quad
from simtool.data.labels import STRIPS, encode, fold, least_steps
from simtool.data.text.canvas import SceneMaterials
from simtool.data.text.glyphs import class_of
from simtool.data.text.legibility import Legible
from simtool.data.text.line_pose import loose_quad
from simtool.data.text.phrases import Phrases, cased, digits
from simtool.data.text.scene_strips import PlacedLine, text_in
from simtool.data.text.strip_store import build_strips, open_strips
from simtool.data.text.strips import Shares, Strip, StripMaker, stack_strips
from tests.simtool.material import tiny_materials

SEED = 7


@pytest.fixture(scope="module")
def materials() -> SceneMaterials:
    return tiny_materials()


def maker(materials: SceneMaterials, **shares: float) -> StripMaker:
    none = Shares(scenes=0, chinese=0, ground=0, mnist=0, counters=0)
    kinds = Shares(**{**dict.fromkeys(none.__slots__, 0.0), **shares})
    return StripMaker(materials, materials.latin, SEED, shares=kinds)


def placed(text: str, x: float, y: float, pitch: float = 10.0, high: float = 12.0) -> PlacedLine:
    """A level line from x, y on; each character, or space, is `pitch` wide."""
    shown = [i for i, c in enumerate(text) if c != " "]
    right = x + pitch * len(text)
    return PlacedLine(
        quad=np.array([[x, y], [right, y], [right, y + high], [x, y + high]]),
        middles=np.array([[x + pitch * (i + 0.5), y + high / 2] for i in shown]),
        classes=np.array([class_of(text[i]) for i in shown]),
        words=np.array([text[:i].count(" ") for i in shown]),
    )


def box(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64)


def test_labels_are_folded_and_coded() -> None:
    assert fold("  Café, 24-7 (open) ") == "CAF 247 OPEN"
    assert encode("09AZ ") == [1, 10, 11, 36, 37]
    assert [STRIPS.characters[code] for code in encode("A 0")] == list("A 0")
    with pytest.raises(ValueError, match="substring"):
        encode("a")
    assert [least_steps(text) for text in ("", "ABC", "AAB", "000")] == [0, 3, 4, 5]


def test_phrases_say_what_stands_on_signs() -> None:
    rng = np.random.default_rng(0)
    source = Phrases(["word", "Anna"])
    lines = [source.line(rng) for _ in range(400)]
    assert all(line == line.strip() and "  " not in line for line in lines if line)
    assert 0.2 < np.mean([fold(line).replace(" ", "").isdigit() for line in lines]) < 0.45
    assert np.mean([" " in fold(line) for line in lines]) > 0.4
    assert all(digits(rng).isdigit() for _ in range(100))
    assert {cased("aB c", rng) for _ in range(99)} == {"AB C", "Ab C", "aB c", "ab c"}


def test_same_shard_same_strips(materials: SceneMaterials) -> None:
    first, again = (maker(materials, ground=0.2, mnist=0.2).shard(3, 12) for _ in range(2))
    assert [s.label for s in first] == [s.label for s in again]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(first, again, strict=True))
    other = maker(materials, ground=0.2, mnist=0.2).shard(4, 12)
    assert [s.label for s in first] != [s.label for s in other]


def test_strips_fit_the_reader(materials: SceneMaterials) -> None:
    strips = maker(materials, counters=0.3, chinese=0.1).shard(0, 30)
    assert len(strips) == 30
    for strip in strips:
        assert strip.image.dtype == np.uint8
        assert strip.image.shape[0] == STRIPS.height
        assert strip.image.shape[1] % STRIPS.width_step == 0
        assert strip.label == fold(strip.label)
        assert strip.image.shape[1] / STRIPS.stride >= least_steps(strip.label)


@pytest.mark.parametrize("kind", ["ground", "chinese"])
def test_nothing_is_read_where_there_is_no_latin_text(materials: SceneMaterials, kind: str) -> None:
    assert {s.label for s in maker(materials, **{kind: 1.0}).shard(0, 5)} == {""}


def test_digits_stay_digits(materials: SceneMaterials) -> None:
    for strip in maker(materials, counters=0.5, mnist=0.5).shard(0, 12):
        assert strip.label.isdigit()
    tested = maker(materials).digit_strings(0, 6, Legible(20, 64, 40))
    assert all(s.label.isdigit() and 4 <= len(s.label) <= 8 for s in tested)


def test_scenes_give_their_share_and_no_more(materials: SceneMaterials) -> None:
    whole: Quad = ((0.0, 0.0), (255.0, 0.0), (255.0, 40.0), (0.0, 40.0))
    asked: list[tuple[int, ...]] = []

    def locate(picture: np.ndarray) -> list[Quad]:
        asked.append(picture.shape)
        return [whole]

    made = StripMaker(materials, materials.latin, SEED, locate, Shares(scenes=0.5)).shard(0, 4)
    assert len(made) == 4
    assert asked
    assert set(asked) == {(256, 256)}


@pytest.mark.parametrize(
    ("quad", "text"),
    [
        (box(8, -2, 82, 14), "AB C12"),
        (box(8, -2, 35, 14), "AB"),
        (box(8, -2, 25, 14), None),  # goes through the B
        (box(8, -2, 82, 44), None),  # two lines, none of which fills it
        (box(100, 100, 150, 120), ""),
        (box(8, 5, 82, 80), None),  # touches a line that is too low in it
    ],
)
def test_what_a_quad_of_a_scene_says(quad: np.ndarray, text: str | None) -> None:
    lines = [placed("AB C12", 10, 0), placed("XYZ", 10, 28)]
    assert text_in(quad, lines) == text


def test_upside_down_is_not_read() -> None:
    assert text_in(box(8, -2, 82, 14)[[2, 3, 0, 1]], [placed("ABC", 10, 0)]) is None


def test_other_scripts_are_nothing_to_say() -> None:
    assert text_in(box(8, -2, 32, 14), [placed("中国", 10, 0)]) == ""


def test_legible_is_what_stands_out_from_its_ground() -> None:
    cover = np.zeros((40, 80), np.uint8)
    cover[10:30, 30:50] = 255
    legible = Legible(least_contrast=10, least_share=0.5)

    def drawn(levels: int) -> np.ndarray:
        return np.where(cover > 0, 100 + levels, 100).astype(np.uint8)

    assert legible(drawn(10), drawn(20), cover)
    assert not legible(drawn(9), drawn(9), cover)  # too faint
    assert not legible(drawn(39), drawn(80), cover)  # too little left of it
    assert legible(drawn(50), drawn(150), cover)  # never more than half of 100 is asked for
    assert not legible(drawn(50), drawn(50), np.zeros_like(cover))


def test_loose_quads_lie_around_the_line_and_keep_its_direction() -> None:
    corners = np.array([[20.0, 30.0], [120.0, 40.0], [118.0, 60.0], [18.0, 50.0]])
    rng = np.random.default_rng(0)
    for _ in range(200):
        quad = loose_quad(corners, rng)
        x_axis, y_axis = quad[1] - quad[0], quad[3] - quad[0]
        assert x_axis[0] > abs(x_axis[1])
        assert y_axis[1] > abs(y_axis[0])
        assert abs(quad.mean(0) - corners.mean(0)).max() < 20


def test_a_batch_goes_on_with_the_last_column() -> None:
    narrow, wide = np.full((2, 3), 7, np.uint8), np.arange(10, dtype=np.uint8).reshape(2, 5)
    stack = stack_strips([narrow, wide])
    assert stack.shape == (2, 1, 2, 5)
    assert (stack[0] == 7).all()
    np.testing.assert_array_equal(stack[1, 0], wide)


class Scripted(StripMaker):
    """Makes strips of one grey level, the shard's number, and counts what it makes."""

    def __init__(self) -> None:
        self.made: list[int] = []

    def shard(self, index: int, count: int) -> list[Strip]:
        self.made.append(index)
        widths = (32, 40, 48)
        return [
            Strip(np.full((STRIPS.height, widths[k]), index, np.uint8), f"{index}{k}")
            for k in range(count)
        ]


def test_shards_are_made_once_and_read_back(tmp_path: Path) -> None:
    scripted = Scripted()
    build_strips(tmp_path / "s", {"shard": 3}, lambda: scripted, 2)
    store = build_strips(tmp_path / "s", {"shard": 3}, lambda: scripted, 3)
    assert scripted.made == [0, 1, 2]
    strips = store.read(1)
    assert [s.label for s in strips] == ["10", "11", "12"]
    assert [s.image.shape for s in strips] == [(STRIPS.height, w) for w in (32, 40, 48)]
    assert all((s.image == 1).all() for s in strips)


def test_strips_of_another_recipe_are_refused(tmp_path: Path) -> None:
    first = build_strips(tmp_path / "s", {"shard": 1, "seed": 0}, Scripted, 1)
    with pytest.raises(SourceError, match="another recipe or material; remove it"):
        build_strips(tmp_path / "s", {"shard": 1, "seed": 1}, Scripted, 1)
    other = build_strips(tmp_path / "t", {"shard": 1, "seed": 1}, Scripted, 1)
    assert first.sha256 != other.sha256
    assert json.loads((tmp_path / "s" / "recipe.json").read_text()) == {"shard": 1, "seed": 0}


def test_a_damaged_or_missing_shard_is_one_line(tmp_path: Path) -> None:
    store = build_strips(tmp_path, {"shard": 1}, Scripted, 1)
    (tmp_path / "00000.npz").write_bytes(b"PK, not quite")
    for shard in (0, 5):
        with pytest.raises(SourceError, match=r"^cannot read .*npz .*; remove it"):
            store.read(shard)


def test_without_a_material_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="simtool fetch scene-text"):
        open_strips(None, 0, 1, 1)
    with pytest.raises(SourceError, match="no training material"):
        open_strips(tmp_path, 0, 1, 1)
