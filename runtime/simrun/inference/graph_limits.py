"""What a graph may hold, looked up before ONNX Runtime works on it.

ONNX Runtime runs whatever a file says, some of it while it loads: loops without an end, a million
nodes, weights from other files. The graphs of a bundle need none of that. This reads the nodes out
of the file's protocol buffer: the runtime has no other use for a library that does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from simrun.errors import ModelError, brief

MAX_NODES: Final = 20_000
"""ResNet-152 has 600."""

_DOMAINS: Final = (b"", b"ai.onnx")
_CONTROL: Final = (b"Loop", b"If", b"Scan", b"SequenceMap")

# Numbers of fields and of wire types, from the definition of ONNX and of protocol buffers.
_MODEL_GRAPH, _MODEL_FUNCTION = 7, 25
_GRAPH_NODE, _GRAPH_TENSOR, _GRAPH_SPARSE = 1, 5, 15
_NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS, _ATTRIBUTE_SPARSE = (5, 10), (6, 11), (22, 23)
_SPARSE_TENSORS = (1, 2)
_TENSOR_LOCATION, _EXTERNAL = 14, 1
_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5


def check_graph(graph: bytes, what: str) -> None:
    """Refuse a graph whose run might never end, or that is not all in its file.

    Args:
        graph: the ONNX file's content.
        what: the file's name, for messages.

    Raises:
        ModelError: it has subgraphs, functions, operators of another domain than ONNX's own, more
            than `MAX_NODES` nodes or weights in other files, or is no ONNX file.
    """
    try:
        for number, value in _fields(memoryview(graph)):
            if number == _MODEL_FUNCTION:
                raise _refused(what, "functions of its own")
            if number == _MODEL_GRAPH:
                _check_nodes(_part(value), what)
    except (IndexError, ValueError) as error:
        raise ModelError(f"cannot load {what}: it is no ONNX file, or is damaged") from error


def _check_nodes(graph: memoryview, what: str) -> None:
    nodes = 0
    for number, value in _fields(graph):
        if number == _GRAPH_TENSOR:
            _check_tensor(_part(value), what)
        elif number == _GRAPH_SPARSE:
            _check_sparse(_part(value), what)
        elif number == _GRAPH_NODE:
            nodes += 1
            if nodes > MAX_NODES:
                raise _refused(what, f"more than {MAX_NODES} nodes")
            _check_node(_part(value), what)


def _check_node(node: memoryview, what: str) -> None:
    for number, value in _fields(node):
        if number == _NODE_OPERATOR and bytes(_part(value)) in _CONTROL:
            raise _refused(what, f"the operator {bytes(_part(value)).decode()}")
        if number == _NODE_DOMAIN and bytes(_part(value)) not in _DOMAINS:
            name = bytes(_part(value)[:60]).decode("utf-8", "replace")
            raise _refused(what, f"operators of the domain {brief(name)}")
        if number == _NODE_ATTRIBUTE:
            _check_attribute(_part(value), what)


def _check_attribute(attribute: memoryview, what: str) -> None:
    for number, value in _fields(attribute):
        if number in _ATTRIBUTE_GRAPHS:
            raise _refused(what, "a graph within a node")
        if number in _ATTRIBUTE_TENSORS:
            _check_tensor(_part(value), what)
        elif number in _ATTRIBUTE_SPARSE:
            _check_sparse(_part(value), what)


def _check_sparse(sparse: memoryview, what: str) -> None:
    for number, value in _fields(sparse):
        if number in _SPARSE_TENSORS:
            _check_tensor(_part(value), what)


def _check_tensor(tensor: memoryview, what: str) -> None:
    for number, value in _fields(tensor):
        if number == _TENSOR_LOCATION and value == _EXTERNAL:
            raise _refused(what, "weights in other files, which no hash covers")


def _refused(what: str, found: str) -> ModelError:
    return ModelError(
        f"{what} has {found}; graphs of a bundle are plain convolutions, export the model again"
    )


def _part(value: int | memoryview) -> memoryview:
    """A field's value that has to be bytes. Raises ValueError where it is a number."""
    if isinstance(value, int):
        raise ValueError("a number in place of bytes")  # noqa: TRY004 - damage, like the others
    return value


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field of a message; numbers of fixed size are given as 0.

    Raises:
        IndexError: it ends within a field.
        ValueError: it has a wire type that nobody writes.
    """
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == _VARINT:
            number, at = _varint(message, at)
            yield tag >> 3, number
            continue
        if kind == _BYTES:
            size, at = _varint(message, at)
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            size = 8 if kind == _EIGHT_BYTES else 4
        else:
            raise ValueError("a group")
        if at + size > len(message):
            raise IndexError("cut short")
        yield tag >> 3, message[at : at + size] if kind == _BYTES else 0
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number there, and where it ends."""
    number = shift = 0
    while True:
        byte = message[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than ten bytes")
