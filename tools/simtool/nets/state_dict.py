"""Weights as training scripts save them: read without running code, and unwrapped till they fit.

A file may hold the state dict itself or, beside other things, under a key; its names may begin with
what a wrapper added (`module.`, `_orig_mod.`, `model.`). What is taken has exactly the names of the
network's weights, and what was done for it is said.
"""

from __future__ import annotations

import argparse
import json
import logging
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from simrun.errors import ModelError, first_line

log = logging.getLogger(__name__)

_FACTS: Final = ("mean", "std", "size", "channels", "classes")
_SAVED: Final = (b"PK", b"\x80")
"""How a file of torch.save begins: as a zip, or of old as a pickle."""
_DEEPEST: Final = 3
"""Levels of dicts that state dicts are looked for in."""
_COUNTER: Final = "num_batches_tracked"
"""Of batch norms: older files lack it, and evaluation does not read it."""
_AVERAGED: Final = re.compile(r"(^|[._])(ema|averaged|shadow|teacher)|(_|\.)(ema|teacher)\b")
_SHOWN: Final = 3
_HARMLESS: Final[list[Any]] = [
    *(argparse.Namespace, pathlib.PosixPath, np.dtype, type(np.dtype("f8")), type(np.dtype("f4"))),
    *(type(np.dtype("i8")), type(np.dtype("i4")), type(np.dtype("?"))),
    (np.float64(0).__reduce__()[0], "numpy.core.multiarray.scalar"),
    (np.float64(0).__reduce__()[0], "numpy._core.multiarray.scalar"),
]
"""What scripts save beside weights and that only holds values: options, the best accuracy."""


@dataclass(frozen=True)
class StateDict:
    """A dict of a file that holds tensors."""

    place: str
    """Its keys with dots between; empty for the file itself."""
    tensors: Mapping[str, Tensor]


@dataclass(frozen=True)
class _Fit:
    """A state dict, and what its names begin with before those of the network."""

    source: StateDict
    prefix: str

    @property
    def averaged(self) -> bool:
        """Whether its name says that it is a running mean of the trained weights."""
        return bool(_AVERAGED.search(f"{self.source.place}.{self.prefix}".lower()))

    @property
    def weights(self) -> dict[str, Tensor]:
        """Tensors by the network's names."""
        start = self.prefix
        tensors = self.source.tensors.items()
        return {k.removeprefix(start): v for k, v in tensors if k.startswith(start)}

    @property
    def left(self) -> list[str]:
        """Names of tensors beside them."""
        return [name for name in self.source.tensors if not name.startswith(self.prefix)]

    def __str__(self) -> str:
        place = f"'{self.source.place}'" if self.source.place else "the file's own names"
        return f"{place} without '{self.prefix}'" if self.prefix else place


def read_weights(path: Path) -> tuple[list[StateDict], dict[str, Any]]:
    """The state dicts in a file, and its facts: mean, std, size, channels, classes.

    A .safetensors file says it in its metadata, each value as JSON; a .pt or .pth file in entries
    beside the state dict. Pickled code is not run.

    Raises:
        ModelError: the file is missing, damaged or of another kind, or holds no tensors.
    """
    start = _first_bytes(path)
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                return [StateDict("", tensors)], _metadata(file.metadata() or {})
        with torch.serialization.safe_globals(_HARMLESS):
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
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        raise ModelError(
            f"{path} holds more than weights ({named[1] if named else first_line(error)}) and is "
            "not run; save model.state_dict() alone"
        ) from error
    found = list(_state_dicts(content, ()))
    if not found:
        raise ModelError(f"{path} holds no state dict; save model.state_dict()")
    facts = {key: content[key] for key in _FACTS if key in content and found[0].place}
    return found, facts


def fitting_weights(path: Path, found: Sequence[StateDict], model: nn.Module) -> dict[str, Tensor]:
    """The weights of a file that are the network's, by its names; says what was unwrapped.

    Where none fit, those of the file as they are: loading them says what is amiss.

    Args:
        path: for the message.
        found: what `read_weights` found.
        model: the network.
    """
    wanted = {name: value.shape for name, value in model.state_dict().items()}
    fits = [fit for source in found for fit in _fits(source, wanted)]
    fits.sort(key=lambda fit: fit.averaged)  # stable: the file's own order otherwise
    if not fits:
        return dict(max(found, key=lambda source: len(source.tensors.keys() & wanted)).tensors)
    chosen, *others = fits
    if chosen.prefix or others or chosen.left or chosen.source.place not in ("", "state_dict"):
        log.info("%s: the weights are %s%s", path, chosen, _beside(chosen, others))
    return chosen.weights


def _beside(chosen: _Fit, others: Sequence[_Fit]) -> str:
    text = ""
    if chosen.left:
        more = ", ..." if len(chosen.left) > _SHOWN else ""
        text += f"; {len(chosen.left)} tensors beside them are left out: "
        text += ", ".join(chosen.left[:_SHOWN]) + more
    if others:
        text += f"; there are also {', '.join(map(str, others))}, to be used saved alone"
    return text


def _fits(source: StateDict, wanted: Mapping[str, torch.Size]) -> Iterator[_Fit]:
    """Every way in which names and shapes are exactly those of the network."""
    names = [name for name in wanted if not name.endswith(_COUNTER)]
    if not names:
        return
    last = names[-1]
    ends = [k for k in source.tensors if k == last or k.endswith(f".{last}")]
    for prefix in sorted({k.removesuffix(last) for k in ends}, key=len):
        fit = _Fit(source, prefix)
        shapes = {name: value.shape for name, value in fit.weights.items()}
        if shapes.keys() <= wanted.keys() and all(shapes.get(n) == wanted[n] for n in names):
            yield fit


def _state_dicts(content: object, place: tuple[str, ...]) -> Iterator[StateDict]:
    """The dicts with tensors, the outer one first, `state_dict` before its neighbours."""
    if not isinstance(content, dict) or len(place) > _DEEPEST:
        return
    tensors = {str(k): v for k, v in content.items() if isinstance(v, Tensor)}
    if tensors:
        yield StateDict(".".join(place), tensors)
    for key in sorted(content, key=lambda key: key != "state_dict"):
        yield from _state_dicts(content[key], (*place, str(key)))


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
