"""Store -> trained network.

    python model.py data.h5 -o model.h5
    python model.py data.h5 -o model.h5 --resume     # go on where an interrupted training stopped

`python model.py --help` lists the options, which bcclone/commands/main_job.py declares. A training
reads top to bottom in bcclone/training/train.py, its loop and each step in loop.py beside it.
"""

import sys

if __name__ == "__main__":
    from bcclone.cli import main

    sys.exit(main("model"))
