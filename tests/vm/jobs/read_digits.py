"""Numbers are held before a v4l2loopback camera one after the other while simrun reads them."""

from __future__ import annotations

from typing import Final

from tests.vm.feeder import Feeder
from tests.vm.guest import CAMERA, READ_DIGITS, Simrun, plug_in, report, say

NUMBERS: Final = ("58", "946", "7", "63")
FRAMES_A_NUMBER: Final = 3
RATE: Final = 15.0
"""Faster than an emulated machine can read, so that frames must be dropped."""


def main() -> None:
    """Run simrun for as many frames as it takes to see every number a few times."""
    plug_in("v4l2loopback")
    feeder = Feeder(CAMERA, RATE, "MJPG")
    feeder.show(NUMBERS[0])
    simrun = Simrun(*READ_DIGITS)
    try:
        for number in NUMBERS:
            feeder.show(number)
            simrun.wait_for_frames(FRAMES_A_NUMBER, since_s=feeder.shown[-1][0])
        memory = simrun.memory()
    finally:
        code = simrun.stop()
        say(f"simrun ended with {code} after {len(simrun.results)} frames")
        feeder.close()
    report(
        code=code,
        shown=feeder.shown,
        written=feeder.written,
        frames=simrun.results,
        memory=memory,
        log=simrun.log(),
    )


if __name__ == "__main__":
    main()
