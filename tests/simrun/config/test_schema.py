"""What settings come to together."""

from __future__ import annotations

import pytest

from simrun.config.schema import Settings
from simrun.errors import UsageError
from simrun.files import Existing


@pytest.mark.parametrize(
    ("settings", "in_service", "existing"),
    [
        (Settings(), False, Existing.REFUSE),
        (Settings(), True, Existing.APPEND),
        (Settings(append=True), False, Existing.APPEND),
        (Settings(overwrite=True), False, Existing.OVERWRITE),
        (Settings(overwrite=True), True, Existing.OVERWRITE),
    ],
)
def test_what_becomes_of_outputs_that_are_there(
    settings: Settings, in_service: bool, existing: Existing
) -> None:
    assert settings.existing(in_service=in_service) is existing


def test_two_things_at_once_are_refused() -> None:
    with pytest.raises(UsageError, match="--append keeps what --overwrite replaces"):
        Settings(append=True, overwrite=True).existing(in_service=True)
