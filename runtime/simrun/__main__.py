"""`python -m simrun`."""

from simrun.cli import main

main()
