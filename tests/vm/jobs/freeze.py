"""A v4l2loopback camera stops in mid-stream; its module is replaced as soon as simrun lets go."""

from __future__ import annotations

import time
from typing import Final

from tests.vm.feeder import Feeder
from tests.vm.guest import CAMERA, READ_DIGITS, Simrun, plug_in, report, say, unplug

BEFORE: Final = "946"
AFTER: Final = "63"
FRAMES: Final = 3
RATE: Final = 15.0


def main() -> None:
    """Stop the camera; that its module can be removed shows that simrun let go of the device."""
    plug_in("v4l2loopback")
    feeder = Feeder(CAMERA, RATE)
    feeder.show(BEFORE)
    simrun = Simrun(*READ_DIGITS)
    try:
        simrun.wait_for_frames(FRAMES)
        feeder.close()
        say("the camera gives no more frames")
        unplug("v4l2loopback")
        back_s = time.monotonic()
        plug_in("v4l2loopback")
        feeder = Feeder(CAMERA, RATE)
        feeder.show(AFTER)
        simrun.wait_for_frames(FRAMES, since_s=back_s)
        memory = simrun.memory()
    finally:
        code = simrun.stop()
        say(f"simrun ended with {code} after {len(simrun.results)} frames")
        feeder.close()
    report(code=code, back_s=back_s, frames=simrun.results, memory=memory, log=simrun.log())


if __name__ == "__main__":
    main()
