"""Makes the table of docs/accelerators.md from the providers that simrun knows.

python docs/make_accelerators.py
"""

from __future__ import annotations

import sys
from pathlib import Path

from simrun.inference.providers import PROVIDERS

PAGE = Path(__file__).with_name("accelerators.md")
BEGIN = "<!-- made by docs/make_accelerators.py from runtime/simrun/inference/providers.py -->\n"
END = "<!-- end -->\n"


def main() -> None:
    """Write the page with its table anew."""
    try:
        page = with_table(PAGE.read_text(encoding="utf-8"))
    except ValueError as error:
        sys.exit(f"make_accelerators: {error}")
    PAGE.write_text(page, encoding="utf-8")


def with_table(page: str) -> str:
    """The page with the table between its two marks replaced.

    Raises:
        ValueError: the page lacks a mark.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{PAGE.name} lacks '{(END if begin else BEGIN).strip()}'")
    return before + BEGIN + table() + END + after


def table() -> str:
    """A Markdown table, one row a provider."""
    rows = ["| `--provider` | package | options | image size | |", "|---|---|---|---|---|"]
    for provider in PROVIDERS:
        options = " ".join(f"`{key}={value}`" for key, value in provider.options.items())
        package = f"`{provider.package}`" if provider.package else "none"
        size = "one" if provider.fixed_size else "any"
        rows.append(f"| `{provider.name}` | {package} | {options} | {size} | {provider.note} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    main()
