"""Draw ground and sky by a ray for each pixel; compiled.

In: a camera, the ground, the air, and an empty canvas. Out: the canvas, filled in place: a colour,
RGB uint8 (height, width, 3), a depth and a label for each pixel but those of the bonnet.

A column is drawn from the bottom up, where the ground only gets farther away, so each ray starts
just before the depth at which the ray below it ended. meet.py finds where a ray ends, which takes
about six tenths of a frame's time on the lake; ground_color.py colours what the ray meets, which
takes three tenths.
"""

from typing import Any

from bcclone.simulator.render.ground_color import GroundPixel, ground_color, sky_color
from bcclone.simulator.render.meet import NEAR_M, Hit, Ray, meet
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

_CAMERA_M = 1.25  # usual height of the camera above the road
_MAX_STRETCH = 40.0  # largest length of a pixel on the ground, over its width
_NOTHING_M = 1e9  # depth of the sky in the canvas


@drawing(cache=True, sources=SOURCES_CHECKSUM)
def cast(eye: Any, surface: Any, air: Any, canvas: Any) -> None:
    """Draw ground and sky, and set the depth and the label of each pixel but the bonnet's."""
    rows, columns = canvas.depths_m.shape
    x = eye.position[0]
    y = eye.position[1]
    z = eye.position[2]
    for column in range(columns):
        across = (column + 0.5 - columns * 0.5) / eye.focal_across_px
        beam = headlight_beam(air, across)
        # below the lowest ray, the ground is taken to be level
        last = Hit(NEAR_M, y - _CAMERA_M, 0.0)
        for row in range(eye.bottoms[column] - 1, -1, -1):
            up = (rows * 0.5 - row - 0.5) / eye.focal_up_px
            dx, dy, dz = line_of_sight(eye.axes, across, up)
            ray = Ray(x, y, z, dx, dy, dz)

            # once a ray of a column has met nothing, the rays above it meet nothing either
            if last.depth > 0.0:
                last = meet(surface, ray, last)
            if last.depth < 0.0:
                canvas.depths_m[row, column] = _NOTHING_M
                canvas.labels[row, column] = SKY
                set_pixel(canvas, row, column, sky_color(air.sky, ray), air.daylight)
                continue

            # the flatter the ray, the longer is the pixel on the ground
            flatness = max(last.depth / max(y - last.level, 0.5), 1.0)
            stretch = min(flatness * eye.focal_across_px / eye.focal_up_px, _MAX_STRETCH)
            size = GroundPixel(last.depth / eye.focal_across_px, stretch)
            color, label = ground_color(surface, air, ray, last.depth, size)
            canvas.depths_m[row, column] = last.depth
            canvas.labels[row, column] = label
            light = light_at(air, last.depth, beam)
            set_pixel(canvas, row, column, through_fog(color, last.depth, air), light)
