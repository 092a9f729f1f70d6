"""Whether a network answers the same way each time, whatever it is given beside an image.

Dropout that stays on, batch statistics and counters make a measurement mean nothing, and no graph
shows them: they are looked for by running the network.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from simrun.errors import ModelError

_TOLERANCE: Final = 1e-3
"""Largest difference, in units of the largest logit, that rounding may account for."""


def check_determinism(model: nn.Module, images: Tensor) -> None:
    """Run a network again, and image by image, and compare.

    Args:
        model: in evaluation mode; gives logits (N, classes).
        images: (N, C, H, W), two or more.

    Raises:
        ModelError: it changes a buffer when it is called, gives other logits the second time, or
            others for an image alone.
    """
    before = {name: value.clone() for name, value in _state(model).items()}
    with torch.inference_mode():
        once, again = model(images), model(images)
        alone = torch.cat([model(image[None]) for image in images])
    for name, value in _state(model).items():
        if not torch.equal(torch.nan_to_num(value), torch.nan_to_num(before[name])):
            raise ModelError(
                f"the network changes '{name}' each time it is called{_training(model)}; its "
                "answer would depend on what it saw before"
            )
    if _differ(once, again):
        raise ModelError(
            "the network gives other logits when it sees the same pictures again: dropout, noise "
            f"or a counter stays on in evaluation mode{_training(model)}"
        )
    if _differ(once, alone):
        raise ModelError(
            "the network's logits for a picture depend on what else is in the batch: batch "
            f"statistics stay on in evaluation mode{_training(model)}"
        )


def _state(model: nn.Module) -> dict[str, Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _differ(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return True
    unit = float(torch.nan_to_num(one.abs(), 0, 0, 0).max())
    return bool((torch.nan_to_num(one - other).abs() > _TOLERANCE * unit).any())


def _training(model: nn.Module) -> str:
    """The modules that are in training mode, for a message."""
    names = [name for name, module in model.named_modules() if name and module.training]
    return f" (in training mode: {', '.join(names[:3])})" if names else ""
