"""`python -m simtool`."""

from simtool.cli import main

main()
