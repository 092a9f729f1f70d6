"""A network as a graph (torch.fx), and graphs cut out of it.

Operations in place become ordinary ones: what a value was before is still there, and whoever
holds it in the network's code goes on with what was written. That cannot be followed where a part
of a value is written to; `check_writes` finds those.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from simrun.errors import first_line

_OUT_OF_PLACE: Final[Mapping[Any, Any]] = {
    operator.iadd: operator.add,
    operator.isub: operator.sub,
    operator.imul: operator.mul,
    operator.itruediv: operator.truediv,
}
_WRITES: Final = "writes"
"""Key in a traced graph's `meta`: the values written to, each with what it became."""


class UntraceableError(Exception):
    """The network's Python code decides what to compute while it runs, or no graph is like it."""


def _in_place(compute: Callable[[Any, Any], Any]) -> Callable[[_Value, Any], _Value]:
    def write(value: _Value, other: Any) -> _Value:  # noqa: ANN401 - a value or a number
        return value.become(compute(value, other))

    return write


class _Value(fx.Proxy):
    """Stands for a tensor in the network's code; every name of it sees what is written to it."""

    tracer: _Tracer

    def become(self, written: fx.Proxy) -> _Value:
        """Stand for this from now on."""
        self.tracer.writes.append((self.node, written.node))
        self.node = written.node
        return self

    __iadd__ = _in_place(operator.add)
    __isub__ = _in_place(operator.sub)
    __imul__ = _in_place(operator.mul)
    __itruediv__ = _in_place(operator.truediv)


class _Tracer(fx.Tracer):
    """Looks into every module but PyTorch's own and the layer that is asked for."""

    def __init__(self, layer: str | None) -> None:
        super().__init__()
        self._layer = layer
        self.writes: list[tuple[fx.Node, fx.Node]] = []

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """What stands for the node's value in the network's code."""
        return _Value(node, self)

    def create_proxy(
        self,
        kind: str,
        target: Any,  # noqa: ANN401 - fx's own
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *more: Any,  # noqa: ANN401 - fx's own
        **further: Any,  # noqa: ANN401 - fx's own
    ) -> Any:  # noqa: ANN401 - fx's own
        """A node of the graph; one that writes in place computes, and its target becomes that."""
        inplace = kind == "call_module" and getattr(
            self.root.get_submodule(target), "inplace", False
        )
        if kind in ("call_function", "call_method"):
            inplace = bool(kwargs.get("inplace")) or _ends_in_place(target)
            target = _out_of_place_target(target) if _ends_in_place(target) else target
        written = kwargs.get("out", args[0] if inplace and args else None)
        kwargs = {name: value for name, value in kwargs.items() if name != "out"}
        result = super().create_proxy(kind, target, args, kwargs, *more, **further)
        return written.become(result) if isinstance(written, _Value) else result

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
    traced.meta[_WRITES] = tracer.writes
    return traced.eval()


def check_writes(traced: fx.GraphModule, images: Tensor) -> None:
    """Run a traced graph and look for values that share memory with one that was written to.

    Raises:
        UntraceableError: the network writes into such a value and uses another of them later.
    """
    writes: Sequence[tuple[fx.Node, fx.Node]] = traced.meta[_WRITES]
    if not writes:
        return
    memory = _Memory(traced).of_values(images)
    place = {node: number for number, node in enumerate(traced.graph.nodes)}
    for old, new in writes:
        shared = memory.get(old)
        for node, where in memory.items():
            later = any(place[user] > place[new] for user in node.users)
            if node is not old and where == shared and place[node] < place[new] and later:
                raise UntraceableError(f"'{new.name}' writes into memory that '{node.name}' shares")
        # What was written is where the old value was, as far as the network goes.
        memory = {n: shared if w == memory.get(new) else w for n, w in memory.items()}


class _Memory(fx.Interpreter):
    """Runs a graph and notes which memory each value is in."""

    def of_values(self, images: Tensor) -> dict[fx.Node, int | None]:
        """Address of the memory of each tensor, while all of them are held."""
        self._held: dict[fx.Node, Tensor] = {}
        self.garbage_collect_values = False
        with torch.inference_mode():
            self.run(images)
        return {node: v.untyped_storage().data_ptr() for node, v in self._held.items()}

    def run_node(self, n: fx.Node) -> Any:  # noqa: ANN401 - whatever the node computes
        """Run a node and keep its value."""
        result = super().run_node(n)
        if isinstance(result, Tensor) and n.op != "output":
            self._held[n] = result
        return result


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


def _ends_in_place(target: Any) -> bool:  # noqa: ANN401 - a function or a method's name
    name = target if isinstance(target, str) else str(getattr(target, "__name__", ""))
    return name.endswith("_") and not name.endswith("__")


def _out_of_place_target(target: Any) -> Any:  # noqa: ANN401 - a function or a method's name
    """`relu_` -> `relu`. Raises UntraceableError where there is no such."""
    name = (target if isinstance(target, str) else str(target.__name__)).removesuffix("_")
    if isinstance(target, str):
        found: Any = name if callable(getattr(Tensor, name, None)) else None
    else:
        found = getattr(torch, name, None) or getattr(F, name, None)
    if found is None:
        raise UntraceableError(f"'{name}_' writes in place and has no other form")
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
