"""The result of an ablation, and its file `ablation.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

import numpy as np

from simrun.errors import ModelError
from simrun.types import Floats
from simtool.files import read_json, write_json
from simtool.runs.checkpoint import Checkpoint
from simtool.runs.folder import ABLATION_FILE

ABLATION_SCHEMA: Final = "similarnet-ablation/1"

Row = tuple[float, ...]


@dataclass(frozen=True)
class CriterionRecord:
    """One criterion, with all filters and with each of K blocked: means over units."""

    worse: float
    """+1 where a higher value is worse, -1 where a lower one is."""
    base: float
    """With all filters: the paper's E, for the criterion `error`."""
    ablated: Row
    """(K,) with filter i blocked: the paper's e_i."""
    harm_low: Row
    """(K,) lower end of the bootstrap interval of `harm`."""
    harm_high: Row
    """(K,) upper end."""
    base_per_class: tuple[float | None, ...]
    """(C,); None for a class without units."""
    ablated_per_class: tuple[Row | None, ...]
    """(C, K)"""

    @property
    def harm(self) -> Floats:
        """(K,) how much worse it gets without filter i: positive where the filter helps."""
        return self.worse * (np.array(self.ablated) - self.base)

    def harm_per_class(self) -> Floats:
        """(C, K) the same within each class.

        Raises:
            ModelError: a class had no units.
        """
        rows = []
        for index, (base, row) in enumerate(
            zip(self.base_per_class, self.ablated_per_class, strict=True)
        ):
            if base is None or row is None:
                raise ModelError(f"class {index} had no samples in the ablation; add some")
            rows.append(self.worse * (np.array(row) - base))
        return np.array(rows)


@dataclass(frozen=True)
class Stability:
    """Spearman's rank correlation between orders of the filters: 1 the same, 0 unrelated."""

    mean: float
    least: float
    most: float


@dataclass(frozen=True)
class Deletion:
    """Accuracy as filters are blocked one after the other, by the order that is gone by."""

    blocked: tuple[int, ...]
    """(S,) filters that are blocked at each step, from 0 to K."""
    by_harm: Row
    """(S,) accuracy, the most important filter first."""
    by_norm: Row | None
    """(S,) the filter with the largest weights first; None where no convolution has the filters."""
    random: tuple[Row, ...]
    """(R, S) in random orders."""
    criterion: str
    """By which importance is measured."""
    samples: int


@dataclass(frozen=True)
class AblationRecord:
    """Everything `simtool ablate` found out, for K filters and C classes."""

    layer: str
    baseline: str
    """What a blocked filter's response is replaced by: `zero`, or its `mean` over the data."""
    split: str
    samples: int
    """Images."""
    units_per_class: tuple[int, ...]
    """(C,) images, or labelled positions, of each class."""
    classes: tuple[str, ...]
    criteria: Mapping[str, CriterionRecord]
    right_to_wrong: tuple[int, ...]
    """(K,) units classified rightly with all filters and wrongly without filter i."""
    wrong_to_right: tuple[int, ...]
    """(K,) the reverse."""
    mean_activation: Row
    """(K,) mean response."""
    mean_activation_per_class: tuple[Row | None, ...]
    """(C, K) mean response to images, or at positions, of each class."""
    resamples: int
    level: float
    """Coverage of the bootstrap intervals."""
    seed: int
    """Of the bootstrap."""
    data_sha256: str
    checkpoint_sha256: str
    """Of the weights: `simtool.runs.folder.Checkpoint.sha256`."""
    stability: Mapping[str, Stability] = field(default_factory=dict)
    """Agreement of the order of the filters between halves of the data, by criterion."""
    deletion: Deletion | None = None

    @property
    def filters(self) -> int:
        """K."""
        return len(self.mean_activation)

    def criterion(self, name: str) -> CriterionRecord:
        """The record of one criterion.

        Raises:
            ModelError: it was not measured.
        """
        if name not in self.criteria:
            raise ModelError(f"no criterion '{name}'; measured were {', '.join(self.criteria)}")
        return self.criteria[name]

    def to_json(self) -> dict[str, Any]:
        """The content of ablation.json."""
        return {"schema": ABLATION_SCHEMA, **asdict(self)}

    def save(self, path: Path) -> None:
        """Write ablation.json. Raises OutputError where it cannot be written."""
        write_json(path, self.to_json())

    @classmethod
    def load(cls, path: Path) -> AblationRecord:
        """Read ablation.json.

        Raises:
            ModelError: it is missing, of another schema, or lacks a field.
        """
        data = read_json(path)
        if data.get("schema") != ABLATION_SCHEMA:
            raise ModelError(
                f"{path} is of schema {data.get('schema')!r}, this version reads "
                f"{ABLATION_SCHEMA!r}; run 'simtool ablate' again"
            )
        try:
            present = [f.name for f in fields(cls) if _needed(f) or f.name in data]
            values = {name: _frozen(data[name]) for name in present}
            values["criteria"] = {
                name: CriterionRecord(**{key: _frozen(value) for key, value in record.items()})
                for name, record in data["criteria"].items()
            }
            values["stability"] = {
                name: Stability(**record) for name, record in data.get("stability", {}).items()
            }
            if values.get("deletion"):
                values["deletion"] = Deletion(**_frozen_values(data["deletion"]))
            return cls(**values)
        except (KeyError, TypeError, AttributeError) as error:
            raise ModelError(
                f"{path} is damaged ({type(error).__name__}: {error}); run 'simtool ablate' again"
            ) from error


def _needed(one: Field[Any]) -> bool:
    """Whether a record must have the field; older ones lack those that have a default."""
    return one.default is MISSING and one.default_factory is MISSING


def _frozen_values(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _frozen(value) for key, value in data.items()}


def _frozen(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """JSON lists as tuples."""
    return tuple(_frozen(v) for v in value) if isinstance(value, list) else value


def read_ablation(path: Path, checkpoint: Checkpoint) -> AblationRecord:
    """The ablation beside a checkpoint.

    Raises:
        ModelError: there is none, or it is of another checkpoint.
    """
    file = path / ABLATION_FILE
    if not file.is_file():
        raise ModelError(f"{path} has no {ABLATION_FILE}; run 'simtool ablate {path}' first")
    record = AblationRecord.load(file)
    if record.checkpoint_sha256 != checkpoint.sha256:
        raise ModelError(
            f"{file} is of another checkpoint than the one beside it; "
            f"run 'simtool ablate {path}' again"
        )
    return record
