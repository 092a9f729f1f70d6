"""`simtool ablate --model`: a network from somebody else's code, on a folder of pictures."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from simrun.errors import ModelError, SourceError, UsageError, first_line
from simtool.ablation.deletion import kernel_norms, last_convolution
from simtool.ablation.job import Job, ablate_job
from simtool.ablation.measure import AblationOptions, Provenance
from simtool.ablation.partition.choose import cut_network
from simtool.ablation.record import AblationRecord
from simtool.ablation.stability import pairwise
from simtool.data.image_folder import Channels, ImageFolder
from simtool.distributed import Peers
from simtool.files import write_json
from simtool.nets.imported import ForeignNet, ForeignSpec, make_model, read_weights
from simtool.nets.layers import find_layer, last_spatial_layer
from simtool.reporting.ablation_summary import ablation_summary
from simtool.runs.checkpoint import CHECKPOINT_FILE, Checkpoint, load_weights
from simtool.runs.folder import ABLATION_FILE, STABILITY_FILE, ForeignConfig
from simtool.weighting.weigh import WeightingOptions

log = logging.getLogger(__name__)

_DEFAULT_SIZE: Final = 224


@dataclass(frozen=True)
class ModelRequest:
    """The options of `simtool ablate --model` as given; None where not."""

    model: str
    weights: tuple[Path, ...]
    """One checkpoint, or several of the same network."""
    data: Path
    out: Path
    layers: tuple[str, ...] = ()
    channels: Channels | None = None
    size: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    classes: tuple[str, ...] | None = None
    device: str = "cpu"
    deletion: bool = True


def ablate_model(
    request: ModelRequest,
    options: AblationOptions,
    method: str,
    weighting: WeightingOptions,
    peers: Peers,
) -> dict[str, Any]:
    """Ablate every layer of every checkpoint into run folders of their own; a summary.

    One layer of one checkpoint goes into `out` itself, several layers into `out`/LAYER, several
    checkpoints into `out`/checkpoint-I, with stability.json beside them.

    Raises:
        UsageError: an option, the factory or a layer is unknown or does not fit.
        ModelError: factory, weights or network cannot be used.
        SourceError: the pictures cannot be used.
    """
    summaries: dict[str, Any] = {}
    harms: dict[str, list[AblationRecord]] = {}
    for index, path in enumerate(request.weights):
        folder = request.out
        if len(request.weights) > 1:
            folder = folder / f"checkpoint-{index}"
        for layer, record, place in _ablate_checkpoint(request, path, folder, options, peers):
            summaries[str(place)] = ablation_summary(record, place, method, weighting)
            harms.setdefault(layer, []).append(record)
    if len(request.weights) > 1:
        stability = {layer: _between(records) for layer, records in harms.items()}
        if peers.leads:
            write_json(request.out / STABILITY_FILE, stability)
        return {"runs": summaries, "stability between checkpoints": stability}
    return next(iter(summaries.values())) if len(summaries) == 1 else {"runs": summaries}


def _ablate_checkpoint(
    request: ModelRequest, path: Path, folder: Path, options: AblationOptions, peers: Peers
) -> list[tuple[str, AblationRecord, Path]]:
    """Ablate the layers of one checkpoint."""
    model = make_model(request.model)
    weights, facts = read_weights(path)
    load_weights(model, weights)
    spec = _spec(request, facts)
    names = request.classes or _as_names(facts.get("classes"))
    data = ImageFolder.open(request.data, spec.crop_size, _channels(spec.channels), names)
    net = ForeignNet(replace(spec, classes=data.classes), model).eval().to(request.device)
    example = data.tensors(np.linspace(0, len(data) - 1, 2).round().astype(np.int64))[0]
    example = example.to(request.device)
    _check_head(net, example, data)
    results = []
    layers = request.layers or (last_spatial_layer(model, example[:1]),)
    for layer in layers:
        find_layer(model, layer)  # all names first: a slip must not cost the others' time
    for layer in layers:
        place = folder / layer if len(layers) > 1 else folder
        net.spec = replace(spec, classes=data.classes, layer=layer)
        record = _ablate_layer(request, net, weights, data, example, options, peers, place)
        results.append((layer, record, place))
    return results


def _ablate_layer(
    request: ModelRequest,
    net: ForeignNet,
    weights: Mapping[str, Tensor],
    data: ImageFolder,
    example: Tensor,
    options: AblationOptions,
    peers: Peers,
    place: Path,
) -> AblationRecord:
    """Measure one layer; the leading process writes its run folder."""
    if not isinstance(net.spec, ForeignSpec):
        raise TypeError(f"the specification is a {type(net.spec).__name__}")
    checkpoint = Checkpoint(request.model, 0, weights, {}, net.spec)
    config = ForeignConfig(request.model, str(request.data), data.sha256, net.spec.layer)
    if peers.leads:
        config.claim(place)
    job = Job(
        cut=cut_network(net, net.layer, example, net.spec.layer),
        read=data.tensors,
        count=len(data),
        provenance=Provenance(
            layer=net.spec.layer,
            split="all",
            data_sha256=data.sha256,
            checkpoint_sha256=checkpoint.sha256,
            classes=data.classes,
        ),
        options=options,
        norms=kernel_norms(last_convolution(net, net.layer, example[:1])),
        deletion=request.deletion,
        device=request.device,
    )
    record = ablate_job(job, peers)
    if peers.leads:
        config.save(place, checkpoint)
        record.save(place / ABLATION_FILE)
        log.info("%s: %s and %s written", place, CHECKPOINT_FILE, ABLATION_FILE)
    return record


def _spec(request: ModelRequest, facts: Mapping[str, Any]) -> ForeignSpec:
    """What was asked for, else what the weights' file says, else the defaults, said aloud."""
    channels = {"grey": 1, "rgb": 3, 1: 1, 3: 3}.get(request.channels or facts.get("channels", 3))
    if channels is None:
        raise ModelError(f"the weights' file says channels {facts['channels']!r}; give --channels")
    size = request.size or facts.get("size", _DEFAULT_SIZE)
    if not isinstance(size, int) or not 8 <= size <= 512:
        raise UsageError(f"--size is {size!r}; it must be 8 to 512 pixels")
    mean = request.mean or _numbers(facts.get("mean"))
    std = request.std or _numbers(facts.get("std"))
    if mean is None or std is None:
        log.warning(
            "no normalisation given (--mean, --std) and none in the weights' file: the network "
            "gets RGB or grey values in [0, 1]"
        )
    return ForeignSpec(
        name=request.model,
        classes=(),
        layer="",
        crop_size=size,
        channels=channels,
        target="object",
        export_padding="same",
        mean=mean or (0.0,),
        std=std or (1.0,),
    )


def _check_head(net: ForeignNet, example: Tensor, data: ImageFolder) -> None:
    """Run two pictures. Raises ModelError, UsageError or SourceError where that does not work."""
    try:
        with torch.inference_mode():
            logits: object = net(example)
    except RuntimeError as error:
        raise ModelError(
            f"the network fails on images {tuple(example.shape[1:])} ({first_line(error)}); check "
            "--channels and --size"
        ) from error
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ModelError(
            f"the network gives {shape}, not logits (N, classes); wrap it in a factory"
        )
    if logits.shape[1] != len(data.classes):
        raise SourceError(
            f"the network's head has {logits.shape[1]} classes, {data.root} has "
            f"{len(data.classes)} class folders; name the head's in its order with --classes"
        )
    if not bool(torch.isfinite(logits).all()):
        raise ModelError(
            "the network gives logits that are not finite (NaN or infinity); check its weights and "
            "the normalisation (--mean, --std)"
        )


def _between(records: Sequence[AblationRecord]) -> dict[str, Any]:
    """Agreement of several checkpoints' orders, by criterion."""
    names = records[0].criteria
    return {n: asdict(pairwise([record.criterion(n).harm for record in records])) for n in names}


def _channels(count: int) -> Channels:
    return "grey" if count == 1 else "rgb"


def _numbers(value: object) -> tuple[float, ...] | None:
    if isinstance(value, int | float):
        return (float(value),)
    if isinstance(value, list | tuple) and all(isinstance(v, int | float) for v in value):
        return tuple(float(v) for v in value)
    return None


def _as_names(value: object) -> tuple[str, ...] | None:
    return tuple(str(v) for v in value) if isinstance(value, list | tuple) else None
