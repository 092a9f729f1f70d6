"""The metadata of a reader: how strips are cut for `reader.onnx`, and what its outputs mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, Final

from simrun.bundle.values import is_number, is_text
from simrun.errors import ModelError, brief

_MOST_CHARACTERS: Final = 10_000


class ReaderKind(StrEnum):
    """What a reader's outputs are."""

    CTC = "ctc"
    """Logits a step along the strip: of each character, and of none (the blank)."""


@dataclass(frozen=True)
class ReaderMeta:
    """What the runtime must know of `reader.onnx`.

    It takes strips: upright grey pictures of one line of text each, all of one height, cut as the
    strips were that it learned from.
    """

    alphabet: str
    """The characters that it tells apart, in the order of its outputs, the blank left out."""
    height: int
    """Pixels of a strip from top to bottom."""
    stride: int
    """Pixels of a strip to one step of the output."""
    threshold: float
    """Least probability of a reading that becomes a label, 0 to 1."""
    margin: float = 0.0
    """Share of its height by which a region is widened on each side before it is cut out."""
    stretch: tuple[float, float, float] = (1.0, 0.0, 1.0)
    """How short strips are stretched along the line: by the first number less the second times the
    ratio of width to height, no more than the third and no less than 1."""
    width_step: int = 8
    """Widths of strips are multiples of it."""
    least_width: int = 32
    """Narrower strips are padded to it."""
    greatest_width: int = 800
    """Wider strips are squeezed."""
    blank: int = 0
    """The output that stands for no character."""
    kind: ReaderKind = ReaderKind.CTC

    def __post_init__(self) -> None:
        """Refuse values that the runtime could not work with.

        Raises:
            ModelError: a field has an impossible value; the message names field and value.
        """
        distinct = len(set(self.alphabet)) == len(self.alphabet)
        count = 1 <= len(self.alphabet) <= _MOST_CHARACTERS
        plain = all(letter.isprintable() for letter in self.alphabet)
        self._require(
            "alphabet", distinct and count and plain, "1 to 10000 distinct printable characters"
        )
        self._require("blank", 0 <= self.blank <= len(self.alphabet), "one of the outputs")
        self._require("height", 8 <= self.height <= 256, "8 to 256")
        self._require("stride", 1 <= self.stride <= 64, "1 to 64")
        self._require("threshold", 0 <= self.threshold <= 1, "0 to 1")
        self._require("margin", 0 <= self.margin <= 1, "0 to 1")
        self._require(
            "stretch",
            min(self.stretch) >= 0 and 1 <= self.stretch[2] <= 4,
            "three numbers from 0, the last one 1 to 4",
        )
        self._require("width_step", 1 <= self.width_step <= 256, "1 to 256")
        self._require("least_width", 1 <= self.least_width <= 1024, "1 to 1024")
        self._require(
            "greatest_width",
            self.least_width <= self.greatest_width <= 4096,
            "from least_width to 4096",
        )

    def _require(self, name: str, ok: bool, wanted: str) -> None:
        if not ok:
            raise ModelError(
                f"bundle field 'reader.{name}' is {brief(getattr(self, name))}; it must be {wanted}"
            )

    @property
    def characters(self) -> tuple[str, ...]:
        """What each output stands for; the blank for an empty string."""
        return (*self.alphabet[: self.blank], "", *self.alphabet[self.blank :])

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> ReaderMeta:
        """Read it from a JSON object.

        Raises:
            ModelError: a field is missing, unknown or of the wrong type, or a value is out of
                range.
        """
        known = {f.name for f in fields(cls)}
        missing = sorted({"kind", "alphabet", "height", "stride", "threshold"} - data.keys())
        if missing:
            raise ModelError(f"bundle field 'reader' lacks {', '.join(missing)}; export again")
        if unknown := sorted(data.keys() - known):
            names = ", ".join(brief(name)[1:-1] for name in unknown[:5])
            raise ModelError(
                f"bundle field 'reader' has unknown fields: {names}; update similarnet"
            )
        return cls(**{name: _typed(name, value) for name, value in data.items()})


_FLOATS: Final = frozenset({"threshold", "margin"})


def _typed(name: str, value: object) -> Any:  # noqa: ANN401 - the dataclass field says which type
    """Turn a JSON value into the type of the field `name`, or say what it is instead."""
    if name == "kind":
        if value not in tuple(ReaderKind):
            raise ModelError(
                f"bundle field 'reader.kind' is {brief(value)}; this version knows "
                f"{', '.join(ReaderKind)}: update similarnet, or export the model again"
            )
        return ReaderKind(str(value))
    if name == "alphabet" and is_text(value):
        return value
    if name == "stretch" and isinstance(value, list) and len(value) == 3:
        if all(map(is_number, value)):
            return tuple(float(number) for number in value)
    elif name in _FLOATS and is_number(value):
        return float(value)  # type: ignore[arg-type]
    elif name not in ("alphabet", "stretch") and isinstance(value, int) and is_number(value):
        return value
    raise ModelError(f"bundle field 'reader.{name}' has the wrong type: {brief(value)}")
