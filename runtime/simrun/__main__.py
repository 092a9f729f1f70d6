"""`python -m simrun`."""

from simrun.cli.app import main

main()
