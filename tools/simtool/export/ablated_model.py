"""What an export starts from: a run folder, or a bundle that carries its checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from simrun.bundle.load import METADATA_FILE, find_bundle
from simrun.bundle.metadata import BundleMeta
from simrun.errors import ModelError
from simtool.ablation.record import AblationRecord, read_ablation
from simtool.evaluation.calibrate_reading import READING_POINT
from simtool.export.optimize.rounding import round_trunk, round_weights, shorten_weights
from simtool.files import read_json
from simtool.nets.base import Classifier
from simtool.nets.reader import Reader, folded
from simtool.runs.checkpoint import (
    CLASSIFIER_CHECKPOINT,
    READER_CHECKPOINT,
    Checkpoint,
    build_reader,
    read_checkpoint,
)
from simtool.runs.folder import SUMMARY_FILE, ForeignConfig, RunConfig, RunFolder

_READER_BITS: Final = 5
"""Of the mantissas of a reader's weights: 140 KB less in the wheel; of 308 words on photos one
fewer is a token, and as many are read when they are cut out."""
_NAMING: Final = ("classifier", "reader")
"""Keys of the records of what names regions."""


@dataclass(frozen=True)
class Provenance:
    """What a network was trained on and how, and what came of it."""

    data: str
    """Name of the data set; a folder's path of a network from --model."""
    accuracy: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Networks:
    """What is exported, in evaluation mode, with the weights that the files will hold."""

    localizer: Classifier
    """Its trunk and its ablated layer's weights become the localizer."""
    recognition: Classifier | Reader
    """Classifies crops, or reads lines, its batch norms folded."""


@dataclass(frozen=True)
class AblatedModel:
    """A trained and ablated network, and what is known of it."""

    checkpoint: Checkpoint
    ablation: AblationRecord
    provenance: Provenance
    previous: BundleMeta | None = None
    """Metadata of the bundle that it is read from, if it is: its settings are the defaults."""
    classifier: Checkpoint | None = None
    """The network that reads crops, where it is another one."""
    reader: Checkpoint | None = None
    """The network that reads lines; then there is no classifier."""

    def networks(self) -> Networks:
        """The networks, made anew: rounding changes no other's weights.

        Raises:
            ModelError: weights are not those of their network, or none reads crops.
            UsageError: there is no such network, or its factory cannot be imported.
        """
        localizer = self.checkpoint.build()
        if localizer.spec.half_trunk:
            round_trunk(localizer.export_trunk())
        return Networks(
            localizer, self._reads_crops() if self.reader is None else _lines(self.reader)
        )

    def _reads_crops(self) -> Classifier:
        classifier = (self.classifier or self.checkpoint).build()
        if len(classifier.spec.shown) < 2:
            raise ModelError(
                f"'{classifier.spec.name}' reads no characters; give a run of 'simtool train "
                "reader' with --reader, or of 'simtool train characters' with --classifier"
            )
        round_weights(classifier, spared=None if self.classifier else classifier.export_trunk())
        return classifier


def _lines(checkpoint: Checkpoint) -> Reader:
    """The reader as the file will hold it. Raises ModelError where it is none."""
    reader = folded(build_reader(checkpoint))
    shorten_weights(reader, _READER_BITS)
    return reader


def with_classifier(ablated: AblatedModel, run: Path) -> AblatedModel:
    """The model with the network of another run to read its crops.

    Raises:
        ModelError: that is no run folder with a checkpoint.
    """
    trained = open_run(run)
    return replace(_named_by(ablated, "classifier", trained), classifier=trained.checkpoint)


def with_reader(ablated: AblatedModel, run: Path) -> AblatedModel:
    """The model with the reader of a run, in place of what it had.

    The threshold of a former reader goes with it.

    Raises:
        ModelError: that is no run folder with a reader's checkpoint.
    """
    trained = open_run(run)
    build_reader(trained.checkpoint)
    return replace(_named_by(ablated, "reader", trained), reader=trained.checkpoint)


def _named_by(ablated: AblatedModel, kind: str, trained: TrainedRun) -> AblatedModel:
    """The model without what named its regions, and with the record of another run."""
    previous, known = ablated.previous, ablated.provenance
    if previous is not None:
        record = {k: v for k, v in previous.export.items() if k != READING_POINT}
        previous = replace(previous, reader=None, export=record)
    training, accuracy = (
        {k: v for k, v in facts.items() if k not in _NAMING}
        for facts in (known.training, known.accuracy)
    )
    training[kind], accuracy[kind] = trained.training, trained.accuracy
    provenance = Provenance(known.data, accuracy, training)
    return replace(ablated, classifier=None, reader=None, provenance=provenance, previous=previous)


def open_ablated(path: Path, factory: str | None = None) -> AblatedModel:
    """Read a run folder or a bundle, by folder or, for a bundle, by name.

    Args:
        path: the folder, or the name.
        factory: `package.module:factory` that the user named, where the network is from elsewhere.

    Raises:
        ModelError: it is neither, is not ablated, or its ablation is of another checkpoint.
        UsageError: the network's factory is not the one that the user named.
    """
    is_bundle = not path.is_dir() or (path / METADATA_FILE).is_file()
    ablated = _from_bundle(find_bundle(path)) if is_bundle else _from_run(path)
    return replace(ablated, checkpoint=ablated.checkpoint.trusting(factory))


@dataclass(frozen=True)
class TrainedRun:
    """The result of a training and its record."""

    config: RunConfig
    checkpoint: Checkpoint
    accuracy: Mapping[str, Any]
    training: Mapping[str, Any]


def _from_run(path: Path) -> AblatedModel:
    run = RunFolder.open(path)
    checkpoint = read_checkpoint(run.path)
    if checkpoint.foreign is not None:
        return _from_foreign(path, checkpoint)
    trained = open_run(path)
    return AblatedModel(
        checkpoint=trained.checkpoint,
        ablation=read_ablation(path, trained.checkpoint),
        provenance=Provenance(trained.config.recipe.data, trained.accuracy, trained.training),
    )


def open_run(path: Path) -> TrainedRun:
    """Read a run folder, ablated or not. Raises ModelError where it is none or damaged."""
    run = RunFolder.open(path)
    config = run.config()
    checkpoint = read_checkpoint(path)
    tests = run.history(checkpoint.epoch)[-1]["test"]
    accuracy: dict[str, Any] = {"test": tests["overall"], "per_class": tests["per_class"]}
    summary = path.parent / SUMMARY_FILE
    if summary.is_file():
        accuracy["seeds"] = read_json(summary)
    training = {**config.to_json(), "epochs_done": checkpoint.epoch}
    training["checkpoint_sha256"] = checkpoint.sha256
    return TrainedRun(config, checkpoint, accuracy, training)


def _from_foreign(path: Path, checkpoint: Checkpoint) -> AblatedModel:
    """The run folder of a network from --model: its accuracy is that of the ablated data."""
    config = ForeignConfig.load(path)
    record = read_ablation(path, checkpoint)
    error = record.criterion("error")
    right = [None if e is None else 1 - e for e in error.base_per_class]
    return AblatedModel(
        checkpoint=checkpoint,
        ablation=record,
        provenance=Provenance(
            data=config.data,
            accuracy={"ablated data": 1 - error.base, "per_class": right},
            training={
                "model": config.model,
                # The folder's name alone: where it lies is of no use on another machine.
                "recipe": {"data": Path(config.data).name},
                "data_sha256": config.data_sha256,
                "checkpoint_sha256": checkpoint.sha256,
            },
        ),
    )


def _from_bundle(path: Path) -> AblatedModel:
    data = read_json(path / METADATA_FILE)
    meta = BundleMeta.from_json(data)
    checkpoint = read_checkpoint(path)
    recipe = meta.training.get("recipe")
    if not isinstance(recipe, dict) or not isinstance(recipe.get("data"), str):
        raise ModelError(f"{path / METADATA_FILE} does not say what the model was trained on")
    return AblatedModel(
        checkpoint=checkpoint,
        ablation=read_ablation(path, checkpoint),
        provenance=Provenance(recipe["data"], meta.accuracy, meta.training),
        previous=meta,
        classifier=_carried(path, CLASSIFIER_CHECKPOINT, "classifier" in meta.training),
        reader=_carried(path, READER_CHECKPOINT, meta.reader is not None),
    )


def _carried(path: Path, name: str, there: bool) -> Checkpoint | None:
    """The checkpoint that a bundle has beside the localizer's. Raises ModelError if damaged."""
    return read_checkpoint(path, name) if there else None
