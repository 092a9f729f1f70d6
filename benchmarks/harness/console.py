"""What the benchmarks' programs have in common: their help, and errors that are one line."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from simrun.errors import SimError


class BenchmarkError(Exception):
    """Something that a benchmark needs is missing or does not fit: one line for a person."""


def make_parser(
    documentation: str | None, *parents: argparse.ArgumentParser
) -> argparse.ArgumentParser:
    """A parser whose help is a module's docstring as it stands, with the arguments of others."""
    return argparse.ArgumentParser(
        description=documentation,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=list(parents),
    )


@contextmanager
def one_line_errors(program: str) -> Iterator[None]:
    """End with `PROGRAM: what was wrong` where input, files or a process of one's own fail."""
    try:
        yield
    except (SimError, BenchmarkError) as error:
        sys.exit(f"{program}: {error}")
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        sys.exit(f"{program}: {where}{error.strerror or error}")
    except subprocess.CalledProcessError as error:
        said = (error.stderr or "").strip().splitlines()[-1:]
        ended = f"{shlex.join(map(str, error.cmd))} ended with {error.returncode}"
        sys.exit(": ".join([program, ended, *said]))
