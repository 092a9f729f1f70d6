"""What both command lines share: errors in one line, exit codes, logging on stderr."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Final

from simrun.errors import SimError

INTERRUPTED: Final = 130


def run_command(app: Callable[[], object], program: str) -> None:
    """Run a typer app; leave the process with the documented exit code.

    A `SimError` becomes one line on stderr and its own exit code, Ctrl-C becomes 130. Every other
    exception is a defect and keeps its traceback. `--debug` anywhere keeps it for a `SimError` too.
    """
    debug = "--debug" in sys.argv[1:]
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if debug else logging.WARNING,
        format=f"{program}: %(message)s",
    )
    try:
        app()
    except SimError as error:
        if debug:
            raise
        sys.stderr.write(f"{program}: {error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write(f"{program}: interrupted\n")
        sys.exit(INTERRUPTED)
