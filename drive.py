"""Trained network -> steering for the simulator, which connects to port 4567.

    python drive.py model.h5           # nothing is recorded
    python drive.py model.h5 run1      # and record what the car saw and did into run1/

`python drive.py --help` lists the options.
"""

import sys

if __name__ == "__main__":
    from bcclone.__main__ import main

    sys.exit(main("drive"))
