"""The protocol of a classifier that similarnet can ablate: a trunk, a head, and what they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from simrun.errors import ModelError

Padding = Literal["valid", "same"]


@dataclass(frozen=True)
class NetSpec:
    """Facts about a network that ablation and export need."""

    name: str
    classes: tuple[str, ...]
    layer: str
    """Name of the module whose output is the trunk's: the tensor ablated and exported."""
    crop_size: int
    """Side S of the images that the classifier takes, in pixels."""
    channels: int = 1
    """Channels of the input image: 1 for grey, 3 for RGB."""
    target: str = "text"
    """What a heatmap of all classes together responds to."""
    export_padding: Padding = "valid"
    """Convolution padding of the exported graph, unless the user asks for the other one."""
    background: str | None = None
    """The class that means "nothing there", where the training had one: it is trained and ablated,
    but is neither a channel of the heatmap nor a label."""
    subtract_background: bool = True
    """Weigh a filter by what it does to a class less what it does to the background."""
    both_polarities: bool = False
    """Trained on bright and on dark objects alike: the exported graph need not run twice."""
    half_trunk: bool = False
    """Export the trunk's larger weights as half floats: half the file, and a heatmap between 0 and
    1 that differs in the third digit."""

    def __post_init__(self) -> None:
        """Refuse a background that is no class. Raises ModelError."""
        if self.background is not None and self.background not in self.classes:
            raise ModelError(f"the background '{self.background}' is not one of the classes")
        if not self.subtract_background and self.background != self.classes[-1]:
            raise ModelError(f"the background '{self.background}' must be the last class")

    @property
    def shown(self) -> tuple[str, ...]:
        """The classes without the background."""
        return tuple(name for name in self.classes if name != self.background)

    @property
    def contrast(self) -> str | None:
        """The class whose change the weighting subtracts, if any."""
        return self.background if self.subtract_background else None


class Classifier(nn.Module):
    """A network with what ablation and export need to know of it.

    It maps images (N, C, H, W) float in [0, 1] to logits (N, classes).
    """

    def __init__(self, spec: NetSpec) -> None:
        """Keep the facts."""
        super().__init__()
        self.spec = spec

    @property
    def layer(self) -> str:
        """Name of the module in it whose output is ablated and exported: the maps F."""
        raise NotImplementedError

    def export_trunk(self) -> nn.Module:
        """The part from images to the maps F, as a module of its own.

        Raises:
            ModelError: it cannot be had.
        """
        raise NotImplementedError


class SplitNet(Classifier):
    """A classifier cut in two at the tensor F that is ablated and exported.

    `trunk` maps images (N, C, H, W) float in [0, 1] to the maps F (N, K, h, w), for images of any
    size; `head` maps F of an image of the crop size to logits (N, classes), or, for a fully
    convolutional network, F of any size to logits (N, classes, h', w').
    """

    def __init__(self, spec: NetSpec, trunk: nn.Sequential, head: nn.Module) -> None:
        """Put the two halves together."""
        super().__init__(spec)
        self.trunk: nn.Sequential = trunk
        self.head: nn.Module = head

    @property
    def layer(self) -> str:
        """See `Classifier`."""
        return "trunk"

    def export_trunk(self) -> nn.Sequential:
        """The trunk."""
        return self.trunk

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images (N, C, H, W) float in [0, 1]."""
        logits: Tensor = self.head(self.trunk(images))
        return logits


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
