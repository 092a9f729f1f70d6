"""`simtool ablate RUN`: a network that `simtool train` made, on its own data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from simrun.errors import ModelError, UsageError
from simtool.ablation.deletion import kernel_norms, last_convolution
from simtool.ablation.job import Job, ablate_job
from simtool.ablation.measure import AblationOptions, Provenance
from simtool.ablation.partition.choose import cut_halves
from simtool.data import CARRIED, load_split
from simtool.data.tensors import to_tensors
from simtool.distributed import ALONE, Peers
from simtool.nets import SplitNet
from simtool.reporting.ablation_summary import ablation_summary
from simtool.runs.checkpoint import read_checkpoint
from simtool.runs.folder import ABLATION_FILE, RunFolder
from simtool.weighting.weigh import WeightingOptions


def ablate_run(
    folder: Path,
    data: Path | None,
    split: str,
    method: str,
    weights: WeightingOptions,
    options: AblationOptions,
    peers: Peers = ALONE,
    device: str = "cpu",
    deletion: bool = True,
) -> dict[str, Any]:
    """Ablate the network of a run folder into its ablation.json; a summary."""
    run = RunFolder.open(folder)
    checkpoint = read_checkpoint(folder)
    if checkpoint.foreign is not None:
        raise UsageError(f"{folder} is of --model {checkpoint.net}; give --model and --weights")
    name = run.config().recipe.data
    images = load_split(name, split, folder if data is None and name in CARRIED else data)
    net = checkpoint.build().to(device)
    if not isinstance(net, SplitNet):
        raise ModelError(f"{folder} holds a {type(net).__name__}, not a network in two halves")
    example = to_tensors(images, np.arange(2))[0].to(device)
    job = Job(
        cut=cut_halves(net.trunk, net.head, net.spec.layer, example),
        read=lambda indices: to_tensors(images, indices),
        count=len(images),
        provenance=Provenance(
            layer=net.spec.layer,
            split=split,
            data_sha256=images.sha256,
            checkpoint_sha256=checkpoint.sha256,
            classes=net.spec.classes,
        ),
        options=options,
        norms=kernel_norms(last_convolution(net, _last_name(net), example[:1])),
        deletion=deletion,
        device=device,
    )
    record = ablate_job(job, peers)
    if peers.leads:
        record.save(folder / ABLATION_FILE)
    return ablation_summary(record, folder, method, replace(weights, background=net.spec.contrast))


def _last_name(net: SplitNet) -> str:
    """Name of the trunk's last module."""
    return f"trunk.{list(net.trunk._modules)[-1]}"
