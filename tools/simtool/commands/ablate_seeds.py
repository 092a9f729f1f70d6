"""`simtool ablate RUN --seeds`: every seed of a run, and how far they agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simrun.errors import UsageError
from simtool.ablation.record import AblationRecord
from simtool.distributed import Peers
from simtool.files import write_json
from simtool.runs.checkpoint import CHECKPOINT_FILE
from simtool.runs.folder import ABLATION_FILE, STABILITY_FILE


def ablate_seeds(
    parent: Path, one: Callable[[Path], dict[str, Any]], peers: Peers
) -> dict[str, Any]:
    """Ablate every seed of a run and compare what does not depend on the filters' numbers.

    Args:
        parent: folder that holds the seeds' run folders.
        one: ablates a run folder into its ablation.json, and gives the summary.
        peers: the processes that share the work.

    Raises:
        UsageError: there are fewer than two trained seeds.
    """
    folders = sorted(path for path in parent.glob("seed-*") if (path / CHECKPOINT_FILE).is_file())
    if len(folders) < 2:
        raise UsageError(f"{parent} holds {len(folders)} trained seeds; --seeds needs two or more")
    runs = {str(folder): one(folder) for folder in folders}
    peers.wait()
    records = [AblationRecord.load(folder / ABLATION_FILE) for folder in folders]
    stability = _over_seeds(records)
    if peers.leads:
        write_json(parent / STABILITY_FILE, stability)
    return {"runs": runs, "stability": stability}


def _over_seeds(records: Sequence[AblationRecord]) -> dict[str, Any]:
    """By criterion: agreement of the order within each seed, and of the profiles between seeds.

    Filter i of one seed has nothing to do with filter i of another, so that orders are compared
    within a seed alone (`within`, between halves of the data). Between seeds the sorted shares
    of the harm are compared: `profile distance` is the mean total variation, 0 the same to 1.
    """
    result: dict[str, Any] = {"seeds": len(records)}
    for name in records[0].criteria:
        profiles = [_profile(record.criterion(name).harm) for record in records]
        distances = [float(np.abs(a - b).sum() / 2) for a, b in combinations(profiles, 2)]
        within = [record.stability[name].mean for record in records]
        result[name] = {"within": within, "profile distance": float(np.mean(distances))}
    return result


def _profile(harm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares of the absolute harm, the largest first."""
    sizes = np.sort(np.abs(harm))[::-1]
    return np.asarray(sizes / max(sizes.sum(), np.finfo(float).tiny))
