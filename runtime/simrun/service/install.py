"""`simrun service`: from the options of a run to a unit in systemd's folder.

Secrets stay out of the unit, which everybody can read, as everybody can read the command lines of
processes: they go into a configuration file of mode 0600, which systemd reads as root and hands to
the service alone (`LoadCredential=`).
"""

from __future__ import annotations

import math
import pwd
import re
import shlex
import stat
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from simrun.bundle.load import find_bundle
from simrun.config.layers import Configuration, holds_secret
from simrun.config.options import option_name
from simrun.config.schema import Settings
from simrun.errors import OutputError, UsageError
from simrun.files import output_errors, replace_file
from simrun.inference.providers import find_provider
from simrun.service.unit import UnitPlan, unit_text
from simrun.sinks.registry import KINDS
from simrun.sinks.rotation import parse_rotation
from simrun.sinks.save import is_lost_when_killed
from simrun.sources.registry import DEFAULTS

UNIT_FOLDER: Final = Path("/etc/systemd/system")

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,30}")
_HOMES: Final = tuple(map(Path, ("/home", "/root", "/run/user")))
_HIDDEN: Final = tuple(map(Path, ("/tmp", "/var/tmp")))
_KEYS: Final = ("mqtt_ca", "mqtt_cert", "mqtt_key")
"""Settings that name files which may be root's alone."""
_SLOW_FPS: Final = 5.0
_LIBCAMERA: Final = ("picam", "rpicam")


@dataclass(frozen=True)
class Installation:
    """Where this simrun lies."""

    program: tuple[str, ...]
    """The command that starts it, by absolute path."""
    folders: tuple[Path, ...]
    """Where its code is: all of them have to be readable for the service."""
    mode: Callable[[Path], int] = lambda path: path.stat().st_mode
    """Permissions of a path."""

    @classmethod
    def of_this_process(cls) -> Installation:
        """The one that is running."""
        script = Path(sys.executable).with_name("simrun")
        program = (str(script),) if script.is_file() else (sys.executable, "-m", "simrun")
        package = Path(__file__).resolve().parents[1]
        return cls(program, (Path(sys.prefix), Path(sys.base_prefix), package))


def plan_unit(
    configuration: Configuration,
    installation: Installation,
    *,
    name: str,
    user: str | None,
    watchdog_s: float,
) -> UnitPlan:
    """What a unit needs in order to do this run.

    Args:
        configuration: of the run, taken from flags and a file alone.
        installation: which simrun the unit starts.
        name: of the service.
        user: who it runs as; None for a user made up by systemd.
        watchdog_s: longest time between two processed frames.

    Raises:
        UsageError: the name or user is none, a secret is among the flags, the provider is not
            there, or the run would read or write where the service cannot.
    """
    settings = configuration.settings
    _check_name(name, user, watchdog_s)
    _check_outputs(settings, Path("/var/lib") / name)
    inputs = _inputs(settings)
    files = [Path(path) for path in inputs.values()]
    needed = [Path(installation.program[0]), *installation.folders, *files]
    for path in needed:
        _check_visible(path, None if user else installation.mode)
    return UnitPlan(
        name=name,
        program=installation.program,
        arguments=_arguments(configuration, inputs),
        config=_credential_path("config", configuration.file),
        keys=_keys(settings),
        user=user,
        reads_home=any(_lies_in(path, _HOMES) for path in needed),
        network=any("://" in text for text in _texts(settings)),
        libcamera=(settings.camera or "").startswith(_LIBCAMERA),
        compiles=find_provider(settings.provider).compiles,
        watchdog_s=watchdog_s + _own_pace_s(settings),
    )


def _own_pace_s(settings: Settings) -> float:
    """What the run itself may take between two frames, in seconds, beyond what is usual.

    That is awaiting its camera, noticing that it gives nothing, and the pace that it was told. The
    rate of a camera that was asked for none is taken for one that is slow at night.
    """
    stall_s = max(settings.stall - DEFAULTS.stall_s, 0.0)
    stride_s = (settings.stride - 1) / (settings.fps or _SLOW_FPS)
    return settings.wait + stall_s + stride_s + 1 / (settings.max_fps or math.inf)


def install_unit(plan: UnitPlan, *, folder: Path, replace: bool) -> Path:
    """Write the unit into systemd's folder, all of it or nothing.

    Args:
        plan: what to write.
        folder: where units lie: `UNIT_FOLDER`.
        replace: overwrite a unit of that name that is there and different.

    Returns:
        The unit's file.

    Raises:
        OutputError: a different unit is there, or the folder cannot be written; without root's
            rights the message is the command to give.
    """
    path, text = folder / f"{plan.name}.service", unit_text(plan)
    with output_errors(str(path)):
        there = path.read_text(encoding="utf-8", errors="replace") if path.exists() else None
    if there == text:
        return path
    if there is not None and not replace:
        raise OutputError(
            f"{path} is there and different; add --replace, or name another by --name"
        )
    try:
        replace_file(path, text.encode())
    except PermissionError as error:
        command = shlex.join(["sudo", *plan.program, *sys.argv[1:]])
        raise OutputError(f"writing {path} needs root's rights: {command}") from error
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
    return path


def next_steps(name: str) -> str:
    """What to do with an installed unit, a command a line."""
    return "\n".join(
        [
            "sudo systemctl daemon-reload",
            f"sudo systemctl enable --now {name}",
            f"sudo systemctl restart {name}        # after a change",
            f"journalctl -u {name} -f              # what it says",
            f"sudo ls /var/lib/{name}/             # what it writes",
            f"sudo systemctl disable --now {name}  # to end it; then remove the unit's file",
        ]
    )


def _check_name(name: str, user: str | None, watchdog_s: float) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"--name is {name!r}; it must be a letter and up to 30 letters, digits, - and _"
        )
    if not 1 <= watchdog_s <= 86400:
        raise UsageError(f"--watchdog is {watchdog_s:g}; it must be 1 to 86400 seconds")
    if user is not None:
        try:
            pwd.getpwnam(user)
        except (KeyError, ValueError):
            raise UsageError(f"--user is {user!r}; there is no such user here") from None


def _check_outputs(settings: Settings, folder: Path) -> None:
    """Every file of results has to lie in the service's own folder."""
    settings.existing(in_service=True)
    if settings.rotate is not None:
        parse_rotation(settings.rotate)
    if settings.show:
        raise UsageError("--show needs a screen, which a service does not have; leave it out")
    files = [name for name, kind in KINDS.items() if kind.files]
    targets = [(kind, getattr(settings, kind)) for kind in files]
    others = [entry.partition("=")[::2] for entry in settings.sink or ()]
    targets += [(kind, target) for kind, target in others if kind in files]
    for kind, target in targets:
        if target in (None, "-"):
            continue
        if ".." in Path(target).parts or not (folder / target).is_relative_to(folder):
            raise UsageError(
                f"--{kind} is {target}; a service writes below {folder} only: give a relative name"
            )
        if kind == "save" and is_lost_when_killed(target):
            raise UsageError(
                f"--{kind} {target} can be read only once it is complete, which a power cut would "
                f"prevent: name it {Path(target).with_suffix('.mkv')}"
            )


def _inputs(settings: Settings) -> dict[str, str]:
    """Absolute paths of what the run reads from files, by the name of the setting."""
    found = {}
    if settings.source and "://" not in settings.source and Path(settings.source).exists():
        found["source"] = str(Path(settings.source).resolve())
    if settings.model:
        folder = find_bundle(settings.model)
        if folder == Path(settings.model):  # given by folder, not by name
            found["model"] = str(folder.resolve())
    if settings.words:
        found["words"] = str(Path(settings.words).resolve())
    return found


def _check_visible(path: Path, mode: Callable[[Path], int] | None) -> None:
    """Raise UsageError where the service would not see a path, or may not read it."""
    if _lies_in(path, _HIDDEN):
        raise UsageError(
            f"{path} is in a folder for temporary files, of which a service has its own; "
            "install simrun elsewhere, for instance in a virtual environment in /opt"
        )
    if mode is None:
        return
    for part in [*reversed(path.resolve().parents), path.resolve()]:
        if _is_closed(part, mode):
            raise UsageError(
                f"{part} is closed to other users, and the service needs {path}: add --user NAME "
                "to run it as the owner, or install simrun in a virtual environment in /opt"
            )


def _is_closed(path: Path, mode: Callable[[Path], int]) -> bool:
    """Whether users other than the owner and the group cannot pass a folder or read a file."""
    try:
        bits = mode(path)
    except OSError:
        return True
    return not bits & (stat.S_IXOTH if stat.S_ISDIR(bits) else stat.S_IROTH)


def _lies_in(path: Path, folders: tuple[Path, ...]) -> bool:
    places = (path.absolute(), path.resolve())
    return any(place.is_relative_to(folder) for place in places for folder in folders)


def _arguments(configuration: Configuration, inputs: dict[str, str]) -> tuple[str, ...]:
    """The flags of the run, in full; of what the file says only relative paths of inputs."""
    arguments: list[str] = []
    for name, value in asdict(configuration.settings).items():
        if name in _KEYS:
            continue
        flag = configuration.origins[name] == "flag"
        if flag and holds_secret(name, value):
            raise UsageError(
                f"--{option_name(name)} may hold a secret, and everybody can read a unit; put it "
                "into a file of mode 0600, for instance /etc/simrun.toml, and give --config "
                "/etc/simrun.toml"
            )
        absolute = inputs.get(name, value)
        if flag or absolute != value:
            arguments += _flag(name, absolute)
    return tuple(arguments)


def _flag(name: str, value: object) -> list[str]:
    option = option_name(name)
    if isinstance(value, bool):
        return [f"--{option}" if value else f"--no-{option}"]
    if isinstance(value, list):
        return [f"--{option}={item}" for item in value]
    return [f"--{option}={value}"]


def _keys(settings: Settings) -> tuple[tuple[str, str], ...]:
    """Options that name a certificate or key, and where it is."""
    named = [(option_name(name), getattr(settings, name)) for name in _KEYS]
    paths = [(option, _credential_path(option, file and Path(file))) for option, file in named]
    return tuple((option, path) for option, path in paths if path is not None)


def _credential_path(option: str, file: Path | None) -> str | None:
    """The absolute path of a file that systemd hands to the service."""
    if file is None:
        return None
    path = str(file.absolute())
    # LoadCredential= knows no quotes.
    if not path.isprintable() or path != path.strip() or "\\" in path:
        raise UsageError(
            f"--{option} is {path!r}; systemd cannot take such a name: rename the file"
        )
    return path


def _texts(settings: Settings) -> list[str]:
    values = asdict(settings).values()
    texts = [value for value in values if isinstance(value, str)]
    return texts + [str(item) for value in values if isinstance(value, list) for item in value]
