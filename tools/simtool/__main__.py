"""`python -m simtool`."""

from simtool.cli.app import main

main()
