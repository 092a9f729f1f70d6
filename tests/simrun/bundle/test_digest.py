"""SHA-256 as `hashlib` has it, without what `hashlib` loads."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest

from simrun.bundle import load

CONTENTS = [b"", b"similarnet", bytes(range(256)) * 300]


@pytest.mark.parametrize("content", CONTENTS, ids=len)
def test_it_is_that_of_hashlib(content: bytes) -> None:
    assert load.sha256_hex(content) == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("content", CONTENTS, ids=len)
def test_it_is_the_same_on_a_python_without_the_built_in_modules(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "_BUILT_IN", ("no_such_module",))
    assert load.sha256_hex(content) == hashlib.sha256(content).hexdigest()


def test_reading_a_picture_loads_no_openssl() -> None:
    program = (
        "import sys\n"
        "from simrun.localizer import Localizer\n"
        "from simrun.sources.demo import draw_scene\n"
        "assert Localizer.load()(draw_scene(1.0)).regions\n"
        "sys.exit('_hashlib' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
