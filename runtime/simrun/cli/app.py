"""The command `simrun`."""

from __future__ import annotations

import functools
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final

import typer

from simrun.bench.settings import BenchSettings
from simrun.cli.console import run_app, say
from simrun.cli.run import execute, load_localizer, source_opener
from simrun.config.layers import PREFIX, ConfigOption, configured, parse_settings
from simrun.config.options import expand_options, option_name, refuse_empty
from simrun.config.schema import Settings
from simrun.errors import UsageError

if TYPE_CHECKING:
    from simrun.service.unit import UnitPlan

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"auto_envvar_prefix": PREFIX},
)

_PASSED_ON: Final = {"ignore_unknown_options": True, "allow_extra_args": True}
"""For a subcommand that takes the options of a run beside its own."""
_OPTIONS: Final = "[OPTIONS] [OPTIONS OF A RUN]"

_flag_only = functools.partial(typer.Option, allow_from_autoenv=False, show_envvar=False)
"""An option that is no setting: neither in the file nor in the environment."""

_EPILOG: Final = """Examples: simrun --camera 0 --jsonl -; simrun --source photos/ --save out/;
simrun --demo --save demo.mp4

Exit codes: 0 done, 2 usage, 3 model, 4 source, 5 output, 130 interrupted, 143 terminated."""


@app.callback(invoke_without_command=True, epilog=_EPILOG)
@expand_options
def simrun(
    context: typer.Context,
    settings: Settings,
    config: ConfigOption = None,
    debug: Annotated[
        bool, _flag_only("--debug", help="Log everything; show tracebacks of errors.")
    ] = False,
    version: Annotated[bool, _flag_only("--version", help="Print the version.")] = False,
) -> None:
    """Find and read text in pictures, videos and cameras.

    Results go to standard output or to files, everything else to standard error. A camera is read
    as fast as it delivers and the latest frame wins; files are read frame by frame. Without any
    output option the results are printed as JSON lines. Every option can also be set in the
    configuration file (max-frames = 5) or, above that, in the environment (SIMRUN_MAX_FRAMES=5).
    """
    if version:
        _print_version()
    elif context.invoked_subcommand is None:
        configuration = configured(context, settings)
        if configuration.file and config is None:
            say(f"simrun: configuration from {configuration.file}")
        execute(configuration.settings)
    else:
        _refuse_options_before(context.invoked_subcommand, context)


@app.command(epilog="Example: simrun models")
def models() -> None:
    """List the models that are found by name."""
    from simrun.bundle.load import list_models, load_bundle

    for folder in list_models():
        meta = load_bundle(folder).meta
        typer.echo(
            f"{meta.name:16} side {meta.side}, stride {meta.stride}, {meta.vocabulary}, "
            f"weighting {meta.weighting.get('method', '?')}"
        )


@app.command(
    "config",
    context_settings=_PASSED_ON,
    options_metavar=_OPTIONS,
    epilog="Example: simrun config --side 320",
)
def show_config(context: typer.Context) -> None:
    """Print the settings in force, as TOML, with their origins."""
    from simrun.config.layers import to_toml

    typer.echo(to_toml(parse_settings(context.args)), nl=False)


@app.command(
    "check",
    context_settings=_PASSED_ON,
    options_metavar=_OPTIONS,
    epilog="Examples: simrun check; simrun check --camera 0 --json",
)
def check_all(
    context: typer.Context,
    json: Annotated[bool, _flag_only("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Look at this computer and at a run's settings."""
    from simrun.diagnostics.check import Probes, check, report_json, report_text

    report = check(Probes(lambda: parse_settings(context.args), load_localizer))
    typer.echo(report_json(report) if json else report_text(report), nl=False)
    raise typer.Exit(report.exit_code)


service = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    epilog="Example: simrun service print --camera 0 --jsonl -",
)
app.add_typer(service, name="service", help="Run for months, as a systemd service.")

_ServiceName = Annotated[str, _flag_only(metavar="NAME", help="Name of the service.")]
_ServiceUser = Annotated[
    str | None,
    _flag_only(metavar="NAME", help="Run as this user; systemd makes one up if not given."),
]
_Watchdog = Annotated[
    float, _flag_only(metavar="S", help="Start anew after this many seconds without a frame.")
]


@service.command(
    "print",
    context_settings=_PASSED_ON,
    options_metavar=_OPTIONS,
    epilog="Example: simrun service print --camera 0 --jsonl -",
)
def service_print(
    context: typer.Context,
    name: _ServiceName = "simrun",
    user: _ServiceUser = None,
    watchdog: _Watchdog = 30.0,
) -> None:
    """Print the systemd unit for a run."""
    from simrun.service.unit import unit_text

    typer.echo(unit_text(_plan_service(context.args, name, user, watchdog)), nl=False)


@service.command(
    "install",
    context_settings=_PASSED_ON,
    options_metavar=_OPTIONS,
    epilog="Example: simrun service install --camera 0 --jsonl -",
)
def service_install(
    context: typer.Context,
    name: _ServiceName = "simrun",
    user: _ServiceUser = None,
    watchdog: _Watchdog = 30.0,
    replace: Annotated[
        bool, _flag_only("--replace", help="Replace a different unit of that name.")
    ] = False,
) -> None:
    """Write the systemd unit for a run.

    That takes root's rights. Without them it tells the command to give: sudo does not find a
    program in a virtual environment by its name alone.
    """
    from simrun.service.install import UNIT_FOLDER, install_unit, next_steps

    plan = _plan_service(context.args, name, user, watchdog)
    path = install_unit(plan, folder=UNIT_FOLDER, replace=replace)
    say(f"simrun: {path} is written; next:")
    typer.echo(next_steps(name))


@app.command(
    epilog="Example: simrun bench --side 320,456 --threads 1,auto --paced 30 --json mine.json"
)
@expand_options
def bench(settings: BenchSettings) -> None:
    """Measure what a frame costs on this machine.

    Kinds of run (sides, threads, paces) take turns.
    """
    from simrun.bench.command import bench

    refuse_empty(asdict(settings))
    bench(settings)


def main() -> None:
    """Entry point of the command `simrun`."""
    run_app(app, "simrun")


def _refuse_options_before(subcommand: str, context: typer.Context) -> None:
    """An option of a run before the subcommand would be lost: say so."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise UsageError(
                f"--{option_name(name)} is in front of '{subcommand}'; write it behind, if it fits"
            )


def _print_version() -> None:
    from simrun import __version__

    typer.echo(f"simrun {__version__}")


def _plan_service(arguments: list[str], name: str, user: str | None, watchdog_s: float) -> UnitPlan:
    """Check the run as far as can be without its camera, then what a service adds to it."""
    from simrun.service.install import Installation, plan_unit

    configuration = parse_settings(arguments, environment=False)
    source_opener(configuration.settings)
    load_localizer(configuration.settings)
    return plan_unit(
        configuration,
        Installation.of_this_process(),
        name=name,
        user=user,
        watchdog_s=watchdog_s,
    )
