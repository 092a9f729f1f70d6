"""What `simtool ablate` does: it ablates a run, the seeds of a run, or a network of --model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from simrun.errors import UsageError, first_line
from simtool.ablation.measure import AblationOptions
from simtool.ablation.target import ModelRequest, ablate_model
from simtool.cli.options import read_numbers
from simtool.commands.ablate_run import ablate_run
from simtool.commands.ablate_seeds import ablate_seeds
from simtool.data.image_folder import channels_of
from simtool.distributed import Peers, joined
from simtool.weighting.weigh import WeightingOptions


@dataclass(frozen=True)
class AblateRequest:
    """The options of `simtool ablate` as given; None where not."""

    run: Path | None
    data: Path | None
    split: str
    model: str | None
    weights: tuple[Path, ...]
    layers: tuple[str, ...]
    out: Path | None
    channels: str | None
    size: int | None
    mean: str | None
    std: str | None
    classes: str | None
    device: str
    deletion: bool
    seeds: bool


def ablate_any(
    request: AblateRequest, options: AblationOptions, method: str, weights: WeightingOptions
) -> dict[str, Any] | None:
    """Ablate a run, the seeds of a run, or a network of --model; a summary.

    None in a process that does not lead.

    Raises:
        UsageError: the options do not go together, and those of what is ablated.
    """
    _check_device(request.device)
    with joined(request.device) as peers:
        result = _ablate(request, options, method, weights, peers)
    return result if peers.leads else None


def _ablate(
    request: AblateRequest,
    options: AblationOptions,
    method: str,
    weights: WeightingOptions,
    peers: Peers,
) -> dict[str, Any]:
    if request.model is not None:
        return ablate_model(_model_request(request), options, method, weights, peers)
    foreign = (request.weights, request.layers, request.out, request.channels, request.size)
    if any(foreign) or request.mean or request.std or request.classes:
        raise UsageError(
            "--weights, --layer, --out, --channels, --size, --mean, --std and --classes belong to "
            "--model package.module:factory"
        )
    if request.run is None:
        raise UsageError("name a run folder, or a network with --model package.module:factory")

    def one(folder: Path) -> dict[str, Any]:
        return ablate_run(
            *(folder, request.data, request.split, method, weights, options),
            *(peers, request.device, request.deletion),
        )

    if not request.seeds:
        return one(request.run)
    return ablate_seeds(request.run, one, peers)


def _model_request(request: AblateRequest) -> ModelRequest:
    """The options that --model needs, read. Raises UsageError where one is missing or unclear."""
    if request.run is not None or request.seeds:
        raise UsageError("--model and a run folder do not go together; leave one of them out")
    if not request.weights or request.data is None or request.out is None:
        raise UsageError("--model needs --weights FILE, --data FOLDER and --out RUN")
    return ModelRequest(
        model=str(request.model),
        weights=request.weights,
        data=request.data,
        out=request.out,
        layers=request.layers,
        channels=channels_of(request.channels),
        size=request.size,
        mean=_given_numbers("--mean", request.mean),
        std=_given_numbers("--std", request.std),
        classes=None if request.classes is None else tuple(request.classes.split(",")),
        device=request.device,
        deletion=request.deletion,
    )


def _given_numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    return None if text is None else read_numbers(option, text, "0.5,0.5,0.4")


def _check_device(device: str) -> None:
    """Raise UsageError where PyTorch has no such device."""
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"--device {device} cannot be used ({first_line(error)}); cpu always can"
        ) from error
