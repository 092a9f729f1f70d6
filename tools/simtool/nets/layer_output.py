"""The part of a network up to a layer: the network itself, listened to and stopped there."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from simrun.errors import ModelError
from simtool.nets.layers import check_spatial


class _Answered(Exception):  # noqa: N818 - no error: how a network is left half-way
    """Carries the layer's answer out of the network."""

    def __init__(self, maps: Tensor) -> None:
        super().__init__()
        self.maps = maps


class LayerOutput(nn.Module):
    """Images (N, C, H, W) -> the maps F (N, K, h, w) that a layer answers with, when called last.

    Nothing is cut out or traced: the network runs as its authors wrote it, writing in place
    included, and is left once the layer has answered. So what comes behind the layer need not take
    images of other sizes.

    The network is no submodule, as PyTorch's exporter follows the calls of submodules and expects
    each to return; the weights that the maps are made of are parameters and buffers here.
    """

    def __init__(self, network: nn.Module, layer: str, images: Tensor, title: str) -> None:
        """Listen to a network.

        Args:
            network: in evaluation mode.
            layer: name of a module in it.
            images: (N, C, H, W) of a size that the whole network takes.
            title: what messages call the layer.

        Raises:
            ModelError: the layer is not called for an image, or gives no maps.
        """
        super().__init__()
        self._hidden = (network,)  # in a tuple, so that PyTorch does not see it
        self._layer, self._title = layer, title
        calls, behind = _calls(network, layer, images, title)
        self._last = calls - 1
        self._names: dict[str, str] = {}
        for owner, module in network.named_modules():
            if module not in behind:
                self._register(owner, module)
        self.eval()

    @property
    def network(self) -> nn.Module:
        """The whole network."""
        return self._hidden[0]

    def over(self, network: nn.Module) -> LayerOutput:
        """The same part of another network of the same form."""
        twin = LayerOutput.__new__(LayerOutput)
        nn.Module.__init__(twin)
        twin._hidden, twin._names = (network,), {}
        twin._layer, twin._title, twin._last = self._layer, self._title, self._last
        owners = {name.rpartition(".")[0] for name in self._names}
        for owner in sorted(owners):
            twin._register(owner, network.get_submodule(owner))
        return twin.eval()

    def forward(self, images: Tensor) -> Tensor:
        """The maps."""
        weights = {name: getattr(self, own) for name, own in self._names.items()}
        calls = [0]

        def answer(module: nn.Module, inputs: object, output: object) -> None:
            calls[0] += 1
            if calls[0] > self._last:
                # Copied, because a later operation may write into the layer's output.
                raise _Answered(check_spatial(self._title, output).clone())

        handle = self.network.get_submodule(self._layer).register_forward_hook(answer)
        try:
            torch.func.functional_call(self.network, weights, (images,))
        except _Answered as answered:
            return answered.maps
        finally:
            handle.remove()
        raise ModelError(
            f"layer '{self._title}' is called {calls[0]} times for an image of "
            f"{tuple(images.shape[2:])}, and {self._last + 1} times for others"
        )

    def _register(self, owner: str, module: nn.Module) -> None:
        prefix = f"{owner}." if owner else ""
        for name, value in module.named_parameters(recurse=False):
            self._names[prefix + name] = own = _own_name(prefix + name)
            self.register_parameter(own, value)
        for name, buffer in module.named_buffers(recurse=False):
            self._names[prefix + name] = own = _own_name(prefix + name)
            self.register_buffer(own, buffer)


def _own_name(name: str) -> str:
    return name.replace(".", "/")


def _calls(
    network: nn.Module, layer: str, images: Tensor, title: str
) -> tuple[int, set[nn.Module]]:
    """How often a layer is called, and the modules that are called only after the last time.

    Raises:
        ModelError: never, or it gives no maps.
    """
    order: list[nn.Module] = []
    answers: list[int] = []

    def enter(module: nn.Module, inputs: object) -> None:
        order.append(module)

    def answer(module: nn.Module, inputs: object, output: object) -> None:
        check_spatial(title, output)
        answers.append(len(order))

    handles: list[Any] = [m.register_forward_pre_hook(enter) for m in network.modules()]
    handles.append(network.get_submodule(layer).register_forward_hook(answer))
    try:
        with torch.inference_mode():
            network(images)
    finally:
        for handle in handles:
            handle.remove()
    if not answers:
        raise ModelError(f"layer '{title}' is not called for an image; name another with --layer")
    return len(answers), set(order[answers[-1] :]) - set(order[: answers[-1]])
