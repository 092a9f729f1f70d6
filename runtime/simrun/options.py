"""Command-line options out of a dataclass, so that each is written down once."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints


def expand_options(function: Callable[..., None]) -> Callable[..., None]:
    """Replace a parameter whose type is a dataclass by one option for each of its fields.

    The fields are annotated as a typer command's parameters would be: `Annotated[type, Option]`,
    with the default as the field's. The function gets the dataclass put together again.

    Args:
        function: for `typer.Typer.command` or `callback`; has one such parameter.
    """
    hints = get_type_hints(function, include_extras=True)
    name = next(n for n, hint in hints.items() if dataclasses.is_dataclass(hint))
    kind: Any = hints[name]
    options = _parameters(kind)

    @functools.wraps(function)
    def command(**given: Any) -> None:  # noqa: ANN401 - what typer parsed
        values = {option.name: given.pop(option.name) for option in options}
        function(**given, **{name: kind(**values)})

    kept = [
        parameter.replace(annotation=hints[parameter.name], kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.name != name
    ]
    signature = inspect.Signature([*options, *kept])
    # typer reads the one, `inspect` the other.
    command.__signature__ = signature  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    return command


def _parameters(kind: Any) -> list[inspect.Parameter]:  # noqa: ANN401 - a dataclass
    hints = get_type_hints(kind, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=hints[field.name],
        )
        for field in dataclasses.fields(kind)
    ]
