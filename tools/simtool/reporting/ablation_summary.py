"""What `simtool ablate` prints of an ablation."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from simrun.errors import ModelError
from simtool.ablation.record import AblationRecord
from simtool.runs.folder import ABLATION_FILE
from simtool.weighting.weigh import METHODS, WeightingOptions, weigh

log = logging.getLogger(__name__)


def ablation_summary(
    record: AblationRecord, folder: Path, method: str, weights: WeightingOptions
) -> dict[str, Any]:
    """What a person wants to see of an ablation at once."""
    return {
        "ablation": str(folder / ABLATION_FILE),
        "layer": record.layer,
        "samples": record.samples,
        **_measurements(record),
        "stability": {name: round(s.mean, 4) for name, s in record.stability.items()},
        "entropies": _entropies(record, weights.background),
        "weighting": weigh(record, method, weights).to_json(),
    }


def _measurements(record: AblationRecord) -> dict[str, Any]:
    """E, e_i and intervals by criterion, and the paired flips."""
    criteria = {
        name: {
            "E": measured.base,
            "e_i": measured.ablated,
            "harm_low": measured.harm_low,
            "harm_high": measured.harm_high,
        }
        for name, measured in record.criteria.items()
    }
    flips = {"right_to_wrong": record.right_to_wrong, "wrong_to_right": record.wrong_to_right}
    return {**criteria, **flips}


def _entropies(record: AblationRecord, background: str | None) -> dict[str, float | None]:
    """Entropy of every weighting over that of uniform weights, 0 to 1; None where undefined."""
    variants = {name: (name, WeightingOptions()) for name in METHODS}
    variants["softmax, standardised"] = ("softmax", WeightingOptions(standardise=True))
    entropies: dict[str, float | None] = {}
    for title, (name, options) in variants.items():
        try:
            entropies[title] = _entropy(record, name, replace(options, background=background))
        except ModelError as error:
            log.warning("no weighting '%s': %s", title, error)
            entropies[title] = None
    return entropies


def _entropy(record: AblationRecord, method: str, options: WeightingOptions) -> float:
    return round(weigh(record, method, options).relative_entropy, 4)
