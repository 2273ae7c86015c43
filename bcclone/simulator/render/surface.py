"""Place on the road -> its colour; compiled, and inlined where rays are cast.

Colours are RGB, 0 to 255. What takes arrays is inlined: a call would count their references for each pixel.
"""

import math
from typing import Any, NamedTuple

from bcclone.simulator.render.compiled import compiled
from bcclone.simulator.scene.shoulders import DIRT, KERB
from bcclone.simulator.scene.textures import ASPHALT, COBBLE, GRAIN, LEVELS, SIZE
from bcclone.simulator.track import MOUNTAIN_STYLE

RGB = tuple[float, float, float]

# What a surface gets in the shade, and what full sunlight adds.
AMBIENT, SUNLIGHT = (0.30, 0.36, 0.44), (0.74, 0.69, 0.58)
_FOG = (158.0, 182.0, 210.0)
_KERB_STRIPE_M = 0.5
_TEXELS_A_METRE = 32.0  # of asphalt


class Spot(NamedTuple):
    """What a pixel shows of the road: where along and beside the centre line, in how much sun (0 to 1 and above),
    and how wide and how long the pixel is on the ground, metres."""

    along: float
    cross: float
    sunlight: float
    pixel_m: float
    stretch_m: float


@compiled()
def level_of(footprint: float) -> int:
    """Return the texture level at which a pixel of `footprint` texels of the finest level is about one texel."""
    level = 0
    while footprint > 1.5 and level < LEVELS - 1:
        footprint *= 0.5
        level += 1
    return level


@compiled()
def texel(textures: Any, texture: int, u: float, v: float, level: int) -> float:
    """Return the value of one of the textures at (u, v), in texels of the finest level."""
    level = min(max(level, 0), LEVELS - 1)
    side = SIZE >> level
    begin = 4 * (SIZE * SIZE - side * side) // 3  # the sum of the finer levels' sizes
    scale = 1.0 / (1 << level)
    row, column = int(math.floor(v * scale)) & (side - 1), int(math.floor(u * scale)) & (side - 1)
    return textures[texture, begin + row * side + column]


@compiled()
def covered(value: float, start: float, end: float, width: float) -> float:
    """Return the share of a stretch of `width` around `value` that lies between start and end."""
    share = (min(value + width * 0.5, end) - max(value - width * 0.5, start)) / width
    return min(max(share, 0.0), 1.0)


@compiled()
def mixed(color: RGB, other: RGB, share: float) -> RGB:
    """Return `color` with a share of `other`."""
    return (
        color[0] + (other[0] - color[0]) * share,
        color[1] + (other[1] - color[1]) * share,
        color[2] + (other[2] - color[2]) * share,
    )


@compiled()
def lit(color: RGB, brightness: float, sunlight: float) -> RGB:
    """Return a surface's colour times a brightness, in the shade (0) or the sun (1)."""
    return (
        color[0] * brightness * (AMBIENT[0] + SUNLIGHT[0] * sunlight),
        color[1] * brightness * (AMBIENT[1] + SUNLIGHT[1] * sunlight),
        color[2] * brightness * (AMBIENT[2] + SUNLIGHT[2] * sunlight),
    )


@compiled()
def seen_through(color: RGB, depth_m: float, air: Any) -> RGB:
    """Return a colour as it looks from `depth_m` away, through the fog."""
    if depth_m <= air.fog_from:
        return color
    return mixed(color, _FOG, min((depth_m - air.fog_from) / air.fog_over, 1.0))


@compiled(inline=True)
def put(canvas: Any, row: int, column: int, color: RGB, brightness: float) -> None:
    """Write a colour into a picture."""
    for channel in range(3):
        canvas.picture[row, column, channel] = int(min(max(color[channel] * brightness, 0.0), 255.0))


@compiled(inline=True)
def road_color(spot: Spot, paint: Any, line_visibility: float) -> tuple[RGB, bool]:
    """Return the road's colour by the track's style, and whether there is road at all."""
    if paint.style == MOUNTAIN_STYLE:
        return mountain_road(spot, paint, line_visibility)
    return _lake_road(spot, paint, line_visibility)


@compiled(inline=True)
def mountain_road(spot: Spot, paint: Any, line_visibility: float) -> tuple[RGB, bool]:
    """Return the mountain road's colour, and whether there is road at all."""
    beside = abs(spot.cross)
    if beside >= 4.8 + spot.pixel_m:
        return (0.0, 0.0, 0.0), False
    level = level_of(math.sqrt(spot.pixel_m * spot.stretch_m) * _TEXELS_A_METRE)
    fine = _asphalt(spot, paint)
    broad = texel(paint.textures, GRAIN, spot.cross * 9.0, spot.along * 3.0, level - 2)
    color = lit((112.0, 110.0, 106.0), 1.0 + 0.13 * fine + 0.06 * broad, spot.sunlight)
    white = lit((214.0, 212.0, 202.0), 1.0 + 0.08 * fine, spot.sunlight)
    color = mixed(color, white, covered(beside, 4.20, 4.36, spot.pixel_m) * line_visibility)
    if beside < 0.3 and spot.along - 6.0 * math.floor(spot.along / 6.0) < 3.0:  # dashes of 3 m
        color = mixed(color, white, covered(beside, -0.11, 0.11, spot.pixel_m) * line_visibility)
    return color, True


@compiled(inline=True)
def _lake_road(spot: Spot, paint: Any, line_visibility: float) -> tuple[RGB, bool]:
    """Return the lake road's colour, and whether there is road at all."""
    beside, sunlight = abs(spot.cross), spot.sunlight
    level = level_of(math.sqrt(spot.pixel_m * spot.stretch_m) * _TEXELS_A_METRE)
    if paint.bridge_start < spot.along < paint.bridge_end and beside < 5.6:
        stones = texel(paint.textures, COBBLE, spot.cross * 64.0, spot.along * 32.0, level)
        return lit((168.0, 144.0, 130.0), 1.0 + 0.19 * stones, sunlight), True
    if beside >= 6.4:
        return (0.0, 0.0, 0.0), False
    metre = min(max(int(spot.along), 0), paint.kinds.shape[1] - 1)
    side = 1 if spot.cross > 0 else 0
    kind = paint.kinds[side, metre]
    fine = _asphalt(spot, paint)
    broad = texel(paint.textures, GRAIN, spot.cross * 9.0, spot.along * 4.0, level - 2)
    if kind == DIRT and beside > 3.9:
        return lit((200.0, 148.0, 96.0), 1.0 + 0.07 * fine + 0.06 * broad, sunlight), True
    gloss = 1.0 + 0.22 * min(spot.stretch_m / 1.2, 1.0)  # looked at along the road, asphalt is lighter
    color = lit((128.0, 127.0, 118.0), (1.0 + 0.24 * fine + 0.05 * broad) * gloss, sunlight)
    if beside > 3.0:
        color = _lake_lines(color, spot, fine, kind, line_visibility)
    if beside > 4.5:
        border = covered(beside, 4.65 if kind != KERB else 4.72, 6.4, spot.pixel_m)
        light = paint.border_light[side, metre] * min(sunlight, 1.0)
        color = mixed(color, lit((206.0, 199.0, 182.0), 1.0 + 0.035 * broad, light), border)
    return color, True


@compiled()
def _lake_lines(color: RGB, spot: Spot, fine: float, kind: int, line_visibility: float) -> RGB:
    """Return the asphalt's colour with the yellow line, the tar beside it, and a kerb or a second line on it."""
    beside, sunlight, pixel_m = abs(spot.cross), spot.sunlight, spot.pixel_m
    line = covered(beside, 3.34, 3.46, pixel_m) * line_visibility
    color = mixed(color, lit((196.0, 178.0, 84.0), 1.0 + 0.06 * fine, sunlight), line)
    tar = covered(beside, 3.52, 3.78, pixel_m) * line_visibility
    color = mixed(color, lit((76.0, 73.0, 62.0), 1.0 + 0.10 * fine, sunlight), tar)
    if kind == KERB:
        return mixed(color, _kerb(spot), covered(beside, 3.78, 4.72, pixel_m))
    second = covered(beside, 3.80, 3.90, pixel_m) * line_visibility * 0.6
    return mixed(color, lit((196.0, 184.0, 96.0), 1.0, sunlight), second)


@compiled()
def _kerb(spot: Spot) -> RGB:
    """Return the red and white of a kerb; one mean colour where a pixel spans several stripes."""
    phase = spot.along / (2 * _KERB_STRIPE_M)
    red = 1.0 if phase - math.floor(phase) < 0.5 else 0.0
    blur = min(max(spot.stretch_m / _KERB_STRIPE_M - 0.7, 0.0), 1.0)
    return lit(mixed((232.0, 222.0, 214.0), (224.0, 106.0, 100.0), red + (0.5 - red) * blur), 1.0, spot.sunlight)


@compiled(inline=True)
def _asphalt(spot: Spot, paint: Any) -> float:
    """Return the grain of asphalt, mean 0; the longer a pixel is on the ground, the more it is drawn out."""
    ratio, drawn = spot.stretch_m / spot.pixel_m, _TEXELS_A_METRE
    while ratio > 1.6:
        ratio *= 0.5
        drawn *= 0.5
    level = level_of(spot.pixel_m * _TEXELS_A_METRE)
    return texel(paint.textures, ASPHALT, spot.cross * _TEXELS_A_METRE, spot.along * drawn, level)
