"""Store -> trained network.

    python model.py data.h5 -o model.h5
    python model.py data.h5 -o model.h5 --resume     # go on where an interrupted training stopped

`python model.py --help` lists the options, which bcclone/training/train_settings.py declares. A
training reads top to bottom in bcclone/training/train.py; beside it, loop.py has the loop and
trainer.py the steps.
"""

import sys

if __name__ == "__main__":
    from bcclone.__main__ import main

    sys.exit(main("model"))
