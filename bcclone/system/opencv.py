"""Load OpenCV, and take back what it does to the environment.

It adds an empty entry to LD_LIBRARY_PATH. For processes that are started later, such as ffmpeg, the empty entry means
the current folder, from which they would load shared libraries.
"""

import os

import cv2 as cv2

_NAME = "LD_LIBRARY_PATH"
if _NAME in os.environ:
    os.environ[_NAME] = os.pathsep.join(filter(None, os.environ[_NAME].split(os.pathsep)))
