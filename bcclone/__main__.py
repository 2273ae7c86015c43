"""Run the command line as `python -m bcclone`."""

import sys

from bcclone.cli import main

if __name__ == "__main__":
    sys.exit(main())
