"""One measurement in a process of its own, so that its peak memory is its own.

python -m benchmarks.speed.ablation.worker CASE METHOD IMAGES MEMORY_MB    # prints a JSON object
"""

from __future__ import annotations

import gc
import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import psutil
import torch
from torch import Tensor, nn

from benchmarks.harness.benchmark import ROOT
from benchmarks.harness.console import make_parser, one_line_errors
from benchmarks.speed.ablation import nets
from simrun.errors import SourceError
from simtool.ablation.measure import AblationOptions, Provenance, ablate_cut
from simtool.ablation.partition.choose import cut_network
from simtool.data import load_split
from simtool.runs.checkpoint import read_checkpoint

CHUNK: Final = 32
"""Filters that the competitors put through the network together."""


class Peak:
    """The most memory that the process held while a block ran, sampled every 5 ms."""

    def __enter__(self) -> Peak:
        """Start to look."""
        gc.collect()
        self._process = psutil.Process()
        self.before = self.most = self._process.memory_info().rss
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._done.wait(0.005):
            self.most = max(self.most, self._process.memory_info().rss)

    def __exit__(self, *error: object) -> None:
        """Stop to look."""
        self._done.set()
        self._thread.join()

    @property
    def mb(self) -> float:
        """MiB on top of what was there before."""
        return float(self.most - self.before) / 2**20


def lenet(images: int) -> tuple[nn.Module, str, Tensor, Tensor]:
    """The shipped LeNet on MNIST, or, where that is not to be found, on noise, and says so."""
    net = read_checkpoint(ROOT / "models" / "mnist-lenet").build()
    try:
        data = load_split("mnist", "train", None).subset(slice(0, images))
        pictures, labels = torch.tensor(data.images), torch.tensor(data.labels)
    except SourceError as error:
        print(f"noise in place of MNIST: {error}", file=sys.stderr)
        pictures, labels = noise(images, (1, 28, 28), 10)
    return net, "trunk.relu2", pictures, labels


def noise(images: int, shape: tuple[int, ...], classes: int) -> tuple[Tensor, Tensor]:
    """Pictures of noise: the time does not depend on what is in them."""
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 256, (images, *shape), dtype=torch.uint8, generator=generator)
    return pictures, torch.randint(0, classes, (images,), generator=generator)


def case(name: str, images: int) -> tuple[nn.Module, str, Tensor, Tensor]:
    """Network, layer, pictures (N, C, H, W) uint8 and labels (N,)."""
    if name == "lenet":
        return lenet(images)
    kind, _, width = name.partition(":")
    net = {"vgg": nets.vgg, "resnet": nets.resnet}[kind](filters=int(width or 512))
    return net, "body", *noise(images, (3, 224, 224), 100)


def plain(net: nn.Module, layer: str, pictures: Tensor, labels: Tensor, batch: int) -> None:
    """One evaluation: the accuracy."""
    right = 0
    for start in range(0, len(pictures), batch):
        logits = net(pictures[start : start + batch].float() / 255)
        right += int((logits.argmax(1) == labels[start : start + batch]).sum())


def ours(
    net: nn.Module,
    layer: str,
    pictures: Tensor,
    labels: Tensor,
    memory_mb: int,
    seen: dict[str, Any],
) -> None:
    """Everything that `simtool ablate` measures but the deletion curve."""
    cut = cut_network(net, layer, pictures[:2].float() / 255)
    classes = tuple(str(i) for i in range(10 if len(pictures[0]) == 1 else 100))
    step = 1000 if len(pictures[0]) == 1 else 32

    def batches() -> Any:  # noqa: ANN401 - pairs of tensors
        for start in range(0, len(pictures), step):
            yield pictures[start : start + step].float() / 255, labels[start : start + step]

    options = AblationOptions(memory_mb=memory_mb)
    record = ablate_cut(cut, batches(), Provenance(layer, "all", "", "", classes), options)
    seen["harm"] = record.criterion("logit").harm


def run_to(net: nn.Module, layer: str, images: Tensor) -> tuple[Tensor, Tensor]:
    """What a layer gives for images, and the logits."""
    kept: list[Tensor] = []
    handle = net.get_submodule(layer).register_forward_hook(lambda m, i, o: kept.append(o.clone()))
    logits = net(images)
    handle.remove()
    return kept[0], logits


def captum(
    net: nn.Module, layer: str, pictures: Tensor, labels: Tensor, seen: dict[str, Any]
) -> None:
    """captum's LayerFeatureAblation, a channel a feature."""
    from captum.attr import LayerFeatureAblation

    oracle = LayerFeatureAblation(net, net.get_submodule(layer))
    mask: Tensor | None = None
    total = torch.zeros((), dtype=torch.float64)
    step = 1000 if len(pictures[0]) == 1 else 32
    for start in range(0, len(pictures), step):
        images = pictures[start : start + step].float() / 255
        if mask is None:
            maps, _ = run_to(net, layer, images[:1])
            mask = torch.arange(maps.shape[1]).view(1, -1, 1, 1)
        drops = oracle.attribute(images, target=labels[start : start + step], layer_mask=mask)
        total = total + drops[:, :, 0, 0].double().sum(0)
    seen["harm"] = (total / len(pictures)).numpy()


def cam_loop(
    net: nn.Module, layer: str, pictures: Tensor, labels: Tensor, seen: dict[str, Any]
) -> None:
    """Ablation-CAM's loop (Desai & Ramaswamy 2020) as CAM libraries have it, for our question.

    Own code after the idea: for each image the whole network runs again for a batch of channels,
    the layer's output replaced by copies with one channel blocked each.
    """
    total = torch.zeros((), dtype=torch.float64)
    for picture, label in zip(pictures, labels, strict=True):
        image = picture[None].float() / 255
        maps, logits = run_to(net, layer, image)
        drops = torch.empty(maps.shape[1])
        for start in range(0, maps.shape[1], CHUNK):
            channels = range(start, min(start + CHUNK, maps.shape[1]))
            copies = maps.repeat(len(channels), 1, 1, 1)
            for row, channel in enumerate(channels):
                copies[row, channel] = 0
            handle = net.get_submodule(layer).register_forward_hook(
                lambda m, i, o, copies=copies: copies
            )
            scores = net(image.repeat(len(channels), 1, 1, 1))[:, label]
            handle.remove()
            drops[start : start + len(channels)] = logits[0, label] - scores
        total = total + drops.double()
    seen["harm"] = (total / len(pictures)).numpy()


@one_line_errors("ablation.worker")
def main() -> None:
    """Measure and print."""
    parser = make_parser(__doc__)
    parser.add_argument("case", help="lenet, vgg or resnet; vgg:128 has 128 filters")
    parser.add_argument("method", choices=["plain", "ours", "captum", "cam loop"])
    parser.add_argument("images", type=int)
    parser.add_argument("memory_mb", type=int)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = measure(options.case, options.method, options.images, options.memory_mb)
    print(json.dumps(found))


def measure(name: str, method: str, images: int, memory_mb: int) -> dict[str, Any]:
    """Seconds, processor seconds, peak MiB and, but for "plain", the harm by filter."""
    net, layer, pictures, labels = case(name, images)
    seen: dict[str, Any] = {}
    batch = 1000 if name == "lenet" else 32
    works: dict[str, Callable[[], None]] = {
        "plain": lambda: plain(net, layer, pictures, labels, batch),
        "ours": lambda: ours(net, layer, pictures, labels, memory_mb, seen),
        "captum": lambda: captum(net, layer, pictures, labels, seen),
        "cam loop": lambda: cam_loop(net, layer, pictures, labels, seen),
    }
    with torch.inference_mode():
        net(pictures[:2].float() / 255)  # PyTorch sets itself up
        if method == "ours":
            ours(net, layer, pictures[:2], labels[:2], memory_mb, {})  # imports torch.fx
        started, used = time.perf_counter(), time.process_time()
        with Peak() as peak:
            works[method]()
        seconds, cpu = time.perf_counter() - started, time.process_time() - used
    harm = np.asarray(seen.get("harm", [])).tolist()
    return {"seconds": seconds, "cpu_s": cpu, "peak_mb": peak.mb, "harm": harm}


if __name__ == "__main__":
    main()
