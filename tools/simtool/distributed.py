"""Several processes and hosts that share the data, by torch.distributed.

Started by torchrun, which sets RANK, WORLD_SIZE and where the processes meet. Each process works
on a contiguous part of the data; sums are added up over all of them, so that every process ends
with the result of one.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import torch
import torch.distributed as dist
from torch import Tensor

from simrun.errors import UsageError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Peers:
    """This process among those that share the data."""

    rank: int = 0
    world: int = 1
    device: str = "cpu"
    """Where sums are added up: nccl adds on GPUs alone."""

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def part(self, count: int) -> range:
        """This process' part of `count` things: contiguous, sizes that differ by at most 1."""
        return range(self.rank * count // self.world, (self.rank + 1) * count // self.world)

    def reduce_sum(self, value: Tensor) -> Tensor:
        """The sum over all processes, on the device where `value` is."""
        if self.world == 1:
            return value
        shared = value.to(self.device, copy=True).contiguous()
        dist.all_reduce(shared)
        return shared.to(value.device)

    def wait(self) -> None:
        """Until every process has come here."""
        if self.world > 1:
            dist.barrier()


ALONE: Final = Peers()


@contextmanager
def joined(device: str = "cpu") -> Iterator[Peers]:
    """Join the processes that torchrun started; alone where it did not.

    Only the leading process logs. Leaves the group at the end, also after an error.

    Raises:
        UsageError: torchrun's variables are there and make no sense.
    """
    world = _number("WORLD_SIZE", 1)
    if world == 1 or dist.is_initialized():
        yield ALONE
        return
    rank = _number("RANK", 0)
    on_gpu = device.startswith("cuda")
    if on_gpu:
        torch.cuda.set_device(_number("LOCAL_RANK", 0))
    dist.init_process_group("nccl" if on_gpu else "gloo")
    if rank > 0:
        for name in ("simrun", "simtool"):
            logging.getLogger(name).setLevel(logging.ERROR)
    try:
        peers = Peers(rank, world, "cuda" if on_gpu else "cpu")
        log.info("%d processes share the data", world)
        yield peers
    finally:
        dist.destroy_process_group()


def _number(variable: str, default: int) -> int:
    value = os.environ.get(variable, str(default))
    if not value.isdigit():
        raise UsageError(f"{variable} is {value!r}; it must be a number, as torchrun sets it")
    return int(value)
