"""What scenes are composed of, kept in one file of the run: nothing else is needed afterwards."""

from __future__ import annotations

import hashlib
import io
import logging
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from simrun.errors import SourceError
from simtool.data.dataset import Variant
from simtool.data.image_folder import Channels
from simtool.data.labels import NOTHING
from simtool.data.objects.cutout import Pixels
from simtool.data.objects.reading import HELD_OUT, CutOuts, read_cutouts, read_photos
from simtool.data.text.textures import MATERIALS, random_texture
from simtool.files import write_atomic

log = logging.getLogger(__name__)

MATERIAL_FILE: Final = "material.npz"
_TEXTURES: Final = 160
_TEXTURE_SIDE: Final = 256
_SEED: Final = 48


@dataclass(frozen=True, eq=False)
class Material:
    """Cut-outs and backgrounds."""

    cutouts: CutOuts
    backgrounds: tuple[Pixels, ...] = field(repr=False)
    """(H, W, C) uint8 each."""

    @property
    def variant(self) -> Variant:
        """What the network takes from the data."""
        return Variant((*self.cutouts.classes, NOTHING), self.cutouts.images.shape[3] - 1)

    def backgrounds_of(self, held_out: bool) -> list[Pixels]:
        """Those of one side of the split, as pictures are split; of a single one, both get it."""
        side = [b for i, b in enumerate(self.backgrounds) if (i % HELD_OUT == 0) is held_out]
        return side or list(self.backgrounds)

    def sha256(self) -> str:
        """Identity of all of it."""
        digest = hashlib.sha256(repr(self.cutouts.classes).encode())
        digest.update(self.cutouts.images.tobytes())
        digest.update(self.cutouts.labels.astype("<i8").tobytes())
        for picture in self.backgrounds:
            digest.update(repr(picture.shape).encode() + picture.tobytes())
        return digest.hexdigest()

    def save(self, run: Path) -> None:
        """Write it into a run folder. Raises OutputError."""
        arrays: dict[str, Any] = {f"background_{i}": b for i, b in enumerate(self.backgrounds)}
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            classes=np.array(self.cutouts.classes),
            images=self.cutouts.images,
            labels=self.cutouts.labels,
            held_out=self.cutouts.held_out,
            **arrays,
        )
        write_atomic(run / MATERIAL_FILE, buffer.getvalue())

    @classmethod
    def load(cls, run: Path) -> Material:
        """Read what `save` wrote.

        Raises:
            SourceError: the folder has none, or it is damaged.
        """
        path = run / MATERIAL_FILE
        if not path.is_file():
            raise SourceError(
                f"{run} has no {MATERIAL_FILE}; give the run folder of 'simtool train folder'"
            )
        try:
            with np.load(path, allow_pickle=False) as stored:
                parts = {key: stored[key] for key in stored.files}
            classes = tuple(str(name) for name in parts["classes"])
            cutouts = CutOuts(classes, parts["images"], parts["labels"], parts["held_out"])
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise SourceError(f"{path} is damaged ({error}); train into another folder") from error
        count = sum(key.startswith("background_") for key in parts)
        return cls(cutouts, tuple(parts[f"background_{i}"] for i in range(count)))


def read_material(data: Path, background: Path | None, channels: Channels | None) -> Material:
    """Read pictures and background photos; without photos, textures are made.

    Raises:
        SourceError: as `read_cutouts` and `read_photos`.
    """
    cutouts, channels = read_cutouts(data, channels)
    photos = None if background is None else read_photos(background, channels)
    if photos is None:
        log.info("no --background: scenes are composed on made textures")
        photos = make_textures(channels)
    counts = np.bincount(cutouts.labels, minlength=len(cutouts.classes))
    log.info(
        "%d pictures of %d classes, %d of them held out; %d backgrounds; the least class has %d",
        *(len(cutouts.labels), len(cutouts.classes), int(cutouts.held_out.sum()), len(photos)),
        int(counts.min()),
    )
    return Material(cutouts, tuple(photos))


def make_textures(channels: Channels, count: int = _TEXTURES) -> list[Pixels]:
    """Backgrounds without photos, (256, 256, C): the textures of `scene-text`, tinted for RGB."""
    rng = np.random.default_rng(_SEED)
    textures = []
    for _ in range(count):
        grey = random_texture(rng, _TEXTURE_SIDE, MATERIALS)[..., np.newaxis]
        textures.append(grey if channels == "grey" else _tinted(grey, rng))
    return textures


def _tinted(grey: Pixels, rng: np.random.Generator) -> Pixels:
    """(H, W, 3): dark pixels in one colour, bright ones in another, and light that changes."""
    dark, bright = np.sort(rng.uniform(0, 255, (2, 3)), axis=0)
    share = grey.astype(np.float32) / 255
    light = rng.uniform(0.7, 1.3, (3, 3, 3)).astype(np.float32)
    light = np.asarray(cv2.resize(light, grey.shape[1::-1], interpolation=cv2.INTER_CUBIC))
    return np.asarray(((dark + share * (bright - dark)) * light).clip(0, 255), np.uint8)
