"""`python -m mercer.cli` is the command `mercer`."""

from mercer.cli.app import main

main()
