"""`python -m rtsr`: the `rtsr` command where its script is not on the PATH."""

from rtsr.cli import main

main()
