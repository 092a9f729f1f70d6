"""A network as a graph (torch.fx), and graphs cut out of it."""

from __future__ import annotations

import copy
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from torch import fx, nn

from simrun.errors import first_line

_OUT_OF_PLACE: Final[Mapping[Any, Any]] = {
    operator.iadd: operator.add,
    operator.isub: operator.sub,
    operator.imul: operator.mul,
    operator.itruediv: operator.truediv,
}


class UntraceableError(Exception):
    """The network's Python code decides what to compute while it runs."""


class _Tracer(fx.Tracer):
    """Looks into every module but PyTorch's own and the layer that is asked for."""

    def __init__(self, layer: str | None) -> None:
        super().__init__()
        self._layer = layer

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module is one node of the graph."""
        return module_qualified_name == self._layer or super().is_leaf_module(
            m, module_qualified_name
        )


def trace(module: nn.Module, layer: str | None = None) -> fx.GraphModule:
    """The module as a graph that shares its weights; nothing is computed in place.

    Args:
        module: in evaluation mode.
        layer: a submodule that is to be one node.

    Raises:
        UntraceableError: it cannot be had; says why.
    """
    tracer = _Tracer(layer)
    try:
        graph = tracer.trace(module)
        traced = fx.GraphModule(tracer.root, graph)
    # The user's own code runs on stand-ins for tensors and may raise anything.
    except Exception as error:
        raise UntraceableError(first_line(error)) from error
    _out_of_place(traced)
    return traced.eval()


def layer_node(traced: fx.GraphModule, layer: str) -> fx.Node:
    """The last call of a layer.

    Raises:
        UntraceableError: the graph does not call it as a module.
    """
    nodes: list[fx.Node] = list(traced.graph.nodes)
    calls = [n for n in nodes if n.op == "call_module" and n.target == layer]
    if not calls:
        raise UntraceableError(f"the graph does not call '{layer}'")
    return calls[-1]


def output_node(traced: fx.GraphModule) -> fx.Node:
    """The node whose value the graph returns.

    Raises:
        UntraceableError: it returns something else than one tensor.
    """
    (value,) = next(node for node in traced.graph.nodes if node.op == "output").args
    if not isinstance(value, fx.Node):
        raise UntraceableError(f"it returns a {type(value).__name__}, not one tensor")
    return value


def descendants(node: fx.Node) -> set[fx.Node]:
    """Every node that depends on this one, without it and without the output."""
    found: set[fx.Node] = set()
    todo = [node]
    while todo:
        for user in todo.pop().users:
            if user not in found and user.op != "output":
                found.add(user)
                todo.append(user)
    return found


def outside_inputs(traced: fx.GraphModule, nodes: Iterable[fx.Node]) -> list[fx.Node]:
    """What a set of nodes reads and does not compute itself; weights are not counted."""
    inside = set(nodes)
    read = {source for node in inside for source in node.all_input_nodes} - inside
    return [node for node in traced.graph.nodes if node in read and node.op != "get_attr"]


def extract(
    traced: fx.GraphModule, inputs: Sequence[fx.Node], outputs: Sequence[fx.Node]
) -> fx.GraphModule:
    """A graph of its own from the values of `inputs` to a tuple of the values of `outputs`."""
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for number, node in enumerate(inputs):
        copies[node] = graph.placeholder(f"input_{number}")
    needed = _needed(inputs, outputs)
    for node in traced.graph.nodes:
        if node in needed:
            copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.output(tuple(copies[node] for node in outputs))
    return fx.GraphModule(traced, graph).eval()


def trace_trunk(model: nn.Module, layer: str) -> fx.GraphModule:
    """The part of a network from the image to the output of a layer.

    Raises:
        UntraceableError: it cannot be had.
    """
    traced = trace(model, layer)
    inputs = [node for node in traced.graph.nodes if node.op == "placeholder"][:1]
    trunk = extract(traced, inputs, [layer_node(traced, layer)])
    returned = next(node for node in trunk.graph.nodes if node.op == "output")
    (values,) = returned.args
    returned.args = values  # the maps themselves, not a tuple of them
    trunk.recompile()
    return trunk


def _needed(inputs: Sequence[fx.Node], outputs: Sequence[fx.Node]) -> set[fx.Node]:
    """Nodes between inputs and outputs, weights included."""
    found: set[fx.Node] = set()
    todo = [node for node in outputs if node not in inputs]
    while todo:
        node = todo.pop()
        if node not in found:
            found.add(node)
            todo += [source for source in node.all_input_nodes if source not in inputs]
    return found


def _out_of_place(traced: fx.GraphModule) -> None:
    """Replace what is computed in place: the maps must be there for the next filter too."""
    for node in traced.graph.nodes:
        if node.op == "call_module":
            module = traced.get_submodule(str(node.target))
            if getattr(module, "inplace", False):
                twin = copy.copy(module)
                twin.inplace = False  # type: ignore[assignment]  # a plain attribute of the layer
                parent, _, name = str(node.target).rpartition(".")
                setattr(traced.get_submodule(parent), name, twin)
        elif node.op == "call_function":
            node.target = _OUT_OF_PLACE.get(node.target, node.target)
            if node.kwargs.get("inplace"):
                node.kwargs = {**node.kwargs, "inplace": False}
    traced.recompile()
