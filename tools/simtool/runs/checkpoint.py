"""Weights and optimizer states in one safetensors file, with what they are from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from simrun.bundle.load import METADATA_FILE
from simrun.errors import ModelError, UsageError, brief
from simtool.data.dataset import Variant
from simtool.nets import READERS, build_net
from simtool.nets.base import Classifier, load_weights
from simtool.nets.imported import ForeignSpec, restore_imported
from simtool.nets.reader import Reader

CHECKPOINT_FILE: Final = "checkpoint.safetensors"
CLASSIFIER_CHECKPOINT: Final = "classifier.safetensors"
"""In a bundle: the classifier that reads crops, where it is another network than the localizer."""
READER_CHECKPOINT: Final = "reader.safetensors"
"""In a bundle: the reader of strips, where it has one."""
_MODEL: Final = "model."
_OPTIMIZER: Final = "optimizer."
_METADATA: Final = "similarnet"


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
    trusted: str | None = None
    """The factory that the user named: no other one of somebody else's is imported."""

    def trusting(self, factory: str | None) -> Checkpoint:
        """The same, with the factory that the user named on the command line, if any.

        Raises:
            UsageError: the network needs one and none or another one is named, or it needs none.
        """
        if self.foreign is None and factory is not None:
            raise UsageError(f"--model is for networks from elsewhere; this is our '{self.net}'")
        checkpoint = replace(self, trusted=factory)
        checkpoint._refuse_untrusted()
        return checkpoint

    def _refuse_untrusted(self) -> None:
        if self.foreign is not None and self.trusted != self.net:
            given = f", not {self.trusted}" if self.trusted is not None else ""
            raise UsageError(
                f"the network is made by code that did not come with it, {brief(self.net)}{given}; "
                "that code runs only where you name it: --model package.module:factory"
            )

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
            UsageError: there is no such network, or its factory is not trusted or cannot be
                imported.
        """
        self._refuse_untrusted()
        if self.foreign is not None:
            return restore_imported(self.net, self.foreign, self.weights)
        net = build_net(self.net, self.variant)
        load_weights(net, self.weights)
        return net.eval()


def build_reader(checkpoint: Checkpoint) -> Reader:
    """The reader with these weights, in evaluation mode.

    Raises:
        ModelError: they are another network's.
    """
    if checkpoint.net not in READERS:
        raise ModelError(
            f"'{checkpoint.net}' is no reader of strips; give a run of 'simtool train reader'"
        )
    net = READERS[checkpoint.net]()
    load_weights(net, checkpoint.weights)
    return net.eval()


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


def optimizer_tensors(net: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's state as `parameter/key` -> tensor."""
    names = _parameter_names(net, optimizer)
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
    indices = {name: index for index, name in enumerate(_parameter_names(net, optimizer))}
    state: dict[int, dict[str, Tensor]] = {}
    for path, value in tensors.items():
        name, _, key = path.rpartition("/")
        if name not in indices:
            raise ModelError(f"the checkpoint's optimizer state has an unknown parameter '{name}'")
        state.setdefault(indices[name], {})[key] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def _parameter_names(net: nn.Module, optimizer: torch.optim.Optimizer) -> list[str]:
    """The names of the parameters, in the order of the optimizer's groups."""
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    return [names[id(p)] for group in optimizer.param_groups for p in group["params"]]
