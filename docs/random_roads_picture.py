"""Draw writeup_images/random-roads.png: a frame of each of twelve random roads, the last six in
random colours.

python docs/random_roads_picture.py
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import PIL.Image

from bcclone.camera.images import Image
from bcclone.dataset.store import Store
from bcclone.research.road_samples import FIRST_ROAD, RoadSamplesSettings
from bcclone.research.road_samples.writing import make_road_samples
from bcclone.system.atomic import replacing

PICTURE = Path(__file__).parent.parent / "writeup_images" / "random-roads.png"
_ACROSS, _SIZE = 4, (240, 120)  # frames in a line; width and height of each in pixels
_ROADS = 6  # in their own colours, and as many in random ones


def frames_of_roads(first_road: int, recolored: float) -> list[Image]:
    """Return a frame of each of some roads, RGB uint8 (height, width, 3). recolored: fraction in
    random colours.
    """
    with TemporaryDirectory(prefix="bcclone-") as folder:
        output = Path(folder) / "roads.h5"
        kinds = {"recolored": recolored, "preprocess": "carnd-160x320-rgb"}
        make_road_samples(
            RoadSamplesSettings(output, roads=_ROADS, frames=1, first_road=first_road, **kinds)
        )
        with Store(output) as store:
            return [np.array(frame) for frame in store.frames]


if __name__ == "__main__":
    frames = frames_of_roads(FIRST_ROAD, 0) + frames_of_roads(FIRST_ROAD + _ROADS, 1)
    small = [cv2.resize(frame, _SIZE, interpolation=cv2.INTER_AREA) for frame in frames]
    lines = [np.hstack(small[start : start + _ACROSS]) for start in range(0, len(small), _ACROSS)]
    with replacing(PICTURE) as temporary:
        PIL.Image.fromarray(np.vstack(lines)).quantize(256).save(temporary, "png", optimize=True)
