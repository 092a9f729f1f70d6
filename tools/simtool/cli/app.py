"""The command line `simtool`: train -> ablate -> export -> eval, report.

The commands are in `simtool.cli`. Results go to stdout, everything else to stderr.
"""

from __future__ import annotations

from typing import Any, Final

import typer

from simrun.cli.console import run_app
from simrun.errors import UsageError
from simtool.cli import ablate, calibrate, compose, export, fetch, report, train
from simtool.cli import evaluate as eval_

TRAIN_MODULES: Final = frozenset(
    {"torch", "onnx", "onnxscript", "safetensors", "pooch", "matplotlib", "PIL", "fontTools"}
)
"""What the extra [train] brings: the wheel has these commands, the base install not their needs."""

app = typer.Typer(
    help="Train a classifier, find out which of its last filters matter, and export a localizer.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    epilog="Example: simtool export --out mine\n\n"
    "Errors are one line; add --debug anywhere for the traceback.",
)

for command in (train, ablate, export, calibrate, compose, eval_, fetch, report):
    command.register(app)


def main() -> None:
    """Entry point of the program `simtool`."""
    run_app(_run, "simtool")


def _run(**arguments: Any) -> None:  # noqa: ANN401 - whatever the application takes
    """Run the application; where the tools' libraries are not installed, say what brings them."""
    try:
        app(**arguments)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in TRAIN_MODULES:
            raise
        raise UsageError(
            f"'{missing}' is not installed, and simtool needs it: pip install 'similarnet[train]'"
        ) from error
