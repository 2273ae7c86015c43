"""Run a command, for `python -m bcclone`."""

import sys

if __name__ == "__main__":
    from bcclone.cli import main

    sys.exit(main())
