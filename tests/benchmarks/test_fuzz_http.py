"""What of a fuzzed page's log is a fault."""

from __future__ import annotations

from benchmarks.endurance.fuzz_http import faults, unexpected

_COUNTED = """\
warning: page: a wrong token, the last from 127.0.0.1
warning: page: 13 wrong tokens, the last from 127.0.0.1
"""


def test_that_wrong_tokens_are_counted_is_no_fault() -> None:
    assert unexpected(_COUNTED) == []
    assert faults({"runs": [{"log": _COUNTED, "files": -1}]}) == []


def test_any_other_line_and_a_file_that_stays_open_are() -> None:
    log = f"{_COUNTED}Traceback (most recent call last):\nwarning: page: wrong\n"
    assert unexpected(log) == ["Traceback (most recent call last):", "warning: page: wrong"]
    found = faults({"runs": [{"log": log, "files": 0}, {"log": "", "files": 1}]})
    assert len(found) == 2
    assert "Traceback" in found[0]
    assert "1 files left" in found[1]
