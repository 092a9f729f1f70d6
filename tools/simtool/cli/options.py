"""Options that several commands of `simtool` have."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from simrun.errors import UsageError

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="Folder of the data set. Without it, the folder named by SIMTOOL_DATA is used, or the "
        "data is downloaded.",
    ),
]

FactoryOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="PACKAGE.MODULE:FACTORY",
        help="Of a run of 'ablate --model': the code that makes its network, which is run only "
        "where it is named here.",
    ),
]
CriterionOption = Annotated[
    str | None,
    typer.Option(
        "--criterion", help="error, loss, logit or margin; each weighting has its own default."
    ),
]
TemperatureOption = Annotated[
    float | None,
    typer.Option("--temperature", help="Of softmax: below 1 sharper, above 1 flatter."),
]
StandardiseOption = Annotated[
    bool | None,
    typer.Option(
        "--standardise/--raw", help="Of softmax: bring the values to mean 0 and deviation 1 first."
    ),
]
PerClassOption = Annotated[
    bool | None,
    typer.Option("--per-class/--overall", help="A row of weights, and a heatmap, for each class."),
]


class ChannelsChoice(StrEnum):
    """What a network takes."""

    grey = "grey"
    rgb = "rgb"


def read_numbers(option: str, text: str, example: str) -> tuple[float, ...]:
    """Numbers with commas between; raises UsageError, with an example, where one is none."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"{option} is {text!r}; it must be numbers, such as {example}") from error
