"""Which axis of a layer's answer the filters are on, found out by a picture twice as wide.

Maps (N, K, h, w) get wider and nothing else. Maps (N, h, w, K) grow on another axis, tokens
(N, T, K) and attention (N, heads, T, T) have none for the width: their rows are no filters.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from simrun.errors import ModelError, first_line
from simtool.nets.layers import Hook, watch_forward

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Answer:
    """What a module has answered with."""

    name: str
    module: nn.Module
    shape: tuple[int, ...]

    @property
    def tokens(self) -> bool:
        """Whether it can be tokens: (N, T, K) with more than one of each."""
        return len(self.shape) == 3 and min(self.shape[1:]) > 1


def check_layout(model: nn.Module, layer: str, images: Tensor, chosen: bool) -> None:
    """Refuse a layer whose answer has its filters on another axis than the second.

    Args:
        model: in evaluation mode.
        layer: name of a module in it.
        images: (N, C, H, W), one is enough.
        chosen: by the program, not the user: then what comes behind it must be no tokens either.

    Raises:
        ModelError: it is tokens, of another layout, or cannot be told from them.
    """
    answers = _answers(model, images[:1])
    places = [i for i, answer in enumerate(answers) if answer.name == layer]
    if not places:  # never called: refused elsewhere
        return
    place = places[-1]
    shape, before = answers[place].shape, answers[: place + 1]
    if answers[place].tokens:
        raise ModelError(
            f"layer '{layer}' gives tokens (N, T, K), here {shape}: their rows are no filters; "
            "name a layer with maps (N, K, h, w)"
        )
    if len(shape) != 4:  # refused elsewhere
        return
    wide = [a.shape for a in _answers(model, torch.cat([images[:1]] * 2, 3)) if a.name == layer]
    grown = [i for i in range(1, 4) if wide and wide[-1][i : i + 1] != shape[i : i + 1]]
    if grown not in ([], [3]):
        raise ModelError(
            f"layer '{layer}' gives {shape}, and {wide[-1]} for a picture twice as wide: its "
            "second axis holds no filters, as in maps (N, h, w, K) or attention; name a layer "
            "with maps (N, K, h, w)"
        )
    if not grown and _features_last(before):
        raise ModelError(
            f"layer '{layer}' gives {shape} with the filters on the last axis; name a layer with "
            "maps (N, K, h, w)"
        )
    if not wide and any(answer.tokens for answer in before):
        raise ModelError(
            f"layer '{layer}' gives {shape} and comes behind tokens, and the network takes "
            "pictures of one size alone: whether its second axis holds filters cannot be told; "
            "name a layer before the tokens"
        )
    if chosen and any(answer.tokens for answer in answers[place + 1 :]):
        raise ModelError(
            f"the last layer with maps is '{layer}', but the network goes on with tokens (N, T, "
            "K), which have no filters; name that layer with --layer if it is the one"
        )


def _answers(model: nn.Module, images: Tensor) -> list[_Answer]:
    """What each module answers with, in that order; as far as the network takes the images."""
    found: list[_Answer] = []

    def note(name: str) -> Hook:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            if isinstance(output, Tensor):
                found.append(_Answer(name, module, tuple(output.shape)))

        return hook

    try:
        hooks = [(m, note(name)) for name, m in model.named_modules() if name]
        watch_forward(model, images, hooks)
    except Exception as error:  # noqa: BLE001 - a head of one size refuses in whatever way
        log.debug("images %s end at %s", tuple(images.shape), first_line(error))
    return found


def _features_last(before: list[_Answer]) -> bool:
    """Whether the last module that made values of this shape works on the last axis."""
    makers = (nn.Linear, nn.LayerNorm, nn.Conv2d, nn.BatchNorm2d)
    shape = before[-1].shape
    made = [a.module for a in before if isinstance(a.module, makers) and a.shape == shape]
    return bool(made) and isinstance(made[-1], nn.Linear | nn.LayerNorm)
