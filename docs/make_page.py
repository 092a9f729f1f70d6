"""Makes docs/page.png: the page of `simrun --serve`, as Chromium shows it.

python docs/make_page.py [CHROMIUM]
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
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
    """Run the demo camera with a page, and take a picture of it; errors are one line."""
    parser = argparse.ArgumentParser(description="Take a picture of the page of a running simrun.")
    parser.add_argument("chromium", nargs="?", default="chromium", help="the browser's program")
    chromium: str = parser.parse_args().chromium
    if shutil.which(chromium) is None:
        sys.exit(f"make_page: no program {chromium}; name the browser: make_page.py CHROMIUM")
    command = [sys.executable, "-m", "simrun", *RUN]
    with (
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run,
        tempfile.TemporaryDirectory() as profile,
    ):
        assert run.stderr is not None
        try:
            browser = [chromium, *BROWSER, f"--user-data-dir={profile}", find_url(run.stderr)]
            subprocess.run(browser, check=True, timeout=60, stderr=subprocess.DEVNULL)
        except subprocess.SubprocessError as error:
            sys.exit(f"make_page: {chromium} took no picture: {type(error).__name__}")
        finally:
            run.terminate()


def find_url(lines: Iterable[str]) -> str:
    """The page's address in what simrun says on standard error; exits where it ends without."""
    said = []
    for line in lines:
        if found := re.search(r"http://\S+", line):
            return found[0]
        said.append(line.strip())
    sys.exit(f"make_page: simrun gave no address: {' '.join(said)}")


if __name__ == "__main__":
    main()
