"""A network from somebody else's code: its factory, its weights, and the layer to ablate."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from simrun.errors import ModelError, UsageError, first_line
from simtool.nets.base import Classifier, NetSpec, load_weights
from simtool.nets.layer_output import LayerOutput
from simtool.nets.state_dict import fitting_weights, read_weights

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
    outputs: tuple[int, ...] = ()
    """The output of the network that each class is; empty where they are all outputs, in order."""
    binary: bool = False
    """Whether the network has one output: below 0 the first of two classes, above the second."""

    def __post_init__(self) -> None:
        """Refuse a normalisation or a size that does not fit. Raises UsageError."""
        if self.channels not in (1, 3) or not 8 <= self.crop_size <= 512:
            raise UsageError(
                f"a network for {self.channels} channels and {self.crop_size} pixels: 1 or 3 "
                "channels and 8 to 512 pixels are possible"
            )
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
        lists = {
            key: tuple(data[key]) for key in ("classes", "mean", "std", "outputs") if key in data
        }
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
    """Class folders, in the order of its outputs or with `numbers`."""
    numbers: tuple[str, ...] | None = None
    """The number or name of the output that each of `classes` is."""
    outputs: tuple[str, ...] | None = None
    """Names of all its outputs."""


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
        """Logits of images (N, C, H, W) float in [0, 1].

        Of one output z the two classes' are -z / 2 and z / 2: their softmax is its sigmoid.
        """
        logits: Tensor = self.model((images - self.mean) / self.std)
        if self.spec.binary:
            half = logits.reshape(-1, 1) / 2
            return torch.cat([-half, half], 1)
        return logits[:, list(self.spec.outputs)] if self.spec.outputs else logits

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

    def at(self, layer: str) -> ForeignNet:
        """The same network, to be ablated at a layer of its own; nothing is copied."""
        return self._with(replace(self.spec, layer=layer))

    def answering(
        self, classes: tuple[str, ...], outputs: tuple[int, ...], binary: bool
    ) -> ForeignNet:
        """The same network with other classes, see `ForeignSpec`; nothing is copied."""
        return self._with(replace(self.spec, classes=classes, outputs=outputs, binary=binary))

    def _with(self, spec: ForeignSpec) -> ForeignNet:
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
    found, facts = read_weights(path)
    weights = fitting_weights(path, found, model)
    _load(model, weights)
    return ForeignNet(_spec(factory, takes, facts), model).eval(), weights


def restore_imported(factory: str, spec: ForeignSpec, weights: Mapping[str, Tensor]) -> ForeignNet:
    """A network as `spec` says it was loaded before. Errors as `load_imported`."""
    model = make_model(factory)
    _load(model, weights)
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
        classes=_names(facts.get("classes")),
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
    with _working_directory_first():
        try:
            factory = getattr(importlib.import_module(module_name), factory_name)
        except ImportError as error:
            reason = first_line(error)
            raise UsageError(f"--model {name}: cannot import {module_name} ({reason})") from error
        except AttributeError as error:
            raise UsageError(f"--model {name}: {module_name} has no '{factory_name}'") from error
        except (Exception, SystemExit) as error:  # somebody else's code may raise anything
            raise ModelError(f"--model {name}: importing it fails: {_said(error)}") from error
        try:
            model = factory()
        except (Exception, SystemExit) as error:
            raise ModelError(
                f"{name}() fails: {_said(error)}; the factory must take no arguments (wrap it in "
                "one)"
            ) from error
    return _unwrapped(name, model)


@contextmanager
def _working_directory_first() -> Iterator[None]:
    """Let modules be found in the working directory, first for the block and last after it."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        # What the network imports later is found, and no file there shadows a library of ours.
        sys.path.remove(here)
        if here not in sys.path:
            sys.path.append(here)


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {first_line(error)}" if str(error) else type(error).__name__


def _unwrapped(name: str, model: object) -> nn.Module:
    """The network itself, without what compiles it or spreads it over devices.

    Raises:
        ModelError: it is none, or one whose layers cannot be listened to.
    """
    while (inner := _wrapped(model)) is not None:
        log.info("%s() gives a %s: the network in it is taken", name, type(model).__name__)
        model = inner
    if not isinstance(model, nn.Module):
        raise ModelError(f"{name}() gives a {type(model).__name__}, not a torch.nn.Module")
    if isinstance(model, torch.jit.ScriptModule):
        raise ModelError(
            f"{name}() gives a script (torch.jit), whose layers cannot be blocked; give the "
            "network that it was made of"
        )
    return model


def _wrapped(model: object) -> nn.Module | None:
    """What torch.compile or DataParallel have put a wrapper around; None where they have not."""
    name = "module" if isinstance(model, nn.DataParallel) else "_orig_mod"
    inner = getattr(model, name, None)
    return inner if isinstance(inner, nn.Module) else None


def _load(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load weights; those that are computed at each call become plain ones of the same values.

    Raises:
        ModelError: they are not those of the network.
    """
    load_weights(model, weights)
    model.eval()  # in training mode a spectral norm would take another step
    baked = [name for name, module in model.named_modules() if _bake(module)]
    if baked:
        log.info("weights that are computed (weight norm and the like) are plain now: %s", baked[0])


def _bake(module: nn.Module) -> bool:
    """Replace a module's computed weights by their values; whether it had any."""
    found = False
    if parametrize.is_parametrized(module):
        for name in list(module.parametrizations):  # type: ignore[arg-type]  # a ModuleDict
            parametrize.remove_parametrizations(module, name)
        found = True
    for hook in list(module._forward_pre_hooks.values()):
        if isinstance(hook, WeightNorm):
            nn.utils.remove_weight_norm(module, hook.name)
        elif isinstance(hook, SpectralNorm):
            nn.utils.remove_spectral_norm(module, hook.name)
        elif isinstance(hook, prune.BasePruningMethod):
            prune.remove(module, hook._tensor_name)  # type: ignore[no-untyped-call]  # so is PyTorch's
        else:
            continue
        found = True
    return found
