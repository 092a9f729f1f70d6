"""A camera's module is removed and put back while simrun runs, on a machine with little memory."""

from __future__ import annotations

import time
from typing import Final

from tests.vm.guest import Simrun, plug_in, report, say, unplug, wait_for

FRAMES: Final = 4
"""Results to wait for before and after."""
WAITS: Final = "; waiting for it since"
"""What simrun says of a camera that is not there."""


def main() -> None:
    """Run simrun as a user would, with nothing but the camera named."""
    plug_in("vivid")
    simrun = Simrun("--camera", "0")
    try:
        simrun.wait_for_frames(FRAMES)
        say(f"{FRAMES} frames, {simrun.memory()['peak_mb']:.1f} MB")
        unplug("vivid")
        # It looks for the camera in vain before there is one again.
        wait_for(lambda: any(WAITS in line for line in simrun.log()), "simrun waiting for a camera")
        back_s = time.monotonic()
        plug_in("vivid")
        simrun.wait_for_frames(FRAMES, since_s=back_s)
        memory = simrun.memory()
    finally:
        code = simrun.stop()
        say(f"simrun ended with {code} after {len(simrun.results)} frames")
    report(code=code, back_s=back_s, frames=simrun.results, memory=memory, log=simrun.log())


if __name__ == "__main__":
    main()
