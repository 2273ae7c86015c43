"""Compute the colour of the road; compiled, and inlined where rays are cast.

Colours are RGB, 0 to 255. Functions with array arguments are inlined, since a call would count references for each
pixel.
"""

import math
from typing import Any, NamedTuple

from bcclone.compiled import compiled, source_checksum
from bcclone.simulator.scene.roadmap import DIRT, KERB
from bcclone.simulator.scene.textures import ASPHALT, COBBLE, GRAIN, LEVELS, SIZE
from bcclone.simulator.track import MOUNTAIN_STYLE

RGB = tuple[float, float, float]

# All modules whose functions or constants are compiled into the renderer, and the checksum of their sources.
COMPILED_MODULES = (
    "bcclone.view",
    "bcclone.simulator.camera",
    "bcclone.simulator.track",
    "bcclone.simulator.scene.plants",
    "bcclone.simulator.scene.roadmap",
    "bcclone.simulator.scene.structures",
    "bcclone.simulator.scene.textures",
    "bcclone.simulator.render.faces",
    "bcclone.simulator.render.raycast",
    "bcclone.simulator.render.surface",
)
SOURCES = source_checksum(COMPILED_MODULES)

# Light on a surface in the shade, and what full sunlight adds.
AMBIENT, SUNLIGHT = (0.30, 0.36, 0.44), (0.74, 0.69, 0.58)
_FOG = (158.0, 182.0, 210.0)
_KERB_STRIPE_M = 0.5
_TEXELS_A_METRE = 32.0  # of asphalt


class RoadPixel(NamedTuple):
    """The road at a pixel: metres along and to the right of the centre line, sunlight (0 to 1 and above), and width
    and length of the pixel on the ground, in metres."""

    along: float
    cross: float
    sunlight: float
    pixel_m: float
    stretch_m: float


@compiled(fastmath=True)
def level_of(footprint: float) -> int:
    """Return the texture level at which a pixel of `footprint` texels of level 0 is about one texel."""
    level = 0
    while footprint > 1.5 and level < LEVELS - 1:
        footprint *= 0.5
        level += 1
    return level


@compiled(fastmath=True)
def texel(textures: Any, texture: int, u: float, v: float, level: int) -> float:
    """Return the value of a texture at (u, v), in texels of level 0."""
    level = min(max(level, 0), LEVELS - 1)
    side = SIZE >> level
    begin = 4 * (SIZE * SIZE - side * side) // 3  # after the finer levels
    scale = 1.0 / (1 << level)
    row, column = int(math.floor(v * scale)) & (side - 1), int(math.floor(u * scale)) & (side - 1)
    return textures[texture, begin + row * side + column]


@compiled(fastmath=True)
def covered(value: float, start: float, end: float, width: float) -> float:
    """Return the fraction of an interval of `width` around `value` that is between start and end."""
    fraction = (min(value + width * 0.5, end) - max(value - width * 0.5, start)) / width
    return min(max(fraction, 0.0), 1.0)


@compiled(fastmath=True)
def mixed(color: RGB, other: RGB, fraction: float) -> RGB:
    """Return a linear mix of two colours; fraction: of `other`."""
    return (
        color[0] + (other[0] - color[0]) * fraction,
        color[1] + (other[1] - color[1]) * fraction,
        color[2] + (other[2] - color[2]) * fraction,
    )


@compiled(fastmath=True)
def lit(color: RGB, brightness: float, sunlight: float) -> RGB:
    """Return the colour of a surface times a brightness, in the shade (0) or the sun (1)."""
    return (
        color[0] * brightness * (AMBIENT[0] + SUNLIGHT[0] * sunlight),
        color[1] * brightness * (AMBIENT[1] + SUNLIGHT[1] * sunlight),
        color[2] * brightness * (AMBIENT[2] + SUNLIGHT[2] * sunlight),
    )


@compiled(fastmath=True)
def seen_through(color: RGB, depth_m: float, air: Any) -> RGB:
    """Return a colour as seen through `depth_m` of fog."""
    if depth_m <= air.fog_from:
        return color
    return mixed(color, _FOG, min((depth_m - air.fog_from) / air.fog_over, 1.0))


@compiled(fastmath=True, inline="always")
def put(canvas: Any, row: int, column: int, color: RGB, brightness: float) -> None:
    """Write a colour into a picture."""
    for channel in range(3):
        canvas.picture[row, column, channel] = int(min(max(color[channel] * brightness, 0.0), 255.0))


@compiled(fastmath=True, inline="always")
def road_color(pixel: RoadPixel, paint: Any, line_visibility: float) -> tuple[RGB, bool]:
    """Return the road's colour by the track's style, and whether there is road."""
    if paint.style == MOUNTAIN_STYLE:
        return mountain_road(pixel, paint, line_visibility)
    return _lake_road(pixel, paint, line_visibility)


@compiled(fastmath=True, inline="always")
def mountain_road(pixel: RoadPixel, paint: Any, line_visibility: float) -> tuple[RGB, bool]:
    """Return the mountain road's colour, and whether there is road."""
    offset_m = abs(pixel.cross)
    if offset_m >= 4.8 + pixel.pixel_m:
        return (0.0, 0.0, 0.0), False
    level = level_of(math.sqrt(pixel.pixel_m * pixel.stretch_m) * _TEXELS_A_METRE)
    fine = _asphalt(pixel, paint)
    broad = texel(paint.textures, GRAIN, pixel.cross * 9.0, pixel.along * 3.0, level - 2)
    color = lit((112.0, 110.0, 106.0), 1.0 + 0.13 * fine + 0.06 * broad, pixel.sunlight)
    white = lit((214.0, 212.0, 202.0), 1.0 + 0.08 * fine, pixel.sunlight)
    color = mixed(color, white, covered(offset_m, 4.20, 4.36, pixel.pixel_m) * line_visibility)
    if offset_m < 0.3 and pixel.along - 6.0 * math.floor(pixel.along / 6.0) < 3.0:  # dashes of 3 m
        color = mixed(color, white, covered(offset_m, -0.11, 0.11, pixel.pixel_m) * line_visibility)
    return color, True


@compiled(fastmath=True, inline="always")
def _lake_road(pixel: RoadPixel, paint: Any, line_visibility: float) -> tuple[RGB, bool]:
    """Return the lake road's colour, and whether there is road."""
    offset_m, sunlight = abs(pixel.cross), pixel.sunlight
    level = level_of(math.sqrt(pixel.pixel_m * pixel.stretch_m) * _TEXELS_A_METRE)
    if paint.bridge_start < pixel.along < paint.bridge_end and offset_m < 5.6:
        stones = texel(paint.textures, COBBLE, pixel.cross * 64.0, pixel.along * 32.0, level)
        return lit((168.0, 144.0, 130.0), 1.0 + 0.19 * stones, sunlight), True
    if offset_m >= 6.4:
        return (0.0, 0.0, 0.0), False
    metre = min(max(int(pixel.along), 0), paint.kinds.shape[1] - 1)
    side = 1 if pixel.cross > 0 else 0
    kind = paint.kinds[side, metre]
    fine = _asphalt(pixel, paint)
    broad = texel(paint.textures, GRAIN, pixel.cross * 9.0, pixel.along * 4.0, level - 2)
    if kind == DIRT and offset_m > 3.9:
        return lit((200.0, 148.0, 96.0), 1.0 + 0.07 * fine + 0.06 * broad, sunlight), True
    gloss = 1.0 + 0.22 * min(pixel.stretch_m / 1.2, 1.0)  # at a flat angle asphalt is lighter
    color = lit((128.0, 127.0, 118.0), (1.0 + 0.24 * fine + 0.05 * broad) * gloss, sunlight)
    if offset_m > 3.0:
        color = _lake_lines(color, pixel, fine, kind, line_visibility)
    if offset_m > 4.5:
        border = covered(offset_m, 4.65 if kind != KERB else 4.72, 6.4, pixel.pixel_m)
        light = paint.border_light[side, metre] * min(sunlight, 1.0)
        color = mixed(color, lit((206.0, 199.0, 182.0), 1.0 + 0.035 * broad, light), border)
    return color, True


@compiled(fastmath=True)
def _lake_lines(color: RGB, pixel: RoadPixel, fine: float, kind: int, line_visibility: float) -> RGB:
    """Add the yellow line, the tar beside it, and a kerb or a second line to the asphalt's colour."""
    offset_m, sunlight, pixel_m = abs(pixel.cross), pixel.sunlight, pixel.pixel_m
    line = covered(offset_m, 3.34, 3.46, pixel_m) * line_visibility
    color = mixed(color, lit((196.0, 178.0, 84.0), 1.0 + 0.06 * fine, sunlight), line)
    tar = covered(offset_m, 3.52, 3.78, pixel_m) * line_visibility
    color = mixed(color, lit((76.0, 73.0, 62.0), 1.0 + 0.10 * fine, sunlight), tar)
    if kind == KERB:
        return mixed(color, _kerb(pixel), covered(offset_m, 3.78, 4.72, pixel_m))
    second = covered(offset_m, 3.80, 3.90, pixel_m) * line_visibility * 0.6
    return mixed(color, lit((196.0, 184.0, 96.0), 1.0, sunlight), second)


@compiled(fastmath=True)
def _kerb(pixel: RoadPixel) -> RGB:
    """Return the colour of a kerb, red or white; their mean where a pixel spans several stripes."""
    phase = pixel.along / (2 * _KERB_STRIPE_M)
    red = 1.0 if phase - math.floor(phase) < 0.5 else 0.0
    blur = min(max(pixel.stretch_m / _KERB_STRIPE_M - 0.7, 0.0), 1.0)
    return lit(mixed((232.0, 222.0, 214.0), (224.0, 106.0, 100.0), red + (0.5 - red) * blur), 1.0, pixel.sunlight)


@compiled(fastmath=True, inline="always")
def _asphalt(pixel: RoadPixel, paint: Any) -> float:
    """Return the grain of asphalt, mean 0; it is stretched where a pixel is long on the ground."""
    ratio, texels = pixel.stretch_m / pixel.pixel_m, _TEXELS_A_METRE
    while ratio > 1.6:
        ratio *= 0.5
        texels *= 0.5
    level = level_of(pixel.pixel_m * _TEXELS_A_METRE)
    return texel(paint.textures, ASPHALT, pixel.cross * _TEXELS_A_METRE, pixel.along * texels, level)
