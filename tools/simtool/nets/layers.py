"""Layers of a network: by name, the last spatial one, and modes and hooks that leave no trace."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn

from simrun.errors import ModelError, UsageError

log = logging.getLogger(__name__)

_NO_RESPONSE: Final = (
    *(nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d),
    *(nn.Dropout, nn.Dropout2d, nn.Identity),
)
"""Layers that hand on what another one has answered."""

Replace = Callable[[Tensor], Tensor | None]
"""The layer's output -> what goes on in its place; None leaves it."""


Hook = Callable[[nn.Module, object, object], None]
"""Sees a module, its inputs and its output."""


def find_layer(model: nn.Module, name: str) -> nn.Module:
    """The module of that name.

    Raises:
        UsageError: there is none; the near names are listed.
    """
    modules: dict[str, nn.Module] = {
        known: module for known, module in model.named_modules() if known
    }
    if name in modules:
        return modules[name]
    near = difflib.get_close_matches(name, modules, n=5, cutoff=0.4)
    hint = f"near names: {', '.join(near)}" if near else f"it has {', '.join(list(modules)[:20])}"
    raise UsageError(f"the network has no layer '{name}'; {hint}")


def last_spatial_layer(model: nn.Module, images: Tensor) -> str:
    """Name of the last module that answers with maps of more than one cell, and no mere pooling.

    Args:
        model: in evaluation mode.
        images: (N, C, H, W), a few.

    Raises:
        ModelError: there is none.
    """
    found: list[str] = []

    def note(name: str) -> Hook:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            if _is_spatial(output) and not isinstance(module, _NO_RESPONSE):
                found.append(name)

        return hook

    watch_forward(model, images, [(m, note(name)) for name, m in model.named_modules() if name])
    if not found:
        raise ModelError("the network has no layer with maps (N, K, h, w); name one with --layer")
    log.info("no --layer given: taking the last spatial one, '%s'", found[-1])
    return found[-1]


def watch_forward(
    model: nn.Module, images: Tensor, hooks: Iterable[tuple[nn.Module, Hook]]
) -> None:
    """Run a model once with hooks on modules of it; they go whatever happens.

    Args:
        model: in evaluation mode.
        images: (N, C, H, W), a few.
        hooks: each with its module, called in this order where a module has several.
    """
    handles = [module.register_forward_hook(hook) for module, hook in hooks]
    try:
        with torch.inference_mode():
            model(images)
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode for the block; then each module has the mode that it had."""
    former = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in former:
            module.training = training


@contextmanager
def replacing(layer: nn.Module, replace: Replace, call: int | None = None) -> Iterator[list[int]]:
    """Let `replace` see, and exchange, the output of a layer; the hook goes whatever happens.

    Args:
        layer: the module.
        replace: is given the output, see `Replace`.
        call: only this call of the layer, from 0; None for every one.

    Yields:
        A list of one number: how often the layer was called.
    """
    calls = [0]

    def hook(module: nn.Module, inputs: Any, output: Any) -> Tensor | None:  # noqa: ANN401
        index, calls[0] = calls[0], calls[0] + 1
        return replace(output) if call in (None, index) else None

    handle = layer.register_forward_hook(hook)
    try:
        yield calls
    finally:
        handle.remove()


def check_spatial(name: str, output: object) -> Tensor:
    """The output of a layer, where it is maps (N, K, h, w).

    Raises:
        ModelError: it is not.
    """
    if isinstance(output, Tensor) and output.ndim == 4:
        return output
    shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    raise ModelError(
        f"layer '{name}' gives {'shape ' if isinstance(output, Tensor) else 'a '}{shape}; only "
        "maps (N, K, h, w) can be ablated and exported, name a layer before the flattening"
    )


def _is_spatial(output: object) -> bool:
    return isinstance(output, Tensor) and output.ndim == 4 and output.shape[2:].numel() > 1
