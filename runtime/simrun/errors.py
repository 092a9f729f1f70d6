"""The one family of exceptions: what a user can be told in one line.

Every message says what was wrong, with the value, and what to do about it. The command line
prints it without a traceback and exits with `exit_code`.
"""

import reprlib
from collections.abc import Callable, Collection


class SimError(Exception):
    """Base of every error that similarnet raises on purpose."""

    exit_code = 1


class UsageError(SimError):
    """The caller asked for something that cannot be had: a bad option or combination."""

    exit_code = 2


class ModelError(SimError):
    """A model bundle, training run or network cannot be used."""

    exit_code = 3


class SourceError(SimError):
    """A picture, video, camera or data set cannot be read."""

    exit_code = 4


class OutputError(SimError):
    """A result cannot be written; it may be that a later one can."""

    exit_code = 5


class OutputGoneError(OutputError):
    """No result can be written any more: the reader of a pipe has left, a window is closed."""


def did_you_mean(
    name: str, known: Collection[str], spell: Callable[[str], str] = lambda one: one
) -> str:
    """The end of a message about a name that is not known: the nearest one that is, or all.

    Args:
        name: as given.
        known: names that there are.
        spell: how a known name is written in the message.
    """
    import difflib  # only where something is wrong: 0.5 MB

    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"did you mean '{spell(near[0])}'?"
    return f"known: {', '.join(map(spell, known)) or 'none'}"


def first_line(error: BaseException) -> str:
    """What another library's error says, in one line: its type where it says nothing."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def brief(value: object) -> str:
    """The value for a message: one line of printable ASCII, cut where it is long."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = 60
    return short.repr(value).encode("ascii", "backslashreplace").decode()
