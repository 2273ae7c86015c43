"""Draw writeup_images/random-roads.png: a frame of each of twelve random roads.

    python docs/random_roads_picture.py

The last six are in random colours.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import PIL.Image

from bcclone.camera.images import Image, resized
from bcclone.dataset.store import Store
from bcclone.research.road_samples import FIRST_ROAD, RoadSamplesSettings
from bcclone.research.road_samples.writing import make_road_samples
from bcclone.system.files import replacing

PICTURE = Path(__file__).parent.parent / "writeup_images" / "random-roads.png"
_ROADS = 6  # in their own colours, and as many in random ones


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    draw(PICTURE)


def draw(path: Path) -> None:
    """Draw the frames in lines of four."""
    size = (240, 120)  # width and height of a frame in pixels
    frames = frames_of_roads(FIRST_ROAD, recolored=0)
    frames += frames_of_roads(FIRST_ROAD + _ROADS, recolored=1)
    small = [resized(frame, size) for frame in frames]
    save_in_lines(small, 4, path)


def save_in_lines(images: list[Image], images_a_line: int, path: Path) -> None:
    """Write images of one size side by side, as a PNG of 256 colours."""
    lines = []
    for start in range(0, len(images), images_a_line):
        lines.append(np.hstack(images[start : start + images_a_line]))
    picture = PIL.Image.fromarray(np.vstack(lines)).quantize(256)
    with replacing(path) as temporary:
        picture.save(temporary, "png", optimize=True)


def frames_of_roads(first_road: int, recolored: float) -> list[Image]:
    """Return a frame of each of six roads, RGB uint8 (height, width, 3).

    recolored: fraction in random colours
    """
    with TemporaryDirectory(prefix="bcclone-") as folder:
        output = Path(folder) / "roads.h5"
        settings = RoadSamplesSettings(
            output,
            roads=_ROADS,
            frames=1,
            first_road=first_road,
            recolored=recolored,
            preprocess="carnd-160x320-rgb",
        )
        make_road_samples(settings)
        with Store(output) as store:
            return [np.array(store.frames[number]) for number in range(len(store.frames))]


if __name__ == "__main__":
    main()
