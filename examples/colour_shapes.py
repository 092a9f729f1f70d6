"""A worked example of a network that similarnet knows nothing of: a small ResNet on colour shapes.

python examples/colour_shapes.py make OUT      # pictures/CLASS/*.png, canvases/*.png, boxes.json
python examples/colour_shapes.py train OUT     # OUT/shapes.safetensors, from these pictures
python examples/colour_shapes.py score OUT RESULTS.jsonl

docs/any-network.md tells the whole way.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

CLASSES: Final = ("circle", "cross", "nothing", "square", "triangle")
SIDE: Final = 48
"""Of a training picture, in pixels."""
CANVAS: Final = 192
_PER_CLASS: Final = 400
_CANVASES: Final = 40
_EPOCHS: Final = 12

Picture = NDArray[np.uint8]
Box = tuple[int, int, int, int]
"""x0, y0, x1, y1"""


class Block(nn.Module):
    """A residual block (He et al., arXiv 1512.03385)."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        """Halve the picture where `stride` is 2."""
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.shortcut = nn.Conv2d(channels, out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, out, H / stride, W / stride)."""
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(out + self.shortcut(x))


class SmallResNet(nn.Module):
    """Three blocks, averaged, and a linear head."""

    def __init__(self) -> None:
        """Fresh weights."""
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1)
        self.layer1 = Block(12, 16, 2)
        self.layer2 = Block(16, 24, 2)
        self.layer3 = Block(24, 32, 1)
        self.head = nn.Linear(32, len(CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 48, 48), normalised -> logits (N, 5)."""
        x = self.layer3(self.layer2(self.layer1(F.relu(self.stem(x)))))
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits


def build() -> nn.Module:
    """The factory that --model names."""
    return SmallResNet()


def draw(image: Picture, kind: str, centre: tuple[int, int], radius: int, colour: list[int]) -> Box:
    """Draw a shape onto an image (H, W, 3); its box."""
    x, y = centre
    r = radius
    if kind == "circle":
        cv2.circle(image, centre, r, colour, -1, cv2.LINE_AA)
    elif kind == "square":
        cv2.rectangle(image, (x - r, y - r), (x + r, y + r), colour, -1)
    elif kind == "triangle":
        points = np.array([[x, y - r], [x + r, y + r], [x - r, y + r]])
        cv2.fillPoly(image, [points], colour, cv2.LINE_AA)
    else:
        width = max(3, r // 2)
        cv2.line(image, (x - r, y - r), (x + r, y + r), colour, width, cv2.LINE_AA)
        cv2.line(image, (x - r, y + r), (x + r, y - r), colour, width, cv2.LINE_AA)
    return x - r, y - r, x + r + 1, y + r + 1


def ground(side: int, rng: np.random.Generator) -> Picture:
    """A soft, noisy ground of some colour, with a few thin lines that are no shape."""
    coarse = rng.integers(40, 140, (3, 3, 3)).astype(np.float32)
    image = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    image = np.clip(image + rng.normal(0, 8, image.shape), 0, 255).astype(np.uint8)
    for _ in range(max(1, side // 48)):
        ends = rng.integers(0, side, (2, 2))
        shade = rng.integers(60, 220, 3).tolist()
        cv2.line(image, ends[0].tolist(), ends[1].tolist(), shade, 1, cv2.LINE_AA)
    return image


def bright(rng: np.random.Generator) -> list[int]:
    """A colour that stands out."""
    colour = rng.integers(30, 256, 3)
    colour[rng.integers(3)] = 255
    return [int(v) for v in colour]


def training_picture(kind: str, rng: np.random.Generator) -> Picture:
    """One picture (48, 48, 3) BGR of a class."""
    image = ground(SIDE, rng)
    if kind != "nothing":
        radius = int(rng.integers(8, 15))
        centre = rng.integers(radius + 1, SIDE - radius - 1, 2)
        draw(image, kind, (int(centre[0]), int(centre[1])), radius, bright(rng))
    return image


def canvas(rng: np.random.Generator) -> tuple[Picture, list[tuple[str, Box]]]:
    """A picture (192, 192, 3) with a shape of each kind in a quarter of its own."""
    image = ground(CANVAS, rng)
    kinds = [kind for kind in CLASSES if kind != "nothing"]
    shapes = []
    for index, kind in enumerate(rng.permutation(kinds)):
        radius = int(rng.integers(9, 15))
        low, high = radius + 4, CANVAS // 2 - radius - 4
        place = rng.integers(low, high, 2) + np.array([index % 2, index // 2]) * CANVAS // 2
        box = draw(image, str(kind), (int(place[0]), int(place[1])), radius, bright(rng))
        shapes.append((str(kind), box))
    return image, shapes


def make(out: Path) -> None:
    """Write pictures and canvases."""
    rng = np.random.default_rng(0)
    for kind in CLASSES:
        folder = out / "pictures" / kind
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(_PER_CLASS):
            cv2.imwrite(str(folder / f"{number:03}.png"), training_picture(kind, rng))
    (out / "canvases").mkdir(exist_ok=True)
    boxes = {}
    for number in range(_CANVASES):
        image, shapes = canvas(rng)
        name = f"{number:02}.png"
        cv2.imwrite(str(out / "canvases" / name), image)
        boxes[name] = shapes
    (out / "boxes.json").write_text(json.dumps(boxes) + "\n", encoding="utf-8")


def train(out: Path) -> None:
    """Train on the pictures and write the weights, with what goes with them."""
    torch.manual_seed(0)
    images, labels = [], []
    for index, kind in enumerate(CLASSES):
        for path in sorted((out / "pictures" / kind).glob("*.png")):
            images.append(cv2.imread(str(path))[..., ::-1].transpose(2, 0, 1))
            labels.append(index)
    x = (torch.tensor(np.stack(images)).float() / 255 - 0.4) / 0.25
    y = torch.tensor(labels)
    model = build()
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for epoch in range(_EPOCHS):
        for part in torch.randperm(len(y)).split(50):
            loss = F.cross_entropy(model(x[part]), y[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch + 1}: loss {loss.item():.3f}", file=sys.stderr)
    facts = {"mean": "0.4", "std": "0.25", "size": str(SIDE), "channels": "3"}
    facts["classes"] = json.dumps(CLASSES)
    save_file(model.state_dict(), out / "shapes.safetensors", facts)


def score(out: Path, results: Path) -> dict[str, float]:
    """How well the regions of a simrun --jsonl file fit the canvases' boxes.

    A shape is found where the centre of a region lies in its box and the region's centre in no
    other's; a region is right where it finds a shape. Labels count among the shapes found.
    """
    boxes = json.loads((out / "boxes.json").read_text(encoding="utf-8"))
    shapes = found = named = regions = right = 0
    for line in results.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if not row.get("file"):
            continue
        truth = boxes[Path(row["file"]).name]
        hits: dict[int, set[str | None]] = {}
        for region in row["regions"]:
            x, y = np.mean(region["quad"], axis=0)
            inside = [i for i, (_, b) in enumerate(truth) if b[0] <= x < b[2] and b[1] <= y < b[3]]
            right += bool(inside)
            for index in inside:
                hits.setdefault(index, set()).add(region["label"])
        regions += len(row["regions"])
        shapes += len(truth)
        found += len(hits)
        named += sum(truth[index][0] in labels for index, labels in hits.items())
    recall, precision = found / shapes, right / max(regions, 1)
    return {
        "shapes": shapes,
        "recall": round(recall, 3),
        "precision": round(precision, 3),
        "f1": round(2 * recall * precision / max(recall + precision, 1e-9), 3),
        "labels_right": round(named / max(found, 1), 3),
    }


def main() -> None:
    """Run one step."""
    step, out = sys.argv[1], Path(sys.argv[2])
    if step == "make":
        make(out)
    elif step == "train":
        train(out)
    else:
        print(json.dumps(score(out, Path(sys.argv[3]))))


if __name__ == "__main__":
    main()
