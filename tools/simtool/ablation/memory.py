"""How much memory a computation needs, measured on a small one; and running out of it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


class OutOfMemoryError(Exception):
    """The allocator gave up: the same work in smaller pieces may succeed."""


def peak_bytes(work: Callable[[], object]) -> int:
    """The most bytes of tensors that `work` holds at once, above those that were there before.

    Counts what PyTorch's operations return, for as long as anything refers to it; not the
    scratch space inside an operation. The result of `work` counts until it returns.
    """
    meter = _Meter()
    with meter:
        work()
    return meter.peak


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn what CPU and GPU allocators raise into OutOfMemoryError.

    Raises:
        OutOfMemoryError: there was not enough memory.
    """
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise OutOfMemoryError(str(error)) from error
    except RuntimeError as error:
        if any(phrase in str(error).lower() for phrase in _OUT_OF_MEMORY):
            raise OutOfMemoryError(str(error)) from error
        raise


class _Meter(TorchDispatchMode):  # type: ignore[no-untyped-call]  # PyTorch's base is untyped
    """Follows the storages that operations make."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.held: int = 0
        self.peak: int = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 - PyTorch's own signature
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - whatever the operation returns
        result = func(*args, **(kwargs or {}))
        before = {leaf.untyped_storage().data_ptr() for leaf in _tensors((args, kwargs))}
        for tensor in _tensors(result):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in before | self._known:
                self._follow(storage)
        self.peak = max(self.peak, self.held)
        return result

    def _follow(self, storage: torch.UntypedStorage) -> None:
        size, address = storage.nbytes(), storage.data_ptr()
        self.held += size
        self._known.add(address)
        weakref.finalize(storage, self._forget, address, size)

    def _forget(self, address: int, size: int) -> None:
        self.held -= size
        self._known.discard(address)


def _tensors(values: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]
