"""What `simtool export` does: a bundle out of a run, or of another bundle."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from simrun.errors import UsageError
from simrun.localization.regions import RULES
from simtool.cli.options import read_numbers
from simtool.data import CARRIED, LabelledImages, load_split
from simtool.data.image_folder import Channels, ImageFolder
from simtool.export.origin import open_origin, with_classifier
from simtool.export.pipeline import export_bundle
from simtool.export.presets import FOLDER_EXPORT, ExportOptions, override, with_defaults
from simtool.files import thinning_step
from simtool.nets.imported import ForeignSpec
from simtool.weighting.weigh import weighting_options

SHIPPED_MODEL: Final = "mnist-lenet"
_CALIBRATION_PICTURES: Final = 1000
_SMALLEST_SIDE: Final = 320
"""Working side of a network from --model, in pixels, where its own pictures are smaller."""


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
    given["scales"] = None if scales is None else read_numbers("--scales", scales, "1,0.5")
    given["regions"] = None if rules is None else _rules(rules)
    return replace(override(defaults, given), weights=weights)


_WEIGHT_OPTIONS: Final = ("criterion", "temperature", "standardise", "per_class")


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise UsageError(f"--static is {text!r}; it must be HxW, such as 480x640")
    return int(match[1]), int(match[2])


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
