"""Command-line options out of a dataclass, so that each is written down once."""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin, get_type_hints

from simrun.errors import UsageError

Returned = TypeVar("Returned")

_EXPECTED: Final = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text in quotes",
    list: "a list of texts in quotes",
}


@dataclass(frozen=True)
class OptionType:
    """What values an option takes."""

    kind: type
    """One of bool, int, float, str and list, the last being a list of str."""
    least: float | None
    most: float | None

    def accepts(self, value: object) -> bool:
        """Whether this is such a value, and within the bounds."""
        if self.kind is list:
            return isinstance(value, list) and all(_is_text(item) for item in value)
        if self.kind is str:
            return _is_text(value)
        if type(value) is not self.kind:
            return False
        if not isinstance(value, int | float):
            return True
        low = -math.inf if self.least is None else self.least
        high = math.inf if self.most is None else self.most
        return low <= value <= high  # which NaN is not

    @property
    def expected(self) -> str:
        """What `accepts` takes, for a message."""
        least = f", at least {self.least:g}" if self.least is not None else ""
        most = f", at most {self.most:g}" if self.most is not None else ""
        return _EXPECTED[self.kind] + least + most


def option_name(field: str) -> str:
    """How a field is written as an option or a key of the configuration file, without dashes."""
    return field.replace("_", "-")


def refuse_empty(values: Mapping[str, Any]) -> None:
    """A text that is empty, as of a script's variable that is not set, is no value.

    Args:
        values: of options, by the names of their fields.

    Raises:
        UsageError: there is one; it would count as an option that was not given.
    """
    for name, value in values.items():
        if "" in (value if isinstance(value, list) else [value]):
            raise UsageError(f"--{option_name(name)} is empty; give it a value, or leave it out")


def option_types(kind: type) -> dict[str, OptionType]:
    """The type of each option of a dataclass as `expand_options` takes it.

    Raises:
        TypeError: a field has a type that no option has.
    """
    hints = get_type_hints(kind, include_extras=True)
    return {f.name: _option_type(f.name, hints[f.name]) for f in dataclasses.fields(kind)}


def _option_type(name: str, hint: Any) -> OptionType:  # noqa: ANN401 - a type
    annotated, option = get_args(hint)
    given = [part for part in get_args(annotated) or (annotated,) if part is not NoneType]
    if get_origin(annotated) is list:
        given = [annotated]
    bare = get_origin(given[0]) or given[0]
    if len(given) != 1 or bare not in _EXPECTED:
        raise TypeError(f"option {name} is a {annotated}; it must be of one plain type")
    return OptionType(bare, option.min, option.max)


def _is_text(value: object) -> bool:
    # No path, address or name has a NUL in it, and the system's calls choke on one.
    return isinstance(value, str) and "\0" not in value


def expand_options(function: Callable[..., Returned]) -> Callable[..., Returned]:
    """Replace a parameter whose type is a dataclass by one option for each of its fields.

    The fields are annotated as a typer command's parameters would be: `Annotated[type, Option]`,
    or `Argument`, with the default as the field's; without one, the option has to be given. The
    function gets the dataclass put together again.

    Args:
        function: for `typer.Typer.command` or `callback`; has one such parameter.
    """
    hints = get_type_hints(function, include_extras=True)
    name = next(n for n, hint in hints.items() if dataclasses.is_dataclass(hint) and n != "return")
    kind: Any = hints[name]
    options = _parameters(kind)

    @functools.wraps(function)
    def command(**given: Any) -> Returned:  # noqa: ANN401 - what typer parsed
        values = {option.name: given.pop(option.name) for option in options}
        return function(**given, **{name: kind(**values)})

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
            default=_default(field),
            annotation=_without_variable(hints[field.name]),
        )
        for field in dataclasses.fields(kind)
    ]


def _default(field: dataclasses.Field[Any]) -> Any:  # noqa: ANN401 - any value
    return inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default


def _without_variable(hint: Any) -> Any:  # noqa: ANN401 - a type
    """The option without its environment variable in the help: one sentence tells them all."""
    annotated, option = get_args(hint)
    option = copy.copy(option)
    option.show_envvar = False
    return Annotated[annotated, option]
