"""Store -> trained network.

    python model.py data.h5 -o model.h5
    python model.py data.h5 -o model.h5 --resume     # go on where an interrupted training stopped

`python model.py --help` lists the options, which bcclone/commands/model.py declares. A training reads top to bottom in
bcclone/train/run.py, its loop and each step in loop.py beside it.
"""

import sys

from bcclone.cli import run

if __name__ == "__main__":
    sys.exit(run("model", "python model.py"))
