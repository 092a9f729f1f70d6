"""A bundle's localizer in 8 bits, and the pictures that this takes.

The pictures are of the kind that the camera will see. Three of four set the ranges of the values
between the layers, every fourth compares.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray

from simrun.bundle.metadata import BundleMeta
from simrun.errors import SourceError
from simrun.images.read import to_channels
from simrun.localization.preprocess import prepare
from simrun.sources.picture_files import pictures_in
from simtool.data.annotations import ANNOTATIONS_FILE, load_annotations
from simtool.data.subsampling import subsampling_step
from simtool.export.int8.compare import PrecisionComparison, SamplePicture, compare
from simtool.export.int8.quantize import WEIGHT_BITS, inner_convolutions, quantize
from simtool.export.writer import bundle_in_memory
from simtool.files import file_digest

_MOST: Final = 64
"""Pictures of either kind; of more, as many evenly spread."""
_HELD_OUT: Final = 4
"""Every such picture compares; so many there must be."""


@dataclass(frozen=True)
class Samples:
    """Pictures to set ranges with, and others to compare on."""

    ranging: tuple[SamplePicture, ...]
    held_out: tuple[SamplePicture, ...]

    @classmethod
    def open(cls, folder: Path) -> Samples:
        """List a folder of pictures, or one with annotations.json as `simtool eval` takes it.

        Raises:
            SourceError: it cannot be read or holds fewer than four pictures.
        """
        if (folder / ANNOTATIONS_FILE).is_file():
            annotated = load_annotations(folder)
            pictures = [SamplePicture(annotated.path(image), image) for image in annotated.images]
        else:
            pictures = [SamplePicture(path) for path in pictures_in(folder)]
        if len(pictures) < _HELD_OUT:
            raise SourceError(
                f"--int8 needs {_HELD_OUT} pictures or more, better 50, and {folder} holds "
                f"{len(pictures)}: three of four set the ranges, every fourth compares"
            )
        held_out = pictures[_HELD_OUT - 1 :: _HELD_OUT]
        ranging = [picture for i, picture in enumerate(pictures) if (i + 1) % _HELD_OUT]
        return cls(_subsampled(ranging), _subsampled(held_out))

    def inputs(self, meta: BundleMeta) -> Iterator[NDArray[np.uint8]]:
        """What the network is given of the pictures for the ranges, (1, C, h, w) each.

        Raises:
            SourceError: a picture cannot be read, or is too small for the network.
        """
        for picture in self.ranging:
            image = picture.read()
            seen = to_channels(image, meta.channels)
            working = prepare(seen, meta.side, meta.static_size).image
            if min(working.shape[2:]) < meta.smallest_side:
                raise SourceError(
                    f"{picture.path} is {image.shape[1]}x{image.shape[0]} pixels, too small for "
                    f"--int8: at side {meta.side} it must be {meta.smallest_side} or more both ways"
                )
            yield working

    def to_json(self) -> dict[str, Any]:
        """What set the ranges, for the record. Raises SourceError where a file cannot be read."""
        digest = hashlib.sha256()
        for picture in self.ranging:
            digest.update(file_digest(picture.path))
        return {"pictures": len(self.ranging), "pictures_sha256": digest.hexdigest()}


def to_int8(
    localizer: onnx.ModelProto, unfolded: onnx.ModelProto, meta: BundleMeta, samples: Samples
) -> tuple[onnx.ModelProto, BundleMeta, PrecisionComparison]:
    """Quantize a bundle's localizer.

    Args:
        localizer: as it is exported in single precision, to compare with.
        unfolded: the same with residual blocks left as they are, to be quantized.
        meta: of the bundle.
        samples: pictures.

    Returns:
        The localizer in 8 bits, the metadata with the record of how that was done, and how it
        compares.

    Raises:
        UsageError: the network has no convolution that can be quantized.
        SourceError: a picture cannot be read, or is too small.
    """
    quantized = quantize(unfolded, samples.inputs(meta))
    names = [node.name for node in inner_convolutions(unfolded.graph)]
    record = {"convolutions": names, "weight_bits": WEIGHT_BITS, **samples.to_json()}
    meta = replace(meta, export={**meta.export, "int8": record})
    single, int8 = bundle_in_memory(meta, localizer), bundle_in_memory(meta, quantized)
    return quantized, meta, compare(single, int8, samples.held_out)


def _subsampled(pictures: Sequence[SamplePicture]) -> tuple[SamplePicture, ...]:
    return tuple(pictures[:: subsampling_step(len(pictures), _MOST)])
