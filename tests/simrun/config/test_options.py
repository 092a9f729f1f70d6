"""Options of a command out of a dataclass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer

from simrun.config.options import expand_options


@dataclass(frozen=True)
class Wish:
    """What can be asked for."""

    side: Annotated[int | None, typer.Option(help="Size.")] = None
    fast: Annotated[bool, typer.Option("--fast", help="Speed.")] = False


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], (Wish(), 1)),
        (["--side", "7", "--fast", "--times", "2"], (Wish(side=7, fast=True), 2)),
    ],
)
def test_a_dataclass_becomes_options_and_comes_back(
    arguments: list[str], expected: tuple[Wish, int]
) -> None:
    got: list[tuple[Wish, int]] = []

    @expand_options
    def command(wish: Wish, times: Annotated[int, typer.Option()] = 1) -> None:
        got.append((wish, times))

    app = typer.Typer()
    app.command()(command)
    app(args=arguments, standalone_mode=False)
    assert got == [expected]
