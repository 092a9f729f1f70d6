"""The report of `simrun check`, as text of 80 columns or as JSON; without passwords."""

from __future__ import annotations

import json
import textwrap
from typing import Final

from simrun.diagnostics.check import NOTE, PROBLEM, Report
from simrun.redact import hide_passwords

_WIDTH: Final = 80
_INDENT: Final = " " * 20


def report_text(report: Report) -> str:
    """The report: a line or more for each finding, then a line that sums it up."""
    lines = []
    for finding in report.findings:
        head = f"{finding.level:8}{finding.topic:12}"
        lines += _wrapped(head + finding.text)
        if finding.advice:
            lines += _wrapped(f"{_INDENT}-> {finding.advice}")
    levels = [finding.level for finding in report.findings]
    problems, notes = levels.count(PROBLEM), levels.count(NOTE)
    lines.append(f"{_count(problems, 'problem')}, {_count(notes, 'note')}")
    return hide_passwords("\n".join(lines)) + "\n"


def report_json(report: Report) -> str:
    """The report as a JSON object."""
    return hide_passwords(json.dumps(report.to_json(), indent=2, ensure_ascii=False)) + "\n"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _wrapped(text: str) -> list[str]:
    # A word that is too long is a path or a command: it stays whole, to be copied.
    return textwrap.wrap(
        text,
        _WIDTH,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
