"""Run folder -> clip.

    python video.py run1                             # run1.mp4, at the speed at which it was driven
    python video.py run1 --fps 60                    # faster: 60 frames a second

`python video.py --help` lists the options.
"""

import sys

if __name__ == "__main__":
    from bcclone.__main__ import main

    sys.exit(main("video"))
