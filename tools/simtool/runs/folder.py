"""The run folder: what training leaves behind and what ablation and export start from.

config.json             the recipe, the seed, the hash of the data
history.json            a line an epoch: loss and accuracy
checkpoint.safetensors  weights and optimizer state after the last whole epoch
ablation.json           added by `simtool ablate`

A bundle keeps the checkpoint too; the wheel leaves it out of the models that it brings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from simrun.errors import ModelError, OutputError, UsageError
from simtool.files import read_json, write_atomic, write_json
from simtool.runs.checkpoint import CHECKPOINT_FILE, Checkpoint, read_checkpoint
from simtool.runs.recipes import AnyRecipe, recipe_from_json

RUN_SCHEMA: Final = "similarnet-run/1"
FOREIGN_SCHEMA: Final = "similarnet-foreign/1"
CONFIG_FILE: Final = "config.json"
HISTORY_FILE: Final = "history.json"
ABLATION_FILE: Final = "ablation.json"
STABILITY_FILE: Final = "stability.json"
SUMMARY_FILE: Final = "summary.json"


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides the result of a training."""

    recipe: AnyRecipe
    seed: int
    data_sha256: str
    """Hash of the training split."""

    def to_json(self) -> dict[str, Any]:
        """The content of config.json."""
        return {"schema": RUN_SCHEMA, **asdict(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], path: Path) -> RunConfig:
        """Read config.json.

        Raises:
            ModelError: it is of another schema or lacks a field.
        """
        if data.get("schema") != RUN_SCHEMA:
            raise ModelError(f"{path} is of schema {data.get('schema')!r}, not {RUN_SCHEMA!r}")
        try:
            return cls(recipe_from_json(data["recipe"]), data["seed"], data["data_sha256"])
        except (KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"{path} is not a run's configuration: {error}") from error


@dataclass(frozen=True)
class ForeignConfig:
    """Where a network from --model came from: the config.json of its run folder."""

    model: str
    """package.module:factory"""
    data: str
    """Folder of the pictures, as it was given."""
    data_sha256: str
    layer: str

    def claim(self, folder: Path) -> None:
        """Refuse a folder that holds something else, before the work is done.

        Raises:
            OutputError: it does.
        """
        if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
            return
        config = folder / CONFIG_FILE
        if not config.is_file() or read_json(config).get("schema") != FOREIGN_SCHEMA:
            raise OutputError(f"{folder} is not empty and holds no such run; choose another --out")

    def save(self, folder: Path, checkpoint: Checkpoint) -> None:
        """Write config and checkpoint. Raises OutputError where they cannot be written."""
        write_json(folder / CONFIG_FILE, {"schema": FOREIGN_SCHEMA, **asdict(self)})
        write_atomic(folder / CHECKPOINT_FILE, checkpoint.to_bytes())

    @classmethod
    def load(cls, folder: Path) -> ForeignConfig:
        """Read what `save` wrote. Raises ModelError where it is damaged."""
        path = folder / CONFIG_FILE
        data = read_json(path)
        try:
            return cls(*(str(data[f.name]) for f in fields(cls)))
        except KeyError as error:
            raise ModelError(f"{path} lacks {error}; run 'simtool ablate --model' again") from error


@dataclass(frozen=True)
class RunFolder:
    """A folder of one training run."""

    path: Path

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """A run that exists.

        Raises:
            ModelError: the folder holds no run, or the runs of several seeds.
        """
        if (path / SUMMARY_FILE).is_file() or (path / "seed-0").is_dir():
            raise ModelError(f"{path} holds several seeds; name one, such as {path / 'seed-0'}")
        if not (path / CONFIG_FILE).is_file():
            raise ModelError(f"{path} is not a run folder: it has no {CONFIG_FILE}")
        return cls(path)

    @classmethod
    def create(cls, path: Path, config: RunConfig) -> RunFolder:
        """A new run, or the same one again, to be resumed.

        Raises:
            OutputError: the folder holds something else, or cannot be written.
            UsageError: the folder holds a run of another recipe, seed or data.
        """
        run = cls(path)
        if (path / CONFIG_FILE).is_file():
            if run.config() != config:
                raise UsageError(
                    f"{path} holds a run of another recipe, seed or data set; "
                    "choose another folder with --out"
                )
            return run
        run.refuse_foreign()
        write_json(path / CONFIG_FILE, config.to_json())
        return run

    def refuse_foreign(self) -> None:
        """Raise OutputError where the folder holds something else than a run."""
        if (self.path / CONFIG_FILE).is_file() or not self.path.exists():
            return
        if not self.path.is_dir() or any(self.path.iterdir()):
            raise OutputError(f"{self.path} is not empty and holds no run; choose another folder")

    def config(self) -> RunConfig:
        """The configuration. Raises ModelError where it is damaged."""
        path = self.path / CONFIG_FILE
        return RunConfig.from_json(read_json(path), path)

    def checkpoint(self) -> Checkpoint | None:
        """The last checkpoint, None before the first epoch's end. Raises ModelError if damaged."""
        if not (self.path / CHECKPOINT_FILE).is_file():
            return None
        return read_checkpoint(self.path)

    def history(self, epochs: int) -> list[dict[str, Any]]:
        """The records of the first `epochs` epochs. Raises ModelError where they are damaged."""
        if epochs == 0:
            return []
        data = read_json(self.path / HISTORY_FILE)
        records = data.get("epochs")
        if not isinstance(records, list) or len(records) < epochs:
            raise ModelError(f"{self.path / HISTORY_FILE} lacks epochs; train into another folder")
        return records[:epochs]

    def save(self, checkpoint: Checkpoint, history: list[dict[str, Any]]) -> None:
        """Write history and checkpoint. Raises OutputError where they cannot be written."""
        # History first: an epoch too many in it is cut off on resuming, one too few would be lost.
        write_json(self.path / HISTORY_FILE, {"epochs": history})
        write_atomic(self.path / CHECKPOINT_FILE, checkpoint.to_bytes())


def trained_seeds(parent: Path) -> list[Path]:
    """The run folders of the seeds that were trained into `parent`, two or more.

    Raises:
        UsageError: there are fewer.
    """
    folders = sorted(path for path in parent.glob("seed-*") if (path / CHECKPOINT_FILE).is_file())
    if len(folders) < 2:
        raise UsageError(f"{parent} holds {len(folders)} trained seeds; --seeds needs two or more")
    return folders
