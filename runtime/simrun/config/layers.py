"""Where the settings of a run come from: a TOML file, then the environment, then the command line.

Each overrides the one before it. The command line's library does the layering: an eager option
`--config` reads the file into the context's map of defaults, and the environment is looked up
under the prefix `SIMRUN_`. A file is checked here, before that, so that a message can name it.
"""

from __future__ import annotations

import json
import logging
import os
import select
import stat
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from simrun.config.options import (
    OptionType,
    expand_options,
    option_name,
    option_types,
    refuse_empty,
)
from simrun.config.schema import Settings
from simrun.errors import UsageError, did_you_mean
from simrun.files import open_at_once
from simrun.redact import (
    ESCAPES,
    HIDDEN,
    Reading,
    hide_secrets,
    hide_source,
    is_secret_name,
    read_address,
)
from simrun.redact import holds_secret as text_holds_secret

_log = logging.getLogger(__name__)

PREFIX: Final = "SIMRUN"
"""The environment variable of an option is this, an underscore and the option's name."""

_MAX_BYTES: Final = 1 << 20
_PATIENCE_S: Final = 5
"""How long a pipe's writer is waited for."""
_MISSPELLED: Final = 0.9
"""Share of a variable's letters that is that of a setting: all but one or two."""
_META_KEY: Final = "simrun.config"
_SOURCES: Final = ("source", "camera", "demo")
"""Only one of these can be in force: one named in a layer replaces those of the layers below."""
_LAYERS: Final = {"DEFAULT": 0, "DEFAULT_MAP": 1, "ENVIRONMENT": 2, "COMMANDLINE": 3}
_ORIGINS: Final = ("default", "file", "environment", "flag")


@dataclass(frozen=True)
class Configuration:
    """The settings in force, and where each of them comes from."""

    settings: Settings
    origins: Mapping[str, str]
    """For each field: `default`, `file`, `environment` or `flag`."""
    file: Path | None
    """The file that was read."""


@dataclass(frozen=True)
class _File:
    """What became of the file; an error is kept until somebody wants the settings."""

    path: Path | None
    error: UsageError | None = None


def _fill_defaults(context: typer.Context, value: str | None) -> str | None:
    """Callback of `--config`: put the file's values below the environment and the flags."""
    # A run that looks at no environment, as a service does, has no home to find a file in either.
    path = Path(value) if value else default_file() if context.auto_envvar_prefix else None
    try:
        refuse_empty({"config": value})
        context.default_map = read_file(path) if path else {}
        context.meta[_META_KEY] = _File(path)
    except UsageError as error:
        # Not raised yet: `simrun check` has to work with a broken file, it is what finds it.
        context.meta[_META_KEY] = _File(path, error)
    if path and not value:
        _log.debug("configuration file found at %s", path)
    return value


ConfigOption = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="FILE",
        is_eager=True,
        callback=_fill_defaults,
        show_envvar=False,
        help="TOML file with these options; simrun/config.toml in ~/.config if not given.",
    ),
]
"""The option `--config`, for the commands that take the settings of a run."""


def configured(context: typer.Context, settings: Settings) -> Configuration:
    """The configuration that a command line came to.

    Args:
        context: of a command that has the options of a run and `ConfigOption`.
        settings: as they were parsed there.

    Raises:
        UsageError: the file cannot be read, or a value in it is wrong.
    """
    file: _File = context.meta[_META_KEY]
    if file.error is not None:
        raise file.error
    if context.auto_envvar_prefix:
        _warn_of_misspelled(os.environ)
    layers = {f.name: _layer(context, f.name) for f in fields(Settings)}
    refuse_empty(asdict(settings))
    top = max(layers[name] for name in _SOURCES)
    overridden: dict[str, Any] = {
        f.name: f.default for f in fields(Settings) if f.name in _SOURCES and layers[f.name] < top
    }
    settings = replace(settings, **overridden)
    layers |= dict.fromkeys(overridden, 0)
    return Configuration(
        settings, {name: _ORIGINS[layer] for name, layer in layers.items()}, file.path
    )


def parse_settings(arguments: Sequence[str], *, environment: bool = True) -> Configuration:
    """The configuration that these options of a run come to.

    Args:
        arguments: as after `simrun` on the command line, with no subcommand among them.
        environment: take account of the environment and of the user's own file; without, only the
            arguments and the file that they name count.

    Raises:
        UsageError: the file cannot be read, or a value in it is wrong. What is wrong with the
            arguments is raised as typer's own usage errors.
    """
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(expand_options(_take))
    command = typer.main.get_command(app)
    context = command.make_context(
        "simrun", list(arguments), auto_envvar_prefix=PREFIX if environment else None
    )
    with context:
        configuration: Configuration = command.invoke(context)
    return configuration


def _take(context: typer.Context, settings: Settings, config: ConfigOption = None) -> Configuration:
    del config  # `configured` finds it in the context
    return configured(context, settings)


def _warn_of_misspelled(environment: Mapping[str, str]) -> None:
    """Tell of variables that are a setting but for a letter; containers may have others."""
    known = {f"{PREFIX}_{name.upper()}" for name in (*option_types(Settings), "config")}
    for variable in environment:
        if variable.startswith(f"{PREFIX}_") and variable not in known:
            import difflib  # only where something is wrong: 0.5 MB

            for meant in difflib.get_close_matches(variable, known, 1, _MISSPELLED):
                _log.warning(
                    "%s in the environment is no setting; did you mean %s?", variable, meant
                )


def _layer(context: typer.Context, name: str) -> int:
    source = context.get_parameter_source(name)
    return _LAYERS[source.name] if source is not None else 0


def default_file() -> Path | None:
    """`simrun/config.toml` in the user's folder for configuration, if it exists."""
    try:
        home = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
        path = home / "simrun" / "config.toml"
        return path if path.is_file() else None
    except (RuntimeError, OSError):  # no home, or one that is closed: the user of a service
        return None


def read_file(path: Path) -> dict[str, Any]:
    """The settings in a TOML file, checked, by the names of the fields of `Settings`.

    Raises:
        UsageError: it cannot be read, is not TOML, or has a key or value that is none.
    """
    values: dict[str, Any] = {}
    types = option_types(Settings)
    for key, value in _parse(path, _read(path)).items():
        name = key.replace("-", "_")
        if name not in types:
            raise UsageError(
                f"{path}: no setting '{_shown(key)}'; {did_you_mean(name, types, option_name)}"
            )
        if name in values:
            raise UsageError(f"{path}: '{name}' is there twice, with - and with _; keep one")
        values[name] = _checked(path, key, value, types[name])
    _warn_of_open_secrets(path, values)
    return values


def _read(path: Path) -> bytes:
    try:
        with open(path, "rb", opener=open_at_once) as file:
            _wait_for_writer(path, file.fileno())
            os.set_blocking(file.fileno(), True)
            content = file.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"cannot read the configuration {path}: {why}") from error
    if len(content) > _MAX_BYTES:
        raise UsageError(f"{path} is larger than 1 MiB: it is no configuration file")
    return content


def _wait_for_writer(path: Path, descriptor: int) -> None:
    """Somebody writes to a pipe, as `--config <(program)` does, or soon will.

    Raises:
        UsageError: nobody does.
    """
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        return
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if not poll.poll(_PATIENCE_S * 1000):
        raise UsageError(f"cannot read the configuration {path}: nobody writes to this pipe")


def _parse(path: Path, content: bytes) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(content.decode())
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text, see byte {error.start}") from error
    except RecursionError as error:
        raise UsageError(f"{path} is nested too deeply: settings are 'name = value'") from error
    except ValueError as error:  # TOMLDecodeError, and numbers that are too long
        raise UsageError(f"{path} is not TOML: {_shown(str(error))}") from error


def _checked(path: Path, key: str, value: object, wanted: OptionType) -> Any:  # noqa: ANN401
    """The value in the type of the option, or an error that names file, key and value."""
    if wanted.kind is str and type(value) is int:
        value = str(value)  # `camera = 0` reads as `--camera 0` does
    if wanted.kind is float and type(value) is int:
        value = float(value)
    if wanted.accepts(value):
        return value
    shown = HIDDEN if is_secret_name(key) else _shown(hide_secrets(repr(value)))
    raise UsageError(f"{path}: {key} is {shown}; it must be {wanted.expected}")


def _shown(text: str) -> str:
    """In one line of bearable length."""
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return line if len(line) <= 80 else line[:77] + "..."


def _warn_of_open_secrets(path: Path, values: Mapping[str, Any]) -> None:
    if any(holds_secret(name, value) for name, value in values.items()):
        mode = path.stat().st_mode
        if stat.S_ISREG(mode) and mode & stat.S_IROTH:
            _log.warning("%s holds a password and everybody can read it: chmod 600 it", path)


def holds_secret(name: str, value: object) -> bool:
    """Whether a setting is a token, or has an address with a password in it."""
    texts = value if isinstance(value, list) else [value]
    return any(
        isinstance(text, str) and (is_secret_name(name) or text_holds_secret(text))
        for text in texts
    )


def to_toml(configuration: Configuration) -> str:
    """The configuration as a TOML file that gives the same settings when it is read.

    Secrets and what may be one are left out: their lines are comments, as are those of settings
    that have no value.
    """
    head = "# The settings in force. Later wins: file, environment, flags."
    file = f"# File: {configuration.file or 'none'}".encode("unicode_escape").decode()
    lines = [
        _line(name, value, configuration.origins[name])
        for name, value in asdict(configuration.settings).items()
    ]
    return "\n".join([head, file, "", *lines]) + "\n"


def _line(name: str, value: Any, origin: str) -> str:  # noqa: ANN401 - of any setting
    key = option_name(name)
    source = f"{origin} {PREFIX}_{name.upper()}" if origin == "environment" else origin
    if value is None:
        return f"# {key} ="
    if holds_secret(name, value):
        return f"# {key} = {_hidden(name, value)}  # {source}"
    text = _value(value)
    if text is None:
        return f"# {key} = {value!a}, not UTF-8, so TOML has no way to say it  # {source}"
    return f"{f'{key} = {text}':30}  # {source}"


def _hidden(name: str, value: str | list[str]) -> str:
    """What may be shown of a setting that holds a secret, and what is wrong with its address."""
    if is_secret_name(name):
        return "a secret, not shown"
    texts = value if isinstance(value, list) else [value]
    shown = ", ".join(_shown(hide_source(text)) for text in texts)
    addresses = filter(None, map(read_address, texts))
    unsure = any(address.reading is not Reading.PLAIN for address in addresses)
    return f"{shown} ({ESCAPES})" if unsure else shown


def _value(value: Any) -> str | None:  # noqa: ANN401 - of any setting
    """The value in TOML; None where TOML cannot express it."""
    if isinstance(value, list):
        items = [_value(item) for item in value]
        return None if None in items else f"[{', '.join(map(str, items))}]"
    if isinstance(value, float):
        return repr(value)  # inf is TOML, but not JSON
    if not isinstance(value, str):
        return json.dumps(value)
    try:
        value.encode()
    except UnicodeEncodeError:  # a file name of other bytes
        return None
    # JSON's escapes are TOML's too; DEL is the one character that JSON leaves alone.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
