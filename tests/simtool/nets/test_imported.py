from __future__ import annotations

import pytest

from simtool.nets.imported import ForeignSpec

SPEC = ForeignSpec("a.module:build", ("cat", "dog"), "layer4", 64, 3, mean=(0.5,), std=(0.25,))


def test_a_specification_is_read_as_it_was_written() -> None:
    assert ForeignSpec.from_json({**SPEC.to_json(), "classes": ["cat", "dog"]}) == SPEC


def test_a_field_of_earlier_versions_is_read_over_and_an_unknown_one_is_not() -> None:
    assert ForeignSpec.from_json({**SPEC.to_json(), "whole": False}) == SPEC
    with pytest.raises(TypeError, match="colour"):
        ForeignSpec.from_json({**SPEC.to_json(), "colour": 1})
