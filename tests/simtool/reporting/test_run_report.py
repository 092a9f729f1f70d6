from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from simtool.cli.ablate import AblateArguments, ablate
from tests.simtool.example_nets import resnet, settled
from tests.simtool.program import invoke


def test_a_report_on_a_network_from_model(tmp_path: Path) -> None:
    """Importance, stability, deletion curve and the user's pictures by each weighting."""
    random = np.random.default_rng(0)
    for name in ("a", "b", "c", "d"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(4):
            image = random.integers(0, 255, (16, 16, 3), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / "data" / name / f"{number}.png"), image)
    torch.manual_seed(0)
    torch.save(settled(resnet()).state_dict(), tmp_path / "net.pt")
    ablate(
        AblateArguments(
            model="tests.simtool.example_nets:resnet",
            weights=[tmp_path / "net.pt"],
            data=tmp_path / "data",
            out=tmp_path / "run",
            layer=["layer2"],
            size=16,
            resamples=20,
            weighting="uniform",
        )
    )
    pictures, out = tmp_path / "data" / "a", tmp_path / "out"
    factory = ("--model", "tests.simtool.example_nets:resnet")
    result = invoke("report", tmp_path / "run", "--pictures", pictures, "--out", out, *factory)
    assert result.exit_code == 0, result.output
    assert "accuracy on the ablated data" in result.output
    names = {path.name for path in out.iterdir()}
    assert names == {"deletion.png", "importance.png", "index.html", "weights.png"}
    html = (out / "index.html").read_text()
    assert "tests.simtool.example_nets:resnet, layer layer2" in html
    assert "Whether the order means anything" in html
    assert "Your pictures by each weighting" in html
    assert html.count("<img") >= 4 * (1 + 3)
