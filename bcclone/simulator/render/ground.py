"""Draw ground and sky: the depth of each pixel -> its colour and label; compiled.

In: a camera, the ground, the air, and a canvas with the depths that profile.py has found. Out: the
canvas, filled in place: a colour, RGB uint8 (height, width, 3), and a label for each pixel but
those of the bonnet.
"""

from typing import Any

from bcclone.simulator.render.ground_color import GroundPixel, Ray, ground_color, sky_color
from bcclone.simulator.render.profile import NOTHING_M
from bcclone.simulator.render.surface import (
    SKY,
    SOURCES_CHECKSUM,
    drawing,
    headlight_beam,
    light_at,
    line_of_sight,
    set_pixel,
    through_fog,
)

_MAX_STRETCH = 40.0  # largest length of a pixel on the ground, over its width


@drawing(cache=True, sources=SOURCES_CHECKSUM)
def color_ground(eye: Any, surface: Any, air: Any, canvas: Any) -> None:
    """Draw ground and sky, and set the label of each pixel but the bonnet's."""
    rows, columns = canvas.depths_m.shape
    x = eye.position[0]
    y = eye.position[1]
    z = eye.position[2]
    for row in range(rows):
        up = (rows * 0.5 - row - 0.5) / eye.focal_up_px
        for column in range(columns):
            if row >= eye.bottoms[column]:
                continue
            across = (column + 0.5 - columns * 0.5) / eye.focal_across_px
            dx, dy, dz = line_of_sight(eye.axes, across, up)
            ray = Ray(x, y, z, dx, dy, dz)
            depth = canvas.depths_m[row, column]
            if depth == NOTHING_M:
                canvas.labels[row, column] = SKY
                set_pixel(canvas, row, column, sky_color(air.sky, ray), air.daylight)
                continue

            # the flatter the ray, the longer is the pixel on the ground
            flatness = max(depth / max(-dy * depth, 0.5), 1.0)
            stretch = min(flatness * eye.focal_across_px / eye.focal_up_px, _MAX_STRETCH)
            size = GroundPixel(depth / eye.focal_across_px, stretch)
            color, label = ground_color(surface, air, ray, depth, size)
            canvas.labels[row, column] = label
            light = light_at(air, depth, headlight_beam(air, across))
            set_pixel(canvas, row, column, through_fog(color, depth, air), light)
