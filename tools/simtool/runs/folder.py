"""The run folder: what training leaves behind and what ablation and export start from.

config.json             the recipe, the seed, the hash of the data
history.json            a line an epoch: loss and accuracy
checkpoint.safetensors  weights and optimizer state after the last whole epoch
ablation.json           added by `simtool ablate`

A bundle keeps the checkpoint too; the wheel leaves it out of the models that it brings.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from simrun.bundle.load import METADATA_FILE
from simrun.errors import ModelError, OutputError, UsageError
from simtool.files import read_json, write_atomic, write_json
from simtool.nets import build_net
from simtool.nets.base import Classifier, Variant
from simtool.nets.imported import ForeignNet, ForeignSpec, make_model
from simtool.runs.recipes import AnyRecipe, recipe_from_json

RUN_SCHEMA: Final = "similarnet-run/1"
FOREIGN_SCHEMA: Final = "similarnet-foreign/1"
CONFIG_FILE: Final = "config.json"
HISTORY_FILE: Final = "history.json"
CHECKPOINT_FILE: Final = "checkpoint.safetensors"
READER_FILE: Final = "classifier.safetensors"
"""In a bundle: the classifier that reads crops, where it is another network than the localizer."""
ABLATION_FILE: Final = "ablation.json"
STABILITY_FILE: Final = "stability.json"
SUMMARY_FILE: Final = "summary.json"
_MODEL: Final = "model."
_OPTIMIZER: Final = "optimizer."
_METADATA: Final = "similarnet"


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides the result of a training."""

    recipe: AnyRecipe
    seed: int
    data_sha256: str
    """Hash of the training split."""

    def to_json(self) -> dict[str, Any]:
        """The content of config.json."""
        return {"schema": RUN_SCHEMA, **asdict(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], path: Path) -> RunConfig:
        """Read config.json.

        Raises:
            ModelError: it is of another schema or lacks a field.
        """
        if data.get("schema") != RUN_SCHEMA:
            raise ModelError(f"{path} is of schema {data.get('schema')!r}, not {RUN_SCHEMA!r}")
        try:
            return cls(recipe_from_json(data["recipe"]), data["seed"], data["data_sha256"])
        except (KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"{path} is not a run's configuration: {error}") from error


@dataclass(frozen=True)
class Checkpoint:
    """Weights, and how far the training was."""

    net: str
    """Name in `simtool.nets.NETS`."""
    epoch: int
    """Whole epochs done."""
    weights: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]
    """`parameter/key` -> tensor; empty in a bundle, which is not trained further."""
    foreign: ForeignSpec | None = None
    """Of a network that was given by --model: `net` names its factory then."""
    variant: Variant | None = None
    """What a network took from the data it was made for."""

    @property
    def sha256(self) -> str:
        """Hash of the weights alone, so that a bundle's checkpoint has the run's."""
        digest = hashlib.sha256()
        for name in sorted(self.weights):
            tensor = self.weights[name].contiguous()
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()

    def to_bytes(self) -> bytes:
        """The content of checkpoint.safetensors."""
        tensors = {f"{_MODEL}{name}": value for name, value in self.weights.items()}
        tensors |= {f"{_OPTIMIZER}{name}": value for name, value in self.optimizer.items()}
        facts: dict[str, Any] = {"net": self.net, "epoch": self.epoch}
        if self.foreign is not None:
            facts["foreign"] = self.foreign.to_json()
        if self.variant is not None:
            facts["variant"] = asdict(self.variant)
        # Cloned, because the format refuses tensors that share memory, as tied weights do.
        whole = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
        return save(whole, {_METADATA: json.dumps(facts)})

    def build(self) -> Classifier:
        """The network with these weights, in evaluation mode.

        Raises:
            ModelError: the weights are not those of the network.
            UsageError: there is no such network, or its factory cannot be imported.
        """
        if self.foreign is not None:
            model = make_model(self.net)
            load_weights(model, self.weights)
            return ForeignNet(self.foreign, model).eval()
        net = build_net(self.net, self.variant)
        load_weights(net, self.weights)
        return net.eval()


def load_weights(net: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copy weights into a network.

    Raises:
        ModelError: names or shapes are not those of the network.
    """
    try:
        net.load_state_dict(dict(weights))
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"the checkpoint does not fit the network: {reason[:300]}") from error


def read_checkpoint(folder: Path, name: str = CHECKPOINT_FILE) -> Checkpoint:
    """Read `checkpoint.safetensors`, or another one, of a run folder or bundle.

    Raises:
        ModelError: it is missing, damaged or not one of ours.
    """
    path = folder / name
    if not path.is_file() and (folder / METADATA_FILE).is_file():
        raise ModelError(
            f"{folder} has no {name}: it holds what simrun runs alone; take the model's folder of "
            "the source tree, or a run folder"
        )
    if not path.is_file():
        raise ModelError(f"{folder} has no {name}; run 'simtool train' first")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = json.loads((file.metadata() or {})[_METADATA])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        weights = {k.removeprefix(_MODEL): v for k, v in tensors.items() if k.startswith(_MODEL)}
        optimizer = {
            k.removeprefix(_OPTIMIZER): v for k, v in tensors.items() if k.startswith(_OPTIMIZER)
        }
        foreign, variant = metadata.get("foreign"), metadata.get("variant")
        return Checkpoint(
            str(metadata["net"]),
            int(metadata["epoch"]),
            weights,
            optimizer,
            None if foreign is None else ForeignSpec.from_json(foreign),
            None if variant is None else Variant(tuple(variant["classes"]), variant["channels"]),
        )
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise ModelError(f"{path} is damaged or not a checkpoint of ours: {error}") from error


@dataclass(frozen=True)
class ForeignConfig:
    """Where a network from --model came from: the config.json of its run folder."""

    model: str
    """package.module:factory"""
    data: str
    """Folder of the pictures, as it was given."""
    data_sha256: str
    layer: str

    def claim(self, folder: Path) -> None:
        """Refuse a folder that holds something else, before the work is done.

        Raises:
            OutputError: it does.
        """
        if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
            return
        config = folder / CONFIG_FILE
        if not config.is_file() or read_json(config).get("schema") != FOREIGN_SCHEMA:
            raise OutputError(f"{folder} is not empty and holds no such run; choose another --out")

    def save(self, folder: Path, checkpoint: Checkpoint) -> None:
        """Write config and checkpoint. Raises OutputError where they cannot be written."""
        write_json(folder / CONFIG_FILE, {"schema": FOREIGN_SCHEMA, **asdict(self)})
        write_atomic(folder / CHECKPOINT_FILE, checkpoint.to_bytes())

    @classmethod
    def load(cls, folder: Path) -> ForeignConfig:
        """Read what `save` wrote. Raises ModelError where it is damaged."""
        path = folder / CONFIG_FILE
        data = read_json(path)
        try:
            return cls(*(str(data[f.name]) for f in fields(cls)))
        except KeyError as error:
            raise ModelError(f"{path} lacks {error}; run 'simtool ablate --model' again") from error


@dataclass(frozen=True)
class RunFolder:
    """A folder of one training run."""

    path: Path

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """A run that exists.

        Raises:
            ModelError: the folder holds no run, or the runs of several seeds.
        """
        if (path / SUMMARY_FILE).is_file() or (path / "seed-0").is_dir():
            raise ModelError(f"{path} holds several seeds; name one, such as {path / 'seed-0'}")
        if not (path / CONFIG_FILE).is_file():
            raise ModelError(f"{path} is not a run folder: it has no {CONFIG_FILE}")
        return cls(path)

    @classmethod
    def create(cls, path: Path, config: RunConfig) -> RunFolder:
        """A new run, or the same one again, to be resumed.

        Raises:
            OutputError: the folder holds something else, or cannot be written.
            UsageError: the folder holds a run of another recipe, seed or data.
        """
        run = cls(path)
        if (path / CONFIG_FILE).is_file():
            if run.config() != config:
                raise UsageError(
                    f"{path} holds a run of another recipe, seed or data set; "
                    "choose another folder with --out"
                )
            return run
        run.refuse_foreign()
        write_json(path / CONFIG_FILE, config.to_json())
        return run

    def refuse_foreign(self) -> None:
        """Raise OutputError where the folder holds something else than a run."""
        if (self.path / CONFIG_FILE).is_file() or not self.path.exists():
            return
        if not self.path.is_dir() or any(self.path.iterdir()):
            raise OutputError(f"{self.path} is not empty and holds no run; choose another folder")

    def config(self) -> RunConfig:
        """The configuration. Raises ModelError where it is damaged."""
        path = self.path / CONFIG_FILE
        return RunConfig.from_json(read_json(path), path)

    def checkpoint(self) -> Checkpoint | None:
        """The last checkpoint, None before the first epoch's end. Raises ModelError if damaged."""
        if not (self.path / CHECKPOINT_FILE).is_file():
            return None
        return read_checkpoint(self.path)

    def history(self, epochs: int) -> list[dict[str, Any]]:
        """The records of the first `epochs` epochs. Raises ModelError where they are damaged."""
        if epochs == 0:
            return []
        data = read_json(self.path / HISTORY_FILE)
        records = data.get("epochs")
        if not isinstance(records, list) or len(records) < epochs:
            raise ModelError(f"{self.path / HISTORY_FILE} lacks epochs; train into another folder")
        return records[:epochs]

    def save(self, checkpoint: Checkpoint, history: list[dict[str, Any]]) -> None:
        """Write history and checkpoint. Raises OutputError where they cannot be written."""
        # History first: an epoch too many in it is cut off on resuming, one too few would be lost.
        write_json(self.path / HISTORY_FILE, {"epochs": history})
        write_atomic(self.path / CHECKPOINT_FILE, checkpoint.to_bytes())


def optimizer_tensors(net: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's state as `parameter/key` -> tensor."""
    names = [name for name, _ in net.named_parameters()]
    state: dict[int, dict[str, Tensor]] = optimizer.state_dict()["state"]
    return {
        f"{names[index]}/{key}": value
        for index, values in state.items()
        for key, value in values.items()
    }


def load_optimizer(
    net: nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]
) -> None:
    """Put a saved state into the optimizer of `net`.

    Raises:
        ModelError: it has a parameter that the network has not.
    """
    indices = {name: index for index, (name, _) in enumerate(net.named_parameters())}
    state: dict[int, dict[str, Tensor]] = {}
    for path, value in tensors.items():
        name, _, key = path.rpartition("/")
        if name not in indices:
            raise ModelError(f"the checkpoint's optimizer state has an unknown parameter '{name}'")
        state.setdefault(indices[name], {})[key] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
