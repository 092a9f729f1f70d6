"""Records of `simrun bench` from any machine, as one table of RESULTS.md.

python -m benchmarks.speed.bench_records    # after a record was put into benchmarks/records

Git keeps the figures of a record: its samples, which `simrun bench --compare` needs, are moved to a
file beside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from benchmarks.harness.benchmark import ROOT
from benchmarks.harness.console import make_parser, one_line_errors
from benchmarks.harness.markers import RESULTS, replace_between
from benchmarks.harness.record import raw_file, to_text
from simrun.bench.record import read_record
from simrun.bench.report import to_markdown

RECORDS: Final = ROOT / "benchmarks" / "records"


def files(folder: Path) -> list[Path]:
    """The records of a folder in the order of their names, without those that hold samples."""
    return [path for path in sorted(folder.glob("*.json")) if ".raw" not in path.suffixes]


def keep_figures(file: Path) -> None:
    """Leave a record's figures where they are, and move the whole of it beside them."""
    record = read_record(str(file))
    kept = [{k: v for k, v in one.items() if k != "samples"} for one in record["results"]]
    if kept != record["results"]:
        file.replace(raw_file(file))
        file.write_text(to_text(record | {"results": kept}), encoding="utf-8")


def table(folder: Path) -> str:
    """One Markdown table of all records in a folder."""
    tables = [to_markdown(read_record(str(path))).splitlines() for path in files(folder)]
    return "\n".join([*tables[0][:2], *(row for lines in tables for row in lines[2:])])


@one_line_errors("bench_records")
def main() -> None:
    """Rewrite the records and the table."""
    make_parser(__doc__).parse_args()
    for file in files(RECORDS):
        keep_figures(file)
    replace_between(RESULTS, "bench", table(RECORDS))


if __name__ == "__main__":
    main()
