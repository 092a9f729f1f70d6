"""What a message about an unknown name ends with."""

from __future__ import annotations

import pytest

from simrun.errors import did_you_mean


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("scene-txt", ("mnist-maps", "scene-text"), "did you mean 'scene-text'?"),
        ("xyz", ("one", "two"), "known: one, two"),
        ("xyz", (), "known: none"),
    ],
)
def test_the_nearest_name_or_all_of_them(name: str, known: tuple[str, ...], hint: str) -> None:
    assert did_you_mean(name, known) == hint


def test_known_names_are_spelled_as_the_user_writes_them() -> None:
    def spell(name: str) -> str:
        return name.replace("_", "-")

    assert did_you_mean("max_fp", ["max_fps"], spell) == "did you mean 'max-fps'?"
    assert did_you_mean("zzz", ["max_fps"], spell) == "known: max-fps"
