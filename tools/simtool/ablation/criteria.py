"""The quantities that an ablation measures, and how they are summed over classes and images.

    error   1 where the class is wrong, else 0          (the paper's E and e_i)
    loss    negative log-likelihood of the true class, nats
    logit   logit of the true class
    margin  logit of the true class minus the largest other one: below 0 where the class is wrong

A unit is an image, or, where labels are dense, a labelled position of an image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from simrun.errors import ModelError
from simtool.data.labels import IGNORE


@dataclass(frozen=True)
class Criterion:
    """A quantity per unit, and which way is worse."""

    measure: Callable[[Tensor, Tensor], Tensor]
    """Logits (G, U, C) and labels (G, U) -> values (G, U) float64."""
    worse: float
    """+1 where a higher value is worse, -1 where a lower one is."""


def _true(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.gather(-1, labels.unsqueeze(-1)).squeeze(-1)


def _error(logits: Tensor, labels: Tensor) -> Tensor:
    return (logits.argmax(-1) != labels).to(torch.float64)


def _loss(logits: Tensor, labels: Tensor) -> Tensor:
    return -_true(F.log_softmax(logits, -1), labels).to(torch.float64)


def _logit(logits: Tensor, labels: Tensor) -> Tensor:
    return _true(logits, labels).to(torch.float64)


def _margin(logits: Tensor, labels: Tensor) -> Tensor:
    others = logits.scatter(-1, labels.unsqueeze(-1), -torch.inf).amax(-1)
    return (_true(logits, labels) - others).to(torch.float64)


CRITERIA: Final[Mapping[str, Criterion]] = MappingProxyType(
    {
        "error": Criterion(_error, +1.0),
        "loss": Criterion(_loss, +1.0),
        "logit": Criterion(_logit, -1.0),
        "margin": Criterion(_margin, -1.0),
    }
)


@dataclass(frozen=True)
class Units:
    """The labelled units of a batch: which image and class each is of."""

    images: int
    classes: int
    labels: Tensor
    """(U,) int64, all counted."""
    image: Tensor
    """(U,) int64: index of the image."""
    counted: Tensor
    """(N,) or (N, h', w') bool."""

    @classmethod
    def of(cls, labels: Tensor, classes: int) -> Units:
        """The units of labels (N,) or (N, h', w').

        Raises:
            ModelError: a label is not a class.
        """
        counted = labels != IGNORE
        kept = labels[counted]
        if len(kept) and not 0 <= int(kept.min()) <= int(kept.max()) < classes:
            raise ModelError(
                f"labels {int(kept.min())} to {int(kept.max())} do not match {classes} classes"
            )
        return cls(len(labels), classes, kept, counted.nonzero()[:, 0], counted)

    @property
    def _one_an_image(self) -> bool:
        """Whether units are images, all of them counted: nothing to choose or to sum."""
        return self.counted.ndim == 1 and len(self.labels) == self.images

    def measure(self, logits: Tensor) -> dict[str, Tensor]:
        """Every criterion of every unit: logits (G, N, C, ...) -> name -> (G, U) float64.

        Raises:
            ModelError: the logits do not fit the labels, or are not finite.
        """
        last = logits.movedim(2, -1)
        if last.shape[1:-1] != self.counted.shape or last.shape[-1] != self.classes:
            raise ModelError(
                f"the head gives logits {tuple(logits.shape[1:])} for labels "
                f"{tuple(self.counted.shape)} and {self.classes} classes; they must match"
            )
        of_units = last if self._one_an_image else last[:, self.counted]
        if not bool(torch.isfinite(of_units).all()):
            raise ModelError(
                "the network gives logits that are not finite (NaN or infinity); check its weights "
                "and the normalisation of the images, or train it again"
            )
        labels = self.labels.expand(len(logits), -1)
        return {name: c.measure(of_units, labels) for name, c in CRITERIA.items()}

    def per_class(self, values: Tensor) -> Tensor:
        """Sums (C, G) float64 of values (G, U)."""
        members = F.one_hot(self.labels, self.classes).to(torch.float64)
        return (values.to(torch.float64) @ members).T

    def per_image(self, values: Tensor) -> Tensor:
        """Sums (N, G) float64 of values (G, U)."""
        if self._one_an_image:
            return values.T.to(torch.float64)
        sums = values.new_zeros((self.images, len(values)), dtype=torch.float64)
        return sums.index_add_(0, self.image, values.T.to(torch.float64))

    def counts(self) -> Tensor:
        """Units (N,) float64 of each image."""
        return torch.bincount(self.image, minlength=self.images).to(torch.float64)
