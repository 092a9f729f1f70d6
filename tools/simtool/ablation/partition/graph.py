"""A classifier cut at the layer that is ablated: the maps F, and the logits without a filter.

Two ways, both to the same result:

    GraphCut    the graph behind the layer, as much of it as possible once for all filters
    HookCut     a network that cannot be traced: the whole of it runs once per filter, a hook
                exchanging the layer's output
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, fx, nn

from simtool.ablation.partition.channelwise import Stretch, find_stretch
from simtool.nets.layers import check_spatial, replacing
from simtool.nets.tracing import extract, output_node

Baseline = Tensor | None
"""(K,) what a blocked filter answers everywhere; None is 0."""


class Response(Protocol):
    """What a network answers to a batch of N images."""

    @property
    def maps(self) -> Tensor:
        """F (N, K, h, w)."""

    @property
    def logits(self) -> Tensor:
        """(N, C, ...) with all filters."""

    def without(self, filters: range) -> Tensor:
        """(len(filters), N, C, ...) logits, each with one filter blocked."""

    def without_all(self, blocked: Tensor) -> Tensor:
        """(N, C, ...) logits with every filter blocked where `blocked` (K,) bool is true."""


class Cut(Protocol):
    """A network that is cut in two."""

    @property
    def layer(self) -> str:
        """Name of the layer."""

    def run(self, images: Tensor, baseline: Baseline = None) -> Response:
        """Everything before the layer, once, and the logits: images (N, C, H, W)."""


def block(maps: Tensor, filters: range, baseline: Baseline) -> Tensor:
    """Copies of maps (N, K, h, w), each without one filter: (len(filters) * N, K, h, w)."""
    copies = maps.unsqueeze(0).repeat(len(filters), 1, 1, 1, 1)
    for row, index in enumerate(filters):
        copies[row, :, index] = 0 if baseline is None else baseline[index]
    return copies.flatten(0, 1)


def block_all(maps: Tensor, blocked: Tensor, baseline: Baseline) -> Tensor:
    """A copy of maps (N, K, h, w) without the filters where `blocked` (K,) is true."""
    silent = maps.new_zeros(()) if baseline is None else baseline.to(maps).view(1, -1, 1, 1)
    return torch.where(blocked.to(maps.device).view(1, -1, 1, 1), silent, maps)


class HookCut:
    """The whole network for each filter, with the output of the layer's last call exchanged."""

    def __init__(self, model: nn.Module, module: nn.Module, layer: str) -> None:
        """Take a network in evaluation mode, a module in it, and the module's name."""
        self.layer = layer
        self._model = model
        self._module = module

    def run(self, images: Tensor, baseline: Baseline = None) -> Response:
        """See `Cut`."""
        kept: list[Tensor] = []

        def keep(output: object) -> None:
            # Copied, because a later operation may write into the layer's output.
            kept.append(check_spatial(self.layer, output).clone())

        with replacing(self._module, keep) as calls:
            logits = self._model(images)
        last = calls[0] - 1

        def rerun(blocked: Tensor) -> Tensor:
            copies = len(blocked) // len(images)
            with replacing(self._module, lambda _: blocked, last):
                result: Tensor = self._model(images.repeat(copies, 1, 1, 1))
            return result

        return _Plain(kept[-1], logits, rerun, baseline)


class _Plain:
    """Blocked maps through whatever comes behind them, a few filters at a time."""

    def __init__(
        self, maps: Tensor, logits: Tensor, head: Callable[[Tensor], Tensor], baseline: Baseline
    ) -> None:
        self.maps = maps
        self.logits = logits
        self._head = head
        self._baseline = baseline

    def without(self, filters: range) -> Tensor:
        logits = self._head(block(self.maps, filters, self._baseline))
        return _split(logits, 0, len(filters))

    def without_all(self, blocked: Tensor) -> Tensor:
        return self._head(block_all(self.maps, blocked, self._baseline))


class GraphCut:
    """A graph behind the layer, with values that lead around the layer handed to it."""

    def __init__(
        self,
        prefix: Callable[[Tensor], tuple[Any, ...]],
        suffix: fx.GraphModule,
        layer: str,
        stackable: bool,
        example: Tensor,
    ) -> None:
        """Plan what is computed once for all filters.

        Args:
            prefix: images -> (maps, every further value that the suffix takes).
            suffix: these values -> (logits,).
            layer: its name.
            stackable: no value around the layer but tensors whose first axis is the image's.
            example: images (N, C, H, W), a few: sizes are measured on them.
        """
        self.layer = layer
        self._prefix = prefix
        with torch.inference_mode():
            values = prefix(example)
            check_spatial(layer, values[0])
            shapes = _Shapes(suffix).measure(values)
        inputs = [node for node in suffix.graph.nodes if node.op == "placeholder"]
        self._plan = _Plan(suffix, inputs, find_stretch(suffix, inputs[0], shapes), stackable)

    def run(self, images: Tensor, baseline: Baseline = None) -> Response:
        """See `Cut`."""
        maps, *live = self._prefix(images)
        return _Planned(self._plan, maps, live, baseline)


class _Plan:
    """The suffix in three pieces: filters apart, linear mixing, and the rest."""

    def __init__(
        self, suffix: fx.GraphModule, inputs: Sequence[fx.Node], stretch: Stretch, stackable: bool
    ) -> None:
        output = _unwrapped(suffix)
        live = list(inputs[1:])
        rest = _rest_nodes(suffix, stretch, output)
        read = {source for node in rest for source in node.all_input_nodes} | {output}
        self.mixing = [node for node in stretch.mixing if node in read]
        self.direct = [n for n in suffix.graph.nodes if n in read and n in stretch.apart]
        sizes = [n for n in suffix.graph.nodes if n in read and n in stretch.sizes]
        self.live = [index for index, node in enumerate(live) if node in read]
        self.stackable = stackable and not sizes
        mixed = [node.all_input_nodes[0] for node in self.mixing]
        self.modules = [suffix.get_submodule(str(node.target)) for node in self.mixing]
        wanted = list(dict.fromkeys([*mixed, *self.direct]))
        self.of_mixing = [wanted.index(node) for node in mixed]
        self.of_direct = [wanted.index(node) for node in self.direct]
        self.apart = extract(suffix, inputs, wanted)
        read_apart = {source for node in stretch.apart for source in node.all_input_nodes}
        self.alike = not read_apart & set(live)
        """Whether the baseline's values are the same for every image: one is enough then."""
        self.sizes = extract(suffix, inputs, sizes)
        around = [live[index] for index in self.live]
        self.rest = extract(suffix, [*self.mixing, *self.direct, *sizes, *around], [output])


class _Planned:
    """A batch's values, and logits from the pieces of the plan."""

    def __init__(self, plan: _Plan, maps: Tensor, live: Sequence[Any], baseline: Baseline) -> None:
        self.maps = maps
        self._plan = plan
        some = maps[:1] if plan.alike else maps
        every = torch.ones(maps.shape[1], dtype=torch.bool)
        silent = block_all(some, every, baseline)
        self._all = plan.apart(maps, *live)
        self._none = plan.apart(silent, *live)
        self._sizes = plan.sizes(maps, *live)
        self._live = [live[index] for index in plan.live]
        self._mixed = [
            module(self._all[index])
            for module, index in zip(plan.modules, plan.of_mixing, strict=True)
        ]
        self._changes = [self._by_filter(self._all[i] - self._none[i]) for i in plan.of_mixing]
        self._stacked: dict[int, list[Any]] = {}
        direct = [self._all[index] for index in plan.of_direct]
        (self.logits,) = plan.rest(*self._mixed, *direct, *self._sizes, *self._live)

    def without(self, filters: range) -> Tensor:
        if not self._plan.stackable and len(filters) > 1:
            return torch.cat([self.without(range(i, i + 1)) for i in filters])
        mixed = [
            _minus(module, base, change, filters)
            for module, base, change in zip(
                self._plan.modules, self._mixed, self._changes, strict=True
            )
        ]
        direct = [
            self._exchanged(self._all[index], self._none[index], filters)
            for index in self._plan.of_direct
        ]
        live = self._repeated(len(filters))
        (logits,) = self._plan.rest(*mixed, *direct, *self._sizes, *live)
        result: Tensor = _split(logits, 0, len(filters))
        return result

    def without_all(self, blocked: Tensor) -> Tensor:
        exchanged = [
            torch.where(
                blocked.to(value.device)
                .repeat_interleave(value.shape[1] // len(blocked))
                .view(1, -1, *(1,) * (value.ndim - 2)),
                silent,
                value,
            )
            for value, silent in zip(self._all, self._none, strict=True)
        ]
        mixed = [
            module(exchanged[index])
            for module, index in zip(self._plan.modules, self._plan.of_mixing, strict=True)
        ]
        direct = [exchanged[index] for index in self._plan.of_direct]
        (logits,) = self._plan.rest(*mixed, *direct, *self._sizes, *self._live)
        result: Tensor = logits
        return result

    def _by_filter(self, value: Tensor) -> Tensor:
        """(N, K * s, ...) -> (N, K, s), or maps as they are."""
        return value if value.ndim == 4 else _split(value, 1, self.maps.shape[1])

    def _exchanged(self, value: Tensor, silent: Tensor, filters: range) -> Tensor:
        """Copies of a value, each with one filter's part of the silent one, stacked."""
        count = self.maps.shape[1]
        copies = value.unsqueeze(0).repeat(len(filters), *(1,) * value.ndim)
        parts = _split(copies, 2, count)
        of_silent = _split(silent, 1, count)
        for row, index in enumerate(filters):
            parts[row, :, index] = of_silent[:, index]
        return copies.flatten(0, 1)

    def _repeated(self, times: int) -> list[Any]:
        """The values around the layer, once per filter of a stack."""
        if times == 1:
            return self._live
        if times not in self._stacked:
            self._stacked = {times: [v.repeat(times, *(1,) * (v.ndim - 1)) for v in self._live]}
        return self._stacked[times]


def _minus(module: nn.Module, base: Tensor, change: Tensor, filters: range) -> Tensor:
    """Output of a linear layer without each filter, stacked: its output less the filter's part."""
    rows = slice(filters.start, filters.stop)
    if isinstance(module, nn.Linear):
        count = change.shape[1]
        weights = _split(module.weight, 1, count)[:, rows].permute(1, 2, 0)
        parts = change[:, rows].transpose(0, 1)
        less = torch.baddbmm(base.expand(len(filters), -1, -1), parts, weights, alpha=-1)
        return less.flatten(0, 1)
    if not isinstance(module, nn.Conv2d):
        raise TypeError(f"{type(module).__name__} is not a linear layer that is known")
    weight = module.weight
    return torch.cat(
        [
            base
            - nn.functional.conv2d(
                change[:, i : i + 1],
                weight[:, i : i + 1],
                None,
                stride=module.stride,
                padding=module.padding,
                dilation=module.dilation,
            )
            for i in filters
        ]
    )


def _split(value: Tensor, axis: int, parts: int) -> Tensor:
    """One axis as two: (..., parts * s, ...) -> (..., parts, s, ...)."""
    shape = value.shape
    return value.reshape(*shape[:axis], parts, -1, *shape[axis + 1 :])


def _rest_nodes(suffix: fx.GraphModule, stretch: Stretch, output: fx.Node) -> list[fx.Node]:
    """What has to be computed for each filter."""
    known = stretch.apart | stretch.sizes | set(stretch.mixing)
    return [
        node
        for node in suffix.graph.nodes
        if node not in known and node.op not in ("placeholder", "output", "get_attr")
    ]


def _unwrapped(suffix: fx.GraphModule) -> fx.Node:
    """The node of the logits; graphs from `extract` return a tuple."""
    (value,) = next(node for node in suffix.graph.nodes if node.op == "output").args
    if isinstance(value, tuple) and isinstance(value[0], fx.Node):
        return value[0]
    return output_node(suffix)


class _Shapes(fx.Interpreter):
    """Runs a graph and notes the shapes of its tensors."""

    def measure(self, values: Sequence[Any]) -> dict[fx.Node, tuple[int, ...]]:
        """Shapes by node, for these inputs."""
        self._found: dict[fx.Node, tuple[int, ...]] = {}
        self.run(*values)
        return self._found

    def run_node(self, n: fx.Node) -> Any:  # noqa: ANN401 - whatever the node computes
        """Run a node and note its shape."""
        result = super().run_node(n)
        if isinstance(result, Tensor):
            self._found[n] = tuple(result.shape)
        return result
