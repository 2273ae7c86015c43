"""Place on the ground -> its colour; compiled, and inlined where rays are cast.

Colours are RGB, 0 to 255; `pixel_m` is how wide a pixel is on the ground, `stretch_m` how long.
"""

import math

from numba import njit

from bcclone.simulator.scene.textures import ASPHALT, COBBLE, GRAIN, LEVELS, SIZE
from bcclone.simulator.scene.verge import DIRT, KERB
from bcclone.simulator.track import MOUNTAIN_STYLE

RGB = tuple[float, float, float]

_AMBIENT_R, _AMBIENT_G, _AMBIENT_B = 0.30, 0.36, 0.44
_SUN_R, _SUN_G, _SUN_B = 0.74, 0.69, 0.58
_KERB_STRIPE_M = 0.5


@njit(fastmath=True, cache=True)
def level_of(footprint):
    """Return the texture level at which a pixel of `footprint` texels of the finest level is about one texel."""
    level = 0
    while footprint > 1.5 and level < LEVELS - 1:
        footprint *= 0.5
        level += 1
    return level


@njit(fastmath=True, cache=True, inline="always")
def texel(texture, offsets, u, v, level):
    """Return a texture's value at (u, v), in texels of the finest level."""
    level = min(max(level, 0), LEVELS - 1)
    side = SIZE >> level
    scale = 1.0 / (1 << level)
    row, column = int(math.floor(v * scale)) & (side - 1), int(math.floor(u * scale)) & (side - 1)
    return texture[offsets[level] + row * side + column]


@njit(fastmath=True, cache=True, inline="always")
def _asphalt(cross, along, pixel_m, stretch_m, surface):
    """Return the grain of asphalt, mean 0; the longer a pixel is on the ground, the more it is drawn out."""
    ratio, drawn = stretch_m / pixel_m, 32.0
    while ratio > 1.6:
        ratio *= 0.5
        drawn *= 0.5
    level = level_of(pixel_m * 32.0)
    return texel(surface.textures[ASPHALT], surface.offsets, cross * 32.0, along * drawn, level)


@njit(fastmath=True, cache=True)
def covered(value, start, end, width):
    """Return the share of a stretch of `width` around `value` that lies between start and end."""
    share = (min(value + width * 0.5, end) - max(value - width * 0.5, start)) / width
    return min(max(share, 0.0), 1.0)


@njit(fastmath=True, cache=True)
def mixed(color, other, share):
    """Return `color` with a share of `other`."""
    return (
        color[0] + (other[0] - color[0]) * share,
        color[1] + (other[1] - color[1]) * share,
        color[2] + (other[2] - color[2]) * share,
    )


@njit(fastmath=True, cache=True)
def lit(color, brightness, sunlight):
    """Return a surface's colour times a brightness, in the shade (0) or the sun (1)."""
    return (
        color[0] * brightness * (_AMBIENT_R + _SUN_R * sunlight),
        color[1] * brightness * (_AMBIENT_G + _SUN_G * sunlight),
        color[2] * brightness * (_AMBIENT_B + _SUN_B * sunlight),
    )


@njit(fastmath=True, cache=True, inline="always")
def lake_road(cross, along, sunlight, pixel_m, stretch_m, surface, line_visibility):
    """Return the lake road's colour, and whether there is road at all."""
    textures, offsets = surface.textures, surface.offsets
    beside = abs(cross)
    level = level_of(math.sqrt(pixel_m * stretch_m) * 32.0)
    on_bridge = surface.bridge_start < along < surface.bridge_end
    if on_bridge and beside < 5.6:
        stones = texel(textures[COBBLE], offsets, cross * 64.0, along * 64.0, level + 1)
        return lit((196.0, 168.0, 150.0), 1.0 + 0.11 * stones, sunlight), True
    if beside >= 6.4:
        return (0.0, 0.0, 0.0), False
    metre = min(max(int(along), 0), surface.kinds.shape[1] - 1)
    side = 1 if cross > 0 else 0
    kind = surface.kinds[side, metre]
    fine = _asphalt(cross, along, pixel_m, stretch_m, surface)
    broad = texel(textures[GRAIN], offsets, cross * 9.0, along * 4.0, level - 2)
    gloss = 1.0 + 0.22 * min(stretch_m / 1.2, 1.0)  # looked at along the road, asphalt is lighter
    color = lit((128.0, 127.0, 118.0), (1.0 + 0.24 * fine + 0.05 * broad) * gloss, sunlight)
    if kind == DIRT and beside > 3.9:
        return lit((200.0, 148.0, 96.0), 1.0 + 0.07 * fine + 0.06 * broad, sunlight), True
    if beside > 3.0:
        line = covered(beside, 3.34, 3.46, pixel_m) * line_visibility
        color = mixed(color, lit((196.0, 178.0, 84.0), 1.0 + 0.06 * fine, sunlight), line)
        tar = covered(beside, 3.52, 3.78, pixel_m) * line_visibility
        color = mixed(color, lit((76.0, 73.0, 62.0), 1.0 + 0.10 * fine, sunlight), tar)
    if kind == KERB:
        color = mixed(color, _kerb(along, sunlight, stretch_m), covered(beside, 3.78, 4.72, pixel_m))
    else:
        second = covered(beside, 3.80, 3.90, pixel_m) * line_visibility * 0.6
        color = mixed(color, lit((196.0, 184.0, 96.0), 1.0, sunlight), second)
    if beside < 4.5:
        return color, True
    border = covered(beside, 4.65 if kind != KERB else 4.72, 6.4, pixel_m)
    light = surface.border_light[side, metre] * min(sunlight, 1.0)
    return mixed(color, lit((206.0, 199.0, 182.0), 1.0 + 0.035 * broad, light), border), True


@njit(fastmath=True, cache=True)
def _kerb(along, sunlight, stretch_m):
    """Return the red and white of a kerb; one mean colour where a pixel spans several stripes."""
    phase = along / (2 * _KERB_STRIPE_M)
    red = 1.0 if phase - math.floor(phase) < 0.5 else 0.0
    blur = min(max(stretch_m / _KERB_STRIPE_M - 0.7, 0.0), 1.0)
    return lit(mixed((232.0, 222.0, 214.0), (224.0, 106.0, 100.0), red + (0.5 - red) * blur), 1.0, sunlight)


@njit(fastmath=True, cache=True, inline="always")
def mountain_road(cross, along, sunlight, pixel_m, stretch_m, surface, line_visibility):
    """Return the mountain road's colour, and whether there is road at all."""
    beside = abs(cross)
    if beside >= 4.8 + pixel_m:
        return (0.0, 0.0, 0.0), False
    textures, offsets = surface.textures, surface.offsets
    level = level_of(math.sqrt(pixel_m * stretch_m) * 32.0)
    fine = _asphalt(cross, along, pixel_m, stretch_m, surface)
    broad = texel(textures[GRAIN], offsets, cross * 9.0, along * 3.0, level - 2)
    color = lit((112.0, 110.0, 106.0), 1.0 + 0.13 * fine + 0.06 * broad, sunlight)
    paint = lit((214.0, 212.0, 202.0), 1.0 + 0.08 * fine, sunlight)
    color = mixed(color, paint, covered(beside, 4.20, 4.36, pixel_m) * line_visibility)
    if along - 6.0 * math.floor(along / 6.0) < 3.0 and beside < 0.3:
        color = mixed(color, paint, covered(beside, -0.11, 0.11, pixel_m) * line_visibility)
    return color, True


@njit(fastmath=True, cache=True, inline="always")
def road_color(cross, along, sunlight, pixel_m, stretch_m, surface, line_visibility):
    """Return the road's colour by the track's style, and whether there is road at all."""
    if surface.style == MOUNTAIN_STYLE:
        return mountain_road(cross, along, sunlight, pixel_m, stretch_m, surface, line_visibility)
    return lake_road(cross, along, sunlight, pixel_m, stretch_m, surface, line_visibility)


@njit(fastmath=True, cache=True)
def seen_through(color, depth_m, air):
    """Return a colour as it looks from `depth_m` away, through the fog."""
    if depth_m <= air.fog_from:
        return color
    return mixed(color, (158.0, 182.0, 210.0), min((depth_m - air.fog_from) / air.fog_over, 1.0))


@njit(fastmath=True, cache=True, inline="always")
def put(picture, row, column, color, brightness):
    """Write a colour into a picture."""
    for channel in range(3):
        picture[row, column, channel] = int(min(max(color[channel] * brightness, 0.0), 255.0))
