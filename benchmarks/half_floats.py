"""What a classifier loses where its weights are stored as half floats: shipped against trained.

    python -m benchmarks.half_floats --data MATERIAL      # of `simtool fetch scene-text`

The trained network and the shipped `classifier.onnx` answer the same crops, those of the test split
of what the network was trained on. Beside them stands what was not chosen: the same weights as
integers of 8 bits with a scale for each output. Writes half_floats.json and prints a table.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.console import make_parser, one_line_errors
from simrun.bundle import load_bundle
from simrun.engine import Engine, EngineConfig
from simtool.accuracy import to_tensors
from simtool.data import LabelledImages, load_split
from simtool.half_precision import large_weights
from simtool.origin import open_origin

OUT: Final = Path(__file__).with_suffix(".json")
MODELS: Final = {"mnist-lenet": "mnist", "scene-text": "characters"}
"""Bundle -> data set of its classifier."""
_BATCH: Final = 500

Logits = NDArray[np.float32]


def compare(model: str, crops: LabelledImages) -> dict[str, Any]:
    """The answers of the shipped graph, and of integers, beside those of the trained network."""
    folder = Path("models") / model
    origin = open_origin(folder)
    net = (origin.classifier or origin.checkpoint).build()
    trained = answers(net, crops)
    round_to_bytes(net, spared=None if origin.classifier else net.export_trunk())
    engine = Engine(load_bundle(folder).classifier or b"", EngineConfig(), what=model)
    starts = range(0, len(crops), _BATCH)
    shipped = np.concatenate([engine.run(crops.images[i : i + _BATCH]) for i in starts])
    return {
        "crops": len(crops),
        "trained": {"wrong": int((trained.argmax(1) != crops.labels).sum())},
        "half floats, shipped": differences(trained, shipped, crops),
        "8 bits": differences(trained, answers(net, crops), crops),
    }


def answers(net: nn.Module, crops: LabelledImages) -> Logits:
    """Logits (N, classes)."""
    with torch.inference_mode():
        parts = np.array_split(np.arange(len(crops)), max(1, len(crops) // _BATCH))
        return np.concatenate([net(to_tensors(crops, part)[0]).numpy() for part in parts])


def round_to_bytes(net: nn.Module, spared: nn.Module | None) -> None:
    """Round the larger weights to 255 steps between the extremes of each output, in place."""
    with torch.no_grad():
        for weight in large_weights(net, spared):
            scale = weight.flatten(1).abs().amax(1) / 127
            scale = scale.view(-1, *[1] * (weight.ndim - 1))
            weight.copy_((weight / scale).round() * scale)


def differences(trained: Logits, other: Logits, crops: LabelledImages) -> dict[str, Any]:
    """How other answers differ; the score is the likeliest class's probability."""
    scores = [torch.from_numpy(logits).softmax(1).amax(1) for logits in (trained, other)]
    return {
        "wrong": int((other.argmax(1) != crops.labels).sum()),
        "another_label": int((trained.argmax(1) != other.argmax(1)).sum()),
        "score_at_most": round(float((scores[0] - scores[1]).abs().max()), 5),
    }


@one_line_errors("half_floats")
def main() -> None:
    """Compare every shipped classifier that has rounded weights."""
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the material of scene-text")
    material: Path = parser.parse_args().data
    folders = {"mnist": None, "characters": material}
    record = {
        model: compare(model, load_split(name, "test", folders[name]))
        for model, name in MODELS.items()
    }
    OUT.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print("| classifier of | crops | weights | wrong (trained) | another label | score, at most |")
    print("|---|---|---|---|---|---|")
    for model, found in record.items():
        for how in ("half floats, shipped", "8 bits"):
            row = found[how]
            wrong = f"{row['wrong']} ({found['trained']['wrong']}) | {row['another_label']}"
            print(f"| {model} | {found['crops']} | {how} | {wrong} | {row['score_at_most']:.4f} |")


if __name__ == "__main__":
    main()
