"""Store -> trained network.

    python model.py data.h5 -o model.h5
    python model.py data.h5 -o model.h5 --resume     # go on where an interrupted training stopped

`python model.py --help` lists the options, which bcclone/commands/training.py declares. A training
reads top to bottom in bcclone/training/train.py, its loop and each step in loop.py beside it.
"""

import sys

if __name__ == "__main__":
    try:
        from bcclone.__main__ import main

        sys.exit(main("model", "python model.py"))
    except KeyboardInterrupt:  # before bcclone handles Ctrl-C
        sys.exit(130)
