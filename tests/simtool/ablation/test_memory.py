from __future__ import annotations

import logging

import pytest
import torch
from torch import Tensor, nn

from simrun.errors import ModelError
from simtool.ablation.measure import AblationOptions, Provenance, ablate_cut
from simtool.ablation.memory import OutOfMemoryError, memory_errors, peak_bytes
from simtool.ablation.partition.choose import cut_network
from simtool.ablation.partition.graph import HookCut
from simtool.ablation.record import AblationRecord
from tests.simtool.tiny import Halves, tiny_head, tiny_trunk

pytestmark = pytest.mark.usefixtures("double")

MESSAGE = "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"


def test_peak_is_what_is_held_at_once() -> None:
    row = torch.ones(1000)
    assert peak_bytes(lambda: [row + i for i in range(3)]) == 3 * 8000
    assert peak_bytes(lambda: [float((row + i)[0]) for i in range(3)]) < 2 * 8000
    assert peak_bytes(lambda: row.view(10, 100)) == 0


def test_memory_errors_of_every_allocator_are_one() -> None:
    for error in (MemoryError(), RuntimeError(MESSAGE), torch.OutOfMemoryError("CUDA")):
        with pytest.raises(OutOfMemoryError), memory_errors():
            raise error
    with pytest.raises(RuntimeError, match="shapes"), memory_errors():
        raise RuntimeError("shapes do not fit")


class Hungry(nn.Module):
    """A head that has no memory for more than so many rows."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.head = tiny_head()
        self.rows = rows

    def forward(self, maps: Tensor) -> Tensor:
        if len(maps) > self.rows:
            raise RuntimeError(MESSAGE)
        return self.head(maps)


def run(rows: int, **options: int) -> AblationRecord:
    torch.manual_seed(0)
    trunk, head = tiny_trunk(), Hungry(rows)
    images = torch.rand(20, 1, 8, 9)
    labels = torch.arange(20) % 4
    cut = HookCut(Halves(trunk, head), trunk, "relu")
    provenance = Provenance("relu", "train", "data", "weights", tuple("0123"))
    chosen = AblationOptions(resamples=20, **options)
    with torch.inference_mode():
        return ablate_cut(cut, [(images, labels)], provenance, chosen)


def test_out_of_memory_goes_on_with_less_to_the_same_result(
    caplog: pytest.LogCaptureFixture,
) -> None:
    whole = run(1000)
    with caplog.at_level(logging.WARNING):
        small = run(3)
    assert "out of memory: going on with" in caplog.text
    assert small.right_to_wrong == whole.right_to_wrong
    for name, measured in whole.criteria.items():
        assert small.criterion(name).ablated == pytest.approx(measured.ablated, abs=1e-12)
        assert small.criterion(name).harm_high == pytest.approx(measured.harm_high, abs=1e-12)


def test_too_little_for_one_image_ends_with_what_to_do() -> None:
    class Never(HookCut):
        """Runs out of memory from the first real batch on: four calls measure what one needs."""

        calls = 0

        def run(self, images: Tensor, baseline: Tensor | None = None) -> object:
            self.calls += 1
            if self.calls > 4:
                raise RuntimeError(MESSAGE)
            return super().run(images, baseline)

    trunk = tiny_trunk()
    cut = Never(Halves(trunk, tiny_head()), trunk, "relu")
    provenance = Provenance("relu", "train", "data", "weights", tuple("0123"))
    batch = (torch.rand(6, 1, 8, 9), torch.zeros(6, dtype=torch.int64))
    with (
        torch.inference_mode(),
        pytest.raises(ModelError, match=r"one image and one filter.*--size"),
    ):
        ablate_cut(cut, [batch], provenance, AblationOptions(resamples=20))


def test_what_is_held_at_once_stays_within_the_bound_and_the_result_is_the_same() -> None:
    wide = nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU())
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 4))
    images, labels = torch.rand(64, 1, 32, 32), torch.arange(64) % 4
    provenance = Provenance("relu", "train", "data", "weights", tuple("0123"))
    cut = cut_network(Halves(wide, head).eval(), "trunk", images[:2])
    records = {}
    with torch.inference_mode():
        for bound in (4, 64):
            options = AblationOptions(resamples=20, memory_mb=bound)

            def work(options: AblationOptions = options, bound: int = bound) -> None:
                records[bound] = ablate_cut(cut, [(images, labels)], provenance, options)

            assert peak_bytes(work) < bound * 2**20
    assert records[4].right_to_wrong == records[64].right_to_wrong
