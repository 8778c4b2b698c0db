"""`python -m rtsr`: the `rtsr` command where its script is not on the PATH."""

from rtsr.cli import main

if __name__ == "__main__":
    main()
