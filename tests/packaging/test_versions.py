"""The versions that are asked for: above known holes, and those that the tests are run with."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
LINES = [
    line
    for line in (ROOT / ".ci" / "constraints.txt").read_text().splitlines()
    if not line.startswith("#")
]
PINNED = {
    canonicalize_name(name): version for name, _, version in (x.partition("==") for x in LINES)
}


def asked(*extras: str) -> list[Requirement]:
    texts = [*PROJECT["dependencies"], *(text for extra in extras for text in EXTRAS[extra])]
    return [Requirement(text) for text in texts if not text.startswith("similarnet")]


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("opencv-python-headless", "4.8.0.76"),  # CVE-2023-4863
        ("opencv-python-headless", "4.10.0.84"),  # CVE-2025-53644
        ("opencv-python-headless", "4.11.0.86"),
        ("opencv-python", "4.11.0.86"),
        ("pillow", "10.2.0"),  # CVE-2024-28219
        ("pillow", "11.2.1"),  # CVE-2025-48379
        ("pillow", "12.1.0"),  # CVE-2026-25990
        ("pillow", "12.3.0"),  # CVE-2026-112398
        ("fonttools", "4.42.1"),  # CVE-2023-45139
        ("fonttools", "4.60.1"),  # CVE-2025-66034
    ],
)
def test_a_version_with_a_known_hole_is_not_installed(name: str, version: str) -> None:
    found = [one for one in asked("train", "gui") if one.name == name]
    assert found
    assert not any(version in one.specifier for one in found)


def test_the_tests_run_with_one_version_of_each_that_is_asked_for() -> None:
    for one in asked("train", "mqtt", "docs", "dev"):
        assert PINNED[canonicalize_name(one.name)] in one.specifier, one


def test_the_pinned_versions_name_no_place() -> None:
    assert len(LINES) == len(PINNED)
    for line in LINES:
        assert re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9A-Za-z.!]*", line), line
