"""Records of `simrun bench` from any machine, as one table of RESULTS.md.

python -m benchmarks.speed.bench_records    # after a record was put into benchmarks/records
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from benchmarks.harness.console import one_line_errors
from benchmarks.harness.publish import replace_between
from simrun.bench.record import read_record
from simrun.bench.report import to_markdown

HERE: Final = Path(__file__).parents[1]
RECORDS: Final = HERE / "records"


def table(folder: Path) -> str:
    """One Markdown table of all records in a folder, in the order of their names."""
    tables = [
        to_markdown(read_record(str(path))).splitlines() for path in sorted(folder.glob("*.json"))
    ]
    return "\n".join([*tables[0][:2], *(row for lines in tables for row in lines[2:])])


@one_line_errors("bench_records")
def main() -> None:
    """Rewrite the table."""
    replace_between(HERE / "RESULTS.md", "bench", table(RECORDS))


if __name__ == "__main__":
    main()
