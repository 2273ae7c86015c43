"""Sketch a road for one frame: random numbers -> what any camera sees of it, the steering, and where the road leads.

A scene of the simulator takes seconds to build, so that its frames come in hundreds, by one camera. A sketch has a
road, materials, surroundings, a lens and a mounting of its own, and takes some milliseconds.

A picture does not show the height of its camera, only its ratio to the road. So every camera is REFERENCE_M above the
road, which is the height of the simulator's; a small car's narrow road is a wide one here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bcclone.dataset.images import Image
from bcclone.lab.road_samples.any_camera import draw_camera
from bcclone.lab.road_samples.drawn_road import draw_road, place_on
from bcclone.lab.road_samples.painting import paint
from bcclone.lab.road_samples.picture_effects import with_effects
from bcclone.lab.road_samples.surroundings import draw_surroundings

_SHARPNESS = (0.4, 1.2)  # width of what a pixel shows, in pixels


@dataclass(frozen=True)
class Sketch:
    """A picture, RGB uint8 (height, width, 3), its steering, and its path in the order of labels.PATH_COLUMNS."""

    picture: Image
    steering: float
    path: Sequence[float]


def draw_sketch(random: np.random.Generator, height: int, width: int) -> Sketch:
    """Return a random sketch of this size."""
    road = draw_road(random)
    camera = draw_camera(random, road.radius_m, road.floor)
    place = place_on(road, random)
    surroundings = draw_surroundings(random, road, place.line)
    pixel = camera.pixel(width) * random.uniform(*_SHARPNESS)
    seen = paint(surroundings, place.line, camera.rays(height, width), pixel)
    return Sketch(with_effects(seen, random), place.steering, place.path)
