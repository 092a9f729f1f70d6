"""simtool's command line, called from a test."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner, Result

from simrun.cli.console import run_app
from simtool.cli.app import app


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error, as a user gets them."""
    with pytest.raises(SystemExit) as caught:
        run_app(app, "simtool", [str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return int(caught.value.code or 0), out, err


def invoke(*arguments: object) -> Result:
    """The command alone: the result holds the exception that the program makes a line of."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def assert_fails(result: Result, kind: type[Exception], message: str) -> None:
    """The command ended with this error, whose text is one line that the pattern is found in."""
    assert isinstance(result.exception, kind), result.exception
    assert re.search(message, str(result.exception)), result.exception
    assert "\n" not in str(result.exception)
