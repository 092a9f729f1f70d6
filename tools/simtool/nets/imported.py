"""A network from somebody else's code: its factory, its weights, and the layer to ablate."""

from __future__ import annotations

import importlib
import json
import logging
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from simrun.errors import ModelError, UsageError, first_line
from simtool.nets.base import Classifier, NetSpec, load_weights
from simtool.nets.layer_output import LayerOutput

log = logging.getLogger(__name__)

_DEFAULT_SIZE: Final = 224
"""Side of the images that a network takes, in pixels, where nobody says it."""


@dataclass(frozen=True)
class ForeignSpec(NetSpec):
    """Facts about a network that was given by --model; its name is `package.module:factory`."""

    mean: tuple[float, ...] = (0.0,)
    """Subtracted from each channel of images in [0, 1]; one for all, or one a channel."""
    std: tuple[float, ...] = (1.0,)
    """Then divided by."""

    def __post_init__(self) -> None:
        """Refuse a normalisation that does not fit. Raises UsageError."""
        for option, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, self.channels):
                raise UsageError(
                    f"--{option} has {len(values)} numbers; give 1, or {self.channels}"
                )
        if not all(value > 0 for value in self.std):
            raise UsageError(f"--std is {self.std}; every number must be above 0")

    def to_json(self) -> dict[str, Any]:
        """A JSON object for a checkpoint's metadata."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ForeignSpec:
        """Read what `to_json` wrote. Raises TypeError where it is something else."""
        lists = {key: tuple(data[key]) for key in ("classes", "mean", "std") if key in data}
        facts = {**data, **lists}
        facts.pop("whole", None)  # in checkpoints of earlier versions; nothing ever read it
        return cls(**facts)


@dataclass(frozen=True)
class InputFormat:
    """What a network takes, as far as somebody says so; None leaves it to the weights' file."""

    channels: str | None = None
    """grey or rgb."""
    size: int | None = None
    """Side of the images, in pixels."""
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    classes: tuple[str, ...] | None = None
    """In the order of its outputs."""


class ForeignNet(Classifier):
    """Images in [0, 1] -> normalisation -> the network."""

    spec: ForeignSpec
    mean: Tensor
    std: Tensor

    def __init__(self, spec: ForeignSpec, model: nn.Module) -> None:
        """Put the normalisation before a network."""
        super().__init__(spec)
        self.model = model
        shape = (1, -1, 1, 1)
        self.register_buffer("mean", torch.tensor(spec.mean).view(shape), persistent=False)
        self.register_buffer("std", torch.tensor(spec.std).view(shape), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images (N, C, H, W) float in [0, 1]."""
        logits: Tensor = self.model((images - self.mean) / self.std)
        return logits

    def export_trunk(self) -> nn.Module:
        """Normalisation and network as far as the layer.

        Raises:
            ModelError: the layer is not called for an image, or gives no maps.
        """
        side = self.spec.crop_size
        images = torch.zeros(2, self.spec.channels, side, side, device=self.mean.device)
        return LayerOutput(self, self.layer, images.to(self.mean.dtype), self.spec.layer)

    @property
    def layer(self) -> str:
        """See `Classifier`."""
        return f"model.{self.spec.layer}"

    def at(self, layer: str, classes: tuple[str, ...]) -> ForeignNet:
        """The same network, to be ablated at a layer of its own; nothing is copied."""
        spec = replace(self.spec, layer=layer, classes=classes)
        return ForeignNet(spec, self.model).eval().to(self.mean.device)


def load_imported(
    factory: str, path: Path, takes: InputFormat
) -> tuple[ForeignNet, dict[str, Tensor]]:
    """A network with its weights, in evaluation mode, and the weights as they are in the file.

    Args:
        factory: `package.module:factory`.
        path: file of the weights; what it says of the network holds where `takes` does not.
        takes: what was asked for.

    Raises:
        UsageError: an option does not fit, or there is no such factory.
        ModelError: the factory fails, or the weights are damaged or not those of the network.
    """
    model = make_model(factory)
    weights, facts = read_weights(path)
    load_weights(model, weights)
    return ForeignNet(_spec(factory, takes, facts), model).eval(), weights


def restore_imported(factory: str, spec: ForeignSpec, weights: Mapping[str, Tensor]) -> ForeignNet:
    """A network as `spec` says it was loaded before. Errors as `load_imported`."""
    model = make_model(factory)
    load_weights(model, weights)
    return ForeignNet(spec, model).eval()


def _spec(factory: str, takes: InputFormat, facts: Mapping[str, Any]) -> ForeignSpec:
    """What was asked for, else what the weights' file says, else the defaults, said aloud."""
    channels = {"grey": 1, "rgb": 3, 1: 1, 3: 3}.get(takes.channels or facts.get("channels", 3))
    if channels is None:
        raise ModelError(f"the weights' file says channels {facts['channels']!r}; give --channels")
    size = takes.size or facts.get("size", _DEFAULT_SIZE)
    if not isinstance(size, int) or not 8 <= size <= 512:
        raise UsageError(f"--size is {size!r}; it must be 8 to 512 pixels")
    mean = takes.mean or _numbers(facts.get("mean"))
    std = takes.std or _numbers(facts.get("std"))
    if mean is None or std is None:
        log.warning(
            "no normalisation given (--mean, --std) and none in the weights' file: the network "
            "gets RGB or grey values in [0, 1]"
        )
    return ForeignSpec(
        name=factory,
        classes=takes.classes or _names(facts.get("classes")),
        layer="",
        crop_size=size,
        channels=channels,
        target="object",
        export_padding="same",
        mean=mean or (0.0,),
        std=std or (1.0,),
    )


def _numbers(value: object) -> tuple[float, ...] | None:
    if isinstance(value, int | float):
        return (float(value),)
    if isinstance(value, list | tuple) and all(isinstance(v, int | float) for v in value):
        return tuple(float(v) for v in value)
    return None


def _names(value: object) -> tuple[str, ...]:
    return tuple(str(v) for v in value) if isinstance(value, list | tuple) else ()


def make_model(name: str) -> nn.Module:
    """Call `package.module:factory`; modules in the working directory are found too.

    Raises:
        UsageError: the name is of another form, or there is no such module or factory.
        ModelError: the factory fails, or makes no network.
    """
    module_name, separator, factory_name = name.partition(":")
    if not (module_name and separator and factory_name):
        raise UsageError(f"--model is {name!r}; it must be package.module:factory")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        factory = getattr(importlib.import_module(module_name), factory_name)
    except ImportError as error:
        raise UsageError(f"--model {name}: cannot import {module_name} ({error})") from error
    except AttributeError as error:
        raise UsageError(f"--model {name}: {module_name} has no '{factory_name}'") from error
    try:
        model = factory()
    except Exception as error:  # somebody else's code may raise anything
        raise ModelError(
            f"{name}() fails: {error}; the factory must take no arguments (wrap it in one)"
        ) from error
    if not isinstance(model, nn.Module):
        raise ModelError(f"{name}() gives a {type(model).__name__}, not a torch.nn.Module")
    return model


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """A state dict, and what its file says of the network: mean, std, size, channels, classes.

    A .safetensors file says it in its metadata, each value as JSON; a .pt or .pth file beside a
    `state_dict` entry. Pickled code is not run.

    Raises:
        ModelError: the file is missing, damaged or of another kind.
    """
    start = _first_bytes(path)
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                return tensors, _metadata(file.metadata() or {})
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, ValueError, EOFError, KeyError, OSError) as error:
        raise ModelError(
            f"{path} is damaged or not a file of weights: {first_line(error)}"
        ) from error
    except Exception as error:
        # pickle.UnpicklingError, among others: there is more than tensors, or nothing of torch's.
        if not start.startswith(_SAVED):
            raise ModelError(
                f"{path} is not a file of weights; give what torch.save wrote"
            ) from error
        raise ModelError(
            f"{path} holds more than weights and is not run ({first_line(error)}); save "
            "model.state_dict() alone"
        ) from error
    nested = isinstance(content, dict) and isinstance(content.get("state_dict"), dict)
    state = content["state_dict"] if nested else content
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ModelError(f"{path} holds no state dict; save model.state_dict()")
    facts = {key: content[key] for key in _FACTS if key in content} if nested else {}
    return dict(state), facts


_FACTS = ("mean", "std", "size", "channels", "classes")
_SAVED = (b"PK", b"\x80")
"""How a file of torch.save begins: as a zip, or of old as a pickle."""


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(2)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error


def _metadata(metadata: Mapping[str, str]) -> dict[str, Any]:
    """The facts that are there; what is no JSON is taken as it is."""
    facts: dict[str, Any] = {}
    for key in _FACTS:
        if key in metadata:
            try:
                facts[key] = json.loads(metadata[key])
            except ValueError:
                facts[key] = metadata[key]
    return facts
