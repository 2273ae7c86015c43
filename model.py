"""Store -> trained network.

    python model.py data.h5 -o model.h5
    python model.py data.h5 -o model.h5 --resume     # go on where an interrupted training stopped

`python model.py --help` lists the options.
"""

import sys

from bcclone.cli import run

if __name__ == "__main__":
    sys.exit(run("model", "python model.py"))
