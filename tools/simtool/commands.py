"""What each command of `simtool` does, as a function: heavy imports live on this side."""

from __future__ import annotations

import logging
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from simrun.errors import ModelError, UsageError
from simrun.regions import RULES
from simtool.ablating import Job, ablate_job
from simtool.ablation import AblationOptions, Provenance
from simtool.ablation_record import AblationRecord
from simtool.accuracy import to_tensors
from simtool.cutouts.training import FOLDER_EXPORT, Composed, train_folder
from simtool.cutting import cut_halves
from simtool.data import CARRIED, LabelledImages, load_split
from simtool.data.image_folder import Channels, ImageFolder
from simtool.deletion import kernel_norms, last_convolution
from simtool.distributed import ALONE, Peers, joined
from simtool.export import ExportOptions, export_bundle, override, with_defaults
from simtool.nets import SplitNet
from simtool.nets.foreign import ForeignSpec
from simtool.origin import open_origin, with_classifier
from simtool.recipes import Recipe, SceneRecipe, find_recipe
from simtool.run import ABLATION_FILE, RunFolder, read_checkpoint
from simtool.thinning import thinning_step
from simtool.train import train, train_seeds
from simtool.weighting import METHODS, WeightingOptions, weigh

log = logging.getLogger(__name__)

SHIPPED_MODEL: Final = "mnist-lenet"
_CALIBRATION_PICTURES: Final = 1000
_SMALLEST_SIDE: Final = 320
"""Working side of a network from --model, in pixels, where its own pictures are smaller."""


def composed_of(background: Path | None, channels: str | None) -> Composed:
    """The options of composed scenes as given."""
    wanted: Channels | None = None
    if channels is not None:
        wanted = "grey" if channels == "grey" else "rgb"
    return Composed(background, wanted)


def train_run(
    recipe_name: str,
    out: Path,
    data: Path | None,
    seed: int,
    seeds: int | None,
    steps: int | None = None,
    composed: Composed | None = None,
) -> dict[str, Any] | None:
    """Train one seed, or several; the final test accuracy or the summary over the seeds.

    None in a process that does not lead.
    """
    recipe = find_recipe(recipe_name)
    if isinstance(recipe, Recipe) and recipe.data in CARRIED:
        if data is None or seeds is not None or steps is not None:
            raise UsageError("recipe 'folder' needs --data DIR, and takes no --seeds or --steps")
        return train_folder(recipe, data, composed or Composed(), out, seed)
    if composed is not None and composed != Composed():
        raise UsageError("--background and --channels are for the recipe 'folder'")
    if isinstance(recipe, SceneRecipe):
        return _train_on_scenes(recipe, out, data, seed, seeds, steps)
    if steps is not None:
        raise UsageError(f"recipe '{recipe_name}' has epochs of fixed length; leave --steps out")
    splits = [load_split(recipe.data, name, data) for name in ("train", "test")]
    with joined() as peers:
        if seeds is not None:
            result = train_seeds(recipe, splits[0], splits[1], out, seeds, peers)
        else:
            final = train(recipe, splits[0], splits[1], out, seed, peers)[-1]
            result = {"run": str(out), **final}
    return result if peers.leads else None


def _train_on_scenes(
    recipe: SceneRecipe,
    out: Path,
    data: Path | None,
    seed: int,
    seeds: int | None,
    steps: int | None,
) -> dict[str, Any]:
    from simtool.scene_text.splits import HELD_OUT, HELD_OUT_SEED, open_store, scenes_sha256
    from simtool.scene_text.training import train_scenes

    if seeds is not None:
        raise UsageError(f"recipe '{recipe.name}' trains one seed at a time; leave --seeds out")
    if steps is not None:
        recipe = recipe.shortened(steps)
    held_out = open_store(data, HELD_OUT_SEED, HELD_OUT)
    scenes = open_store(data, seed, recipe.scenes)
    identity = scenes_sha256(data, seed, recipe.scenes)
    final = train_scenes(recipe, scenes, held_out, identity, out, seed)[-1]
    return {"run": str(out), **final}


def weighting_options(
    method: str,
    criterion: str | None,
    temperature: float | None,
    standardise: bool | None,
    per_class: bool | None,
) -> WeightingOptions:
    """The options of a weighting, with its defaults for those not given (None).

    A plain softmax of error changes is almost uniform, so `softmax` standardises, unless told
    otherwise.
    """
    if standardise is None:
        standardise = method == "softmax" and temperature is None
    return WeightingOptions(
        criterion=criterion,
        temperature=1.0 if temperature is None else temperature,
        standardise=standardise,
        per_class=bool(per_class),
    )


def ablate_run(
    folder: Path,
    data: Path | None,
    split: str,
    method: str,
    weights: WeightingOptions,
    options: AblationOptions,
    peers: Peers = ALONE,
    device: str = "cpu",
    deletion: bool = True,
) -> dict[str, Any]:
    """Ablate the network of a run folder into its ablation.json; a summary."""
    run = RunFolder.open(folder)
    checkpoint = read_checkpoint(folder)
    if checkpoint.foreign is not None:
        raise UsageError(f"{folder} is of --model {checkpoint.net}; give --model and --weights")
    name = run.config().recipe.data
    images = load_split(name, split, folder if data is None and name in CARRIED else data)
    net = checkpoint.build().to(device)
    if not isinstance(net, SplitNet):
        raise ModelError(f"{folder} holds a {type(net).__name__}, not a network in two halves")
    example = to_tensors(images, np.arange(2))[0].to(device)
    job = Job(
        cut=cut_halves(net.trunk, net.head, net.spec.layer, example),
        read=lambda indices: to_tensors(images, indices),
        count=len(images),
        provenance=Provenance(
            layer=net.spec.layer,
            split=split,
            data_sha256=images.sha256,
            checkpoint_sha256=checkpoint.sha256,
            classes=net.spec.classes,
        ),
        options=options,
        norms=kernel_norms(last_convolution(net, _last_name(net), example[:1])),
        deletion=deletion,
        device=device,
    )
    record = ablate_job(job, peers)
    if peers.leads:
        record.save(folder / ABLATION_FILE)
    return ablation_summary(record, folder, method, replace(weights, background=net.spec.contrast))


def ablation_summary(
    record: AblationRecord, folder: Path, method: str, weights: WeightingOptions
) -> dict[str, Any]:
    """What a person wants to see of an ablation at once."""
    return {
        "ablation": str(folder / ABLATION_FILE),
        "layer": record.layer,
        "samples": record.samples,
        **_measurements(record),
        "stability": {name: round(s.mean, 4) for name, s in record.stability.items()},
        "entropies": _entropies(record, weights.background),
        "weighting": weigh(record, method, weights).to_json(),
    }


def _last_name(net: SplitNet) -> str:
    """Name of the trunk's last module."""
    return f"trunk.{list(net.trunk._modules)[-1]}"


def _measurements(record: AblationRecord) -> dict[str, Any]:
    """E, e_i and intervals by criterion, and the paired flips."""
    criteria = {
        name: {
            "E": measured.base,
            "e_i": measured.ablated,
            "harm_low": measured.harm_low,
            "harm_high": measured.harm_high,
        }
        for name, measured in record.criteria.items()
    }
    flips = {"right_to_wrong": record.right_to_wrong, "wrong_to_right": record.wrong_to_right}
    return {**criteria, **flips}


def _entropies(record: AblationRecord, background: str | None) -> dict[str, float | None]:
    """Entropy of every weighting over that of uniform weights, 0 to 1; None where undefined."""
    variants = {name: (name, WeightingOptions()) for name in METHODS}
    variants["softmax, standardised"] = ("softmax", WeightingOptions(standardise=True))
    entropies: dict[str, float | None] = {}
    for title, (name, options) in variants.items():
        try:
            entropies[title] = _entropy(record, name, replace(options, background=background))
        except ModelError as error:
            log.warning("no weighting '%s': %s", title, error)
            entropies[title] = None
    return entropies


def _entropy(record: AblationRecord, method: str, options: WeightingOptions) -> float:
    return round(weigh(record, method, options).relative_entropy, 4)


@dataclass(frozen=True)
class ExportRequest:
    """The options of `simtool export` as given; None where not."""

    weighting: str | None = None
    criterion: str | None = None
    temperature: float | None = None
    standardise: bool | None = None
    per_class: bool | None = None
    pool: str | None = None
    padding: str | None = None
    polarity: str | None = None
    static: str | None = None
    side: int | None = None
    scales: str | None = None
    map_threshold: float | None = None
    region_threshold: float | None = None
    regions: str | None = None
    formats: tuple[str, ...] | None = None
    int8: Path | None = None


def export_run(
    run: Path | None,
    out: Path,
    data: Path | None,
    request: ExportRequest,
    overwrite: bool,
    classifier: Path | None = None,
) -> dict[str, Any]:
    """Export a run, or a bundle again, as the bundle `out`; a summary.

    `classifier` is the run of a network that reads the crops in the place of the localizer's own.
    """
    origin = open_origin(Path(SHIPPED_MODEL) if run is None else run)
    if classifier is not None:
        origin = with_classifier(origin, classifier)
    foreign = origin.checkpoint.foreign
    defaults = with_defaults(origin.previous)
    if foreign is not None and origin.previous is None:
        # Colours have no polarity, and things do not stand in lines as characters do.
        side = max(_SMALLEST_SIDE, foreign.crop_size)
        defaults = replace(defaults, polarity="bright", side=side, regions={"join_gap": 0.0})
    elif origin.data in CARRIED and origin.previous is None:
        defaults = replace(defaults, **FOLDER_EXPORT)
        data = run if data is None else data
    options = _export_options(defaults, request)

    def load(split: str) -> LabelledImages:
        if foreign is None:
            return load_split(origin.data, split, data)
        return _foreign_images(foreign, data or Path(origin.data), split)

    report = export_bundle(origin, options, out, load, overwrite)
    return {
        "bundle": str(out),
        "stride": report.meta.stride,
        "offset": report.meta.offset,
        "receptive_field": report.meta.receptive_field,
        "difference_to_pytorch": {
            "localizer": report.localizer_difference,
            "classifier": report.classifier_difference,
        },
        "difference_of_formats": report.format_differences,
        "int8": report.comparison and report.comparison.to_json(),
        "weighting": report.weighting.to_json(),
        "calibration": report.meta.export["calibration"],
        "bytes": report.sizes,
    }


def _foreign_images(spec: ForeignSpec, folder: Path, split: str) -> LabelledImages:
    """At most 1000 pictures of a folder, evenly spread: enough to calibrate."""
    channels: Channels = "grey" if spec.channels == 1 else "rgb"
    pictures = ImageFolder.open(folder, spec.crop_size, channels, spec.classes)
    step = thinning_step(len(pictures), _CALIBRATION_PICTURES)
    return pictures.labelled(np.arange(0, len(pictures), step), split)


def _export_options(defaults: ExportOptions, request: ExportRequest) -> ExportOptions:
    """The options asked for, over the defaults. Raises UsageError where one cannot be read."""
    given = asdict(request)
    asked = {name: given.pop(name) for name in _WEIGHT_OPTIONS}
    method = given["weighting"] or defaults.weighting
    if given["weighting"] is not None:
        # Another method: the options of the former one mean nothing to it.
        weights = weighting_options(method, **asked)
    else:
        present = {name: value for name, value in asked.items() if value is not None}
        weights = replace(defaults.weights, **present)
    static, scales, rules = given.pop("static"), given.pop("scales"), given.pop("regions")
    given["static_size"] = None if static is None else _size(static)
    given["scales"] = None if scales is None else _scales(scales)
    given["regions"] = None if rules is None else _rules(rules)
    return replace(override(defaults, given), weights=weights)


_WEIGHT_OPTIONS: Final = ("criterion", "temperature", "standardise", "per_class")


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise UsageError(f"--static is {text!r}; it must be HxW, such as 480x640")
    return int(match[1]), int(match[2])


def _scales(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"--scales is {text!r}; it must be numbers, such as 1,0.5") from error


def _rules(text: str) -> dict[str, float]:
    """Rules of the regions step, as `name=number,...`."""
    rules = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        if name not in RULES:
            raise UsageError(f"--regions has no rule {name!r}; known: {', '.join(sorted(RULES))}")
        try:
            rules[name] = float(value)
        except ValueError as error:
            raise UsageError(f"--regions {name} is {value!r}; it must be a number") from error
    return rules
