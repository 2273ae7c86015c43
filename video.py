"""Run folder -> clip.

    python video.py run1                             # run1.mp4
    python video.py run1 --fps real                  # at the speed at which it was driven

`python video.py --help` lists the options.
"""

import sys

from bcclone.cli import run

if __name__ == "__main__":
    sys.exit(run("video", "python video.py"))
