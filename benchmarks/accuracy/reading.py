"""How well words on photos are read, and for how much: this project beside other readers.

    python -m benchmarks.accuracy.reading DATASET [--clean NOTEXT] [--peers FOLDER] [--subset N]

Every transcribed word of DATASET is cut out by its own quad and read, and every region that
scene-text finds is read too, by all readers in random order, photo by photo. Below FOLDER lie the
others: PP-OCR recognisers as ONNX files that carry their characters under the key `character`, and
Tesseract where its Python binding `tesserocr` can be imported from there; without it, ours alone.
All run on one thread. Writes reading.json beside this file and the table of RESULTS.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from benchmarks.harness.benchmark import Benchmark, heading, in_turns, table
from benchmarks.harness.console import BenchmarkError
from benchmarks.harness.record import Record, Samples, spread
from simrun import Localizer
from simrun.bundle.reader import ReaderMeta
from simrun.images.read import Image, to_channels
from simrun.recognition.ctc import decode_greedy
from simrun.recognition.strips import cut_strip
from simrun.result import Quad, Reading
from simtool.data.annotations import AnnotatedImage, load_annotations
from simtool.evaluation.evaluate import read_annotated
from simtool.evaluation.reading_metrics import (
    Judged,
    ReadingCounts,
    ReadRegion,
    WordScores,
    count_readings,
    edit_distance,
    is_counted,
    normalised,
)

MODEL: Final = "scene-text"
_PEER_STRIPS: Final = ReaderMeta(
    alphabet="?", height=48, stride=8, threshold=0.0, least_width=48, greatest_width=2400
)
"""How PP-OCR's recognisers take a line, at its natural width; the rest is in their files."""
_SINGLE_WORD: Final = 8
"""Tesseract's page segmentation mode."""


class TextReader(Protocol):
    """What reads a quad of a photo."""

    name: str
    weights: int | None
    """Numbers in its network, where that is known."""
    threshold: float
    """Probability from which a reading is a label."""

    def read(self, frame: Image, quad: Quad) -> Reading:
        """What a quad of a frame (H, W, 3) BGR says."""
        ...

    def read_found(self, frame: Image, quads: Sequence[Quad]) -> list[Reading]:
        """What the regions say that the localizer found in a frame."""
        ...


class Ours:
    """The shipped model by its public API."""

    def __init__(self, localizer: Localizer) -> None:
        """Take a model that reads lines. Raises BenchmarkError where it does not."""
        reader, graph = localizer.meta.reader, localizer.bundle.reader
        if reader is None or graph is None:
            raise BenchmarkError(f"{localizer.meta.name} has no reader of lines")
        self.name = localizer.meta.name
        self.weights: int | None = count_weights(graph)
        self.threshold = reader.threshold
        self._localizer = localizer

    def read(self, frame: Image, quad: Quad) -> Reading:
        """See `TextReader`."""
        return self._localizer.read(frame, [quad])[0]

    def read_found(self, frame: Image, quads: Sequence[Quad]) -> list[Reading]:
        """The labels of the same regions, as they are reported."""
        labels = {region.quad: region for region in self._localizer(frame).regions}
        found = (labels[quad] for quad in quads)
        return [Reading(one.label or "", one.label_score or 0.0) for one in found]


class _OneByOne:
    """Reads what was found as any other quad."""

    def read(self, frame: Image, quad: Quad) -> Reading:
        """See `TextReader`."""
        raise NotImplementedError

    def read_found(self, frame: Image, quads: Sequence[Quad]) -> list[Reading]:
        """See `TextReader`."""
        return [self.read(frame, quad) for quad in quads]


class PpOcr(_OneByOne):
    """A PP-OCR recogniser: strips in colour, 48 pixels high, to probabilities, blank first."""

    threshold = 0.5

    def __init__(self, path: Path) -> None:
        """Load an ONNX file. Raises BenchmarkError where it does not carry its characters."""
        content = path.read_bytes()
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        listed = self._session.get_modelmeta().custom_metadata_map.get("character")
        if listed is None:
            raise BenchmarkError(f"{path.name} has no metadata 'character': what its outputs mean")
        self._characters = ("", *listed.splitlines(), " ")
        self._input = self._session.get_inputs()[0].name
        self.name = path.stem
        self.weights: int | None = count_weights(content)

    def read(self, frame: Image, quad: Quad) -> Reading:
        """See `TextReader`."""
        strip = cut_strip(frame, quad, _PEER_STRIPS).astype(np.float32)
        batch = (strip / 127.5 - 1).transpose(2, 0, 1)[np.newaxis]
        (steps,) = self._session.run(None, {self._input: batch})[0]
        return decode_greedy(np.log(np.maximum(steps, 1e-9)), self._characters)


class Tesseract(_OneByOne):
    """Tesseract in the mode for single words, strips 48 pixels high: its best on such words."""

    name = "Tesseract"
    weights: int | None = None
    threshold = 0.0

    def __init__(self, module: Any) -> None:  # noqa: ANN401 - a package that may not be there
        """By the binding `tesserocr`."""
        self._api = module.PyTessBaseAPI(psm=_SINGLE_WORD)

    def read(self, frame: Image, quad: Quad) -> Reading:
        """See `TextReader`."""
        strip = cut_strip(to_channels(frame, 1), quad, _PEER_STRIPS)
        height, width = strip.shape
        self._api.SetImageBytes(strip.tobytes(), width, height, 1, width)
        text = " ".join(self._api.GetUTF8Text().split())
        return Reading(text, self._api.MeanTextConf() / 100)


def count_weights(graph: bytes) -> int:
    """Numbers in the larger tensors of a graph."""
    import onnx

    tensors = onnx.load_model_from_string(graph).graph.initializer
    return sum(int(np.prod(tensor.dims)) for tensor in tensors if len(tensor.dims) > 1)


def gather(localizer: Localizer, peers: Path | None) -> list[TextReader]:
    """The readers that can be had here. Raises BenchmarkError where the folder has none."""
    found: list[TextReader] = [Ours(localizer)]
    if peers is None:
        return found
    found += [PpOcr(path) for path in sorted(peers.rglob("*rec*.onnx"))]
    sys.path.insert(0, str(peers))
    try:
        import tesserocr  # type: ignore[import-not-found]  # of the folder, if it is there
    except ImportError:
        pass
    else:
        found.append(Tesseract(tesserocr))
    finally:
        sys.path.remove(str(peers))
    if len(found) == 1:
        raise BenchmarkError(f"{peers} holds no recogniser (*rec*.onnx) and no tesserocr")
    return found


@dataclass
class Tally:
    """What one reader reads."""

    words: list[Judged] = field(default_factory=list)
    errors: int = 0
    letters: int = 0
    spent_ms: list[float] = field(default_factory=list)
    """CPU time of each cut-out word."""
    photos: ReadingCounts = field(default_factory=ReadingCounts)

    def add_word(self, reader: TextReader, frame: Image, quad: Quad, text: str) -> None:
        """Read a word cut out by its own quad."""
        started = time.process_time()
        reading = reader.read(frame, quad)
        self.spent_ms.append(1000 * (time.process_time() - started))
        read, word = normalised(reading.text), normalised(text)
        self.words.append(Judged(reading.probability, read == word))
        self.errors += edit_distance(read, word)
        self.letters += len(word)

    def add_photo(
        self, reader: TextReader, frame: Image, image: AnnotatedImage, quads: Sequence[Quad]
    ) -> None:
        """Read the regions found on a photo."""
        readings = reader.read_found(frame, quads)
        self.photos += count_readings(
            image,
            [
                ReadRegion(q, r.text if r.probability >= reader.threshold else None, r.probability)
                for q, r in zip(quads, readings, strict=True)
            ],
        )

    def to_record(self, reader: TextReader) -> dict[str, Any]:
        """A row of the record."""
        words = WordScores(tuple(self.words), self.errors, self.letters, 0.0).to_json()
        del words["cpu_ms"]
        return {
            "name": reader.name,
            "weights": reader.weights,
            **words,
            "cpu_ms": Samples(self.spent_ms),
            "photos": self.photos.to_json(),
        }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--clean", type=Path, help="annotated photos without text")
    parser.add_argument("--peers", type=Path, help="folder of the other readers")
    parser.add_argument("--subset", type=int, help="only N photos of the data set")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Read every photo by every reader."""
    cv2.setNumThreads(1)
    localizer = Localizer.load(MODEL)
    readers = gather(localizer, options.peers)
    sets = [load_annotations(options.dataset).sample(options.subset)]
    sets += [] if options.clean is None else [load_annotations(options.clean)]
    pictures = [
        (one, image)
        for one in sets
        for image in one.images
        if any(map(is_counted, image.regions)) or not image.regions
    ]
    tallies = {reader.name: Tally() for reader in readers}
    find = Localizer.load(MODEL, classify=False)
    for (one, image), order in in_turns(readers, pictures, "photo"):
        frame = read_annotated(one.path(image), image)
        read_photo(image, frame, find, [(reader, tallies[reader.name]) for reader in order])
    return {
        "model_sha256": localizer.bundle.sha256,
        "dataset": sets[0].name,
        "photos": len(pictures),
        "readers": [tallies[reader.name].to_record(reader) for reader in readers],
    }


def read_photo(
    image: AnnotatedImage,
    frame: NDArray[np.uint8],
    find: Callable[[Image], Any],
    readers: Sequence[tuple[TextReader, Tally]],
) -> None:
    """One photo by every reader: its words, and the regions that `find` finds on it."""
    quads = [region.quad for region in find(frame).regions]
    for reader, tally in readers:
        for region in filter(is_counted, image.regions):
            tally.add_word(reader, frame, region.quad, str(region.text))  # type: ignore[arg-type]
        tally.add_photo(reader, frame, image, quads)


def to_markdown(record: Record) -> str:
    """One row a reader."""
    heads = ["reader", "weights", "cut-out words", "CER", "CPU ms a word", "token", "within"]
    heads += ["precision", "labels on photos without text"]
    note = heading(record, f"{record['dataset']}, {record['photos']} photos; quads of {MODEL}")
    return f"{note}\n\n{table(heads, map(_cells, record['readers']))}"


def _cells(of: Record) -> list[str]:
    photos = of["photos"]
    regions, labelled = photos["regions_without_text"], photos["labelled_without_text"]
    figures = (photos[name] for name in ("token", "substr", "precision"))
    return [
        of["name"],
        "-" if of["weights"] is None else f"{of['weights'] / 1000:.0f}k",
        _share(of["accuracy"]),
        _share(of["CER"]),
        spread(of["cpu_ms"]),
        *map(_share, figures),
        f"{labelled} of {regions}" if regions else "-",
    ]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


BENCHMARK: Final = Benchmark(measure, to_markdown, add_arguments, markers="reading")

if __name__ == "__main__":
    BENCHMARK.main()
