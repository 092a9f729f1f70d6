"""Makes docs/page.png: the page of `simrun --serve`, as Chromium shows it.

python docs/make_page.py [CHROMIUM]
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

TARGET = Path(__file__).parent / "page.png"
SIZE = "1100,1000"
RUN = ("--camera", "demo", "--serve", "0", "--max-fps", "15", "--jsonl", "/dev/null", "--overwrite")
BROWSER = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    f"--window-size={SIZE}",
    # The stream never ends: the picture is taken when this time is over.
    "--timeout=8000",
    f"--screenshot={TARGET}",
)


def main() -> None:
    """Run the demo camera with a page, and take a picture of it."""
    chromium = sys.argv[1] if len(sys.argv) > 1 else "chromium"
    command = [sys.executable, "-m", "simrun", *RUN]
    with (
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run,
        tempfile.TemporaryDirectory() as profile,
    ):
        assert run.stderr is not None
        urls = (re.search(r"http://\S+", line) for line in run.stderr)
        url = next(found[0] for found in urls if found)
        try:
            browser = [chromium, *BROWSER, f"--user-data-dir={profile}", url]
            subprocess.run(browser, check=True, timeout=60, stderr=subprocess.DEVNULL)
        finally:
            run.terminate()


if __name__ == "__main__":
    main()
