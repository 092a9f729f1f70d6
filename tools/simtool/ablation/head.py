"""What a network from elsewhere answers with: which of its outputs are which class folders.

as many outputs as folders     each folder an output, in the order of the folders or of --classes
--classes cat=281,dog=207      folders that are some of the outputs, by number or name
--classes FILE                 names of all outputs, a name a line: each folder is the one of its
                               name
one output                     two folders: the first where it is below 0, the second above
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from simrun.errors import ModelError, SourceError, UsageError, brief, first_line
from simtool.nets.determinism import check_determinism
from simtool.nets.imported import ForeignNet, InputFormat

log = logging.getLogger(__name__)

_SUM: Final = 1e-3
"""How near to 1 the outputs of a softmax add up."""


@dataclass(frozen=True)
class Head:
    """The classes of an ablation, by the outputs of the network."""

    classes: tuple[str, ...] | None
    """Class folders in the order of the outputs; None for all, by name."""
    outputs: tuple[int, ...] = ()
    """The output that each of them is; empty where they are all outputs in order."""


def named_head(present: Sequence[str], takes: InputFormat, known: Sequence[str]) -> Head:
    """What --classes, or the names of the outputs, say of some class folders.

    Args:
        present: names of the folders.
        takes: what was asked for.
        known: names of the outputs by the weights' file; empty where it does not say.

    Raises:
        UsageError: a folder's output is not one, or a name is that of several.
    """
    names = takes.outputs or tuple(known)
    if takes.classes is not None and takes.numbers is not None:
        found = [_output(number, names) for number in takes.numbers]
        return Head(takes.classes, tuple(found))
    if takes.classes is not None:
        return Head(takes.classes)
    if not names or set(names) <= set(present):
        return Head(tuple(names) or None)
    pairs = sorted((_output(folder, names), folder) for folder in present)
    return Head(tuple(folder for _, folder in pairs), tuple(index for index, _ in pairs))


def _output(asked: str, names: Sequence[str]) -> int:
    """Index of an output by number or name. Raises UsageError."""
    if asked.isdecimal() and asked not in names:
        return int(asked)
    found = [i for i, name in enumerate(names) if _plain(asked) in _synonyms(name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            f"'{asked}' is the name of the outputs {', '.join(map(str, found))}; give one of the "
            "numbers: --classes NAME=NUMBER,..."
        )
    raise UsageError(
        f"'{asked}' is none of the {len(names)} names of the outputs; give its number: --classes "
        "NAME=NUMBER,..."
    )


def _synonyms(line: str) -> set[str]:
    """What a line calls an output: `n02123045 tabby, tabby cat` has four names."""
    first, _, rest = line.partition(" ")
    parts = [part for text in (line, rest) for part in text.split(",")]
    return {_plain(name) for name in (line, first, *parts) if name.strip()}


def _plain(name: str) -> str:
    return name.strip().casefold().replace("_", " ")


def fit_head(net: ForeignNet, example: Tensor, head: Head, root: Path) -> ForeignNet:
    """Try a network on a few pictures, and give it the outputs that the class folders are.

    Args:
        net: in evaluation mode, all of its outputs as they are.
        example: (N, C, H, W), a few pictures, two or more.
        head: its classes are those of the pictures.
        root: of the pictures, for messages.

    Raises:
        ModelError: the network fails, gives no logits, or is not a function of the picture alone.
        SourceError: it has not the outputs that the folders need.
    """
    logits = _logits(net, example)
    classes, count = head.classes or (), logits.shape[1]
    if head.outputs:
        if len(set(head.outputs)) < len(classes) or max(head.outputs) >= count:
            raise UsageError(
                f"--classes asks for the outputs {head.outputs} of {count}, which start at 0; each "
                "folder needs one of its own"
            )
        log.info(
            "%d of %d outputs have a class folder: all criteria are measured among them alone",
            *(len(classes), count),
        )
    binary = not head.outputs and count == 1 and len(classes) == 2
    if binary:
        log.info(
            "one output: below 0 it says '%s', above '%s' (the other way round: --classes %s,%s)",
            *(classes[0], classes[1], classes[1], classes[0]),
        )
    elif not head.outputs and count != len(classes):
        raise SourceError(
            f"the network has {count} outputs, {root} has {len(classes)} class folders; say which "
            f"output each folder is, --classes {classes[0]}=N,{classes[1]}=N, or give a file with "
            "the outputs' names, a name a line"
        )
    _say_probabilities(logits)
    fitted = net.answering(classes, head.outputs, binary)
    check_determinism(fitted, example)
    return fitted


def _logits(net: ForeignNet, example: Tensor) -> Tensor:
    """(N, outputs)"""
    try:
        with torch.inference_mode():
            logits: object = net(example)
    except Exception as error:  # somebody else's code may raise anything
        raise ModelError(
            f"the network fails on images {tuple(example.shape[1:])} ({first_line(error)}); check "
            "--channels and --size"
        ) from error
    if isinstance(logits, Tensor) and logits.shape == (len(example),):
        logits = logits[:, None]
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(example):
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else brief(type(logits).__name__)
        raise ModelError(
            f"the network gives {shape}, not logits (N, classes); wrap it in a factory"
        )
    if not bool(torch.isfinite(logits).all()):
        raise ModelError(
            "the network gives logits that are not finite (NaN or infinity); check its weights and "
            "the normalisation (--mean, --std)"
        )
    return logits


def _say_probabilities(logits: Tensor) -> None:
    """Say where the outputs look like those of a softmax or sigmoid, and what that comes to."""
    values = logits.double()
    within = bool(((values >= 0) & (values <= 1)).all())
    if logits.shape[1] > 1 and bool((values.logsumexp(1).abs() < _SUM).all()):
        log.warning(
            "the outputs look like those of a log-softmax: error, loss and margin are right, "
            "'logit' is the logarithm of the class's probability"
        )
    elif logits.shape[1] > 1 and within and bool(((values.sum(1) - 1).abs() < _SUM).all()):
        log.warning(
            "the outputs look like those of a softmax: error is right, but loss, logit and margin "
            "take probabilities for logits; give the network without its softmax"
        )
    elif within:
        log.warning(
            "the outputs of all pictures tried are between 0 and 1, as those of a sigmoid: loss, "
            "logit and margin would take probabilities for logits%s; give the network without its "
            "sigmoid",
            ", and error would be wrong, as no answer is below 0" if logits.shape[1] == 1 else "",
        )
