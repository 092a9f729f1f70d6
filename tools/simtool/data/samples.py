"""The sample pictures that ship with the runtime, made anew by a command.

    python -m simtool.data.samples runtime/simrun/samples [--data DIR]

They hold nothing but MNIST test digits and what is drawn here, so that they may be shipped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from simrun.cli.console import run_app
from simrun.errors import OutputError
from simtool.data import load_split
from simtool.data.canvases import compose

Picture = NDArray[np.uint8]

_SEED: Final = 7
_QUALITY: Final = 90


def digits_on_dark(digits: Picture, labels: NDArray[np.int64]) -> Picture:
    """(240, 320) grey: eight MNIST digits among fragments of others."""
    rng = np.random.default_rng(_SEED)
    return compose(digits, labels, rng, size=(240, 320), items=8, clutter=40).image


def digits_on_bright(digits: Picture, labels: NDArray[np.int64]) -> Picture:
    """(240, 320) grey: seven dark MNIST digits on unevenly lit, noisy paper."""
    rng = np.random.default_rng(_SEED + 1)
    ink = compose(digits, labels, rng, size=(240, 320), items=7).image / 255.0
    light = np.linspace(150, 235, 320) * np.linspace(1.0, 0.85, 240)[:, None]
    paper = light * (1 - 0.75 * ink) + rng.normal(0, 4, ink.shape)
    return paper.clip(0, 255).astype(np.uint8)


def plate() -> Picture:
    """(360, 480, 3) BGR: a house number on a bright plate, seen at an angle."""
    scene = np.full((360, 480, 3), (70, 95, 110), np.float32)
    scene += np.random.default_rng(_SEED).normal(0, 5, (360, 480, 1)).astype(np.float32)
    flat = np.full((120, 260, 3), (225, 228, 230), np.uint8)
    cv2.rectangle(flat, (3, 3), (256, 116), (150, 60, 20), 3, cv2.LINE_AA)
    cv2.putText(flat, "3407", (22, 84), cv2.FONT_HERSHEY_DUPLEX, 2.4, (60, 30, 20), 5, cv2.LINE_AA)
    source = np.array([[0, 0], [260, 0], [260, 120], [0, 120]], np.float32)
    target = np.array([[96, 128], [388, 96], [376, 214], [104, 262]], np.float32)
    matrix = cv2.getPerspectiveTransform(source, target)
    warped = cv2.warpPerspective(flat, matrix, (480, 360))
    covered = cv2.warpPerspective(np.ones((120, 260), np.float32), matrix, (480, 360))[:, :, None]
    return np.asarray(scene * (1 - covered) + warped * covered).clip(0, 255).astype(np.uint8)


def sign() -> Picture:
    """(360, 480, 3) BGR: two lines of bright letters on a dark board before a brick wall."""
    scene = np.full((360, 480, 3), (60, 80, 140), np.uint8)
    for row, y in enumerate(range(0, 360, 18)):
        cv2.line(scene, (0, y), (480, y), (120, 130, 150), 2)
        for x in range(-20 * (row % 2), 480, 40):
            cv2.line(scene, (x, y), (x, y + 18), (120, 130, 150), 2)
    cv2.rectangle(scene, (60, 90), (420, 270), (50, 70, 30), cv2.FILLED)
    for text, y in (("STATION", 165), ("PARK 24", 240)):
        where, white = (90, y), (240, 245, 245)
        cv2.putText(scene, text, where, cv2.FONT_HERSHEY_DUPLEX, 2.0, white, 4, cv2.LINE_AA)
    noise = np.random.default_rng(_SEED).normal(0, 4, scene.shape)
    return np.asarray((scene + noise).clip(0, 255), np.uint8)


def make_samples(folder: Path, data: Path | None) -> list[Path]:
    """Write the samples into a folder that exists.

    Raises:
        SourceError: MNIST cannot be read.
        OutputError: a picture cannot be written.
    """
    test = load_split("mnist", "test", data)
    digits = test.images[:, 0]
    pictures = {
        "digits-on-dark.png": digits_on_dark(digits, test.labels),
        "digits-on-bright.jpg": digits_on_bright(digits, test.labels),
        "plate.jpg": plate(),
        "sign.jpg": sign(),
    }
    for name, picture in pictures.items():
        if not cv2.imwrite(str(folder / name), picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]):
            raise OutputError(f"cannot write {folder / name}")
    return [folder / name for name in pictures]


def _command(
    folder: Annotated[Path, typer.Argument(help="Where the pictures go.")],
    data: Annotated[Path | None, typer.Option(help="Folder of MNIST.")] = None,
) -> None:
    """Make the sample pictures. Example: python -m simtool.data.samples runtime/simrun/samples."""
    for path in make_samples(folder, data):
        typer.echo(path)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command()(_command)
    run_app(app, "samples")
