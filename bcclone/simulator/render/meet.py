"""Find where a ray meets the ground or the water: a ray -> depth, height and slope there; compiled.

The search also gets the hit of the ray below, and begins near it. The depth is negative if the ray
meets nothing.

Frame of reference: the world, x to the east, y up, z to the north, in metres. A depth is a distance
along the camera's axis; a ray's direction has length 1 along that axis, so its position at a depth
is origin + direction * depth.
"""

import math
from typing import Any, NamedTuple

from bcclone.simulator.render.fields import blend, cell_at
from bcclone.simulator.render.surface import drawing
from bcclone.simulator.scene.roadmap import BLOCK_M

NEAR_M = 0.8  # depth at which the lowest ray of a column starts
_FAR_M = 640.0  # depth at which rays end; what is farther is sky


class Ray(NamedTuple):
    """A pixel's line of sight: its origin, and its direction."""

    x: float
    y: float
    z: float
    dx: float
    dy: float
    dz: float


class Hit(NamedTuple):
    """Where a ray meets the ground or the water."""

    depth: float  # -1 for nowhere: the ray goes into the sky
    level: float  # height of the ground or the water there, in metres
    slope: float  # rise for each metre of depth, from the hit of the pixel below to this one


# a ray starts at this fraction of the depth of the hit below: a little nearer than that hit, since
# the columns of a rolled camera lean
_BACK = 0.975
_AHEAD = 1.25  # up to this multiple of the last depth, the ground is assumed to keep its slope
_STEEPEST = 2.0  # steepest slope that is assumed to continue
# a ray has met the ground when its height above or below the ground is less than one of these
_CLOSE_M = 0.004
_CLOSE = 0.002  # as a fraction of the depth


@drawing(inline="always")
def meet(surface: Any, ray: Ray, last: Hit) -> Hit:
    """Return where a ray meets the ground. last: where the ray of the pixel below met it."""
    # guess that the ground keeps the slope of the last hit, as it mostly does: `guess` is the depth
    # at which the ray then meets it, 0 for no guess; `gap` is the ray's height above the real
    # ground there
    guess = 0.0
    gap = 0.0
    if ray.dy < last.slope:
        guess = (last.level - last.slope * last.depth - ray.y) / (ray.dy - last.slope)
        if last.depth < guess < last.depth * _AHEAD:
            gap = _above(surface, ray, guess)
        else:
            guess = 0.0

    # a good guess is the hit; else the ray is followed from a little before the last hit
    if guess > 0.0 and abs(gap) < max(_CLOSE_M, _CLOSE * guess):
        depth = guess
    else:
        depth = _march(surface, ray, max(last.depth * _BACK, NEAR_M), guess, gap)
        gap = 0.0

    level = ray.y + ray.dy * depth - gap
    slope = 0.0
    if depth > last.depth:
        slope = min(max((level - last.level) / (depth - last.depth), -_STEEPEST), _STEEPEST)
    return Hit(depth, level, slope)


@drawing(inline="always")
def _above(surface: Any, ray: Ray, depth: float) -> float:
    """Return the height of a ray above the ground or the water at a depth; negative below it."""
    cell = cell_at(surface, ray.x + ray.dx * depth, ray.z + ray.dz * depth)
    ground = blend(surface.heights_m, cell)
    return ray.y + ray.dy * depth - max(ground, surface.water_m)


_ROUNDS = 3  # largest number of rounds of regula falsi


@drawing(inline="always")
def _march(surface: Any, ray: Ray, start: float, guess: float, gap_at_guess: float) -> float:
    """Return the depth at which a ray meets the ground, negative if it does not.

    start: the depth to begin at, normally before the ground
    guess: a farther depth, 0 for none
    gap_at_guess: height of the ray above the ground at the guess; negative below the ground
    """
    # the ray is above the ground at the depth `above` and below it at the depth `below`, so it
    # meets the ground between them; `below` is -1 while no such depth is known
    above = start
    gap_above = 0.0
    below = -1.0
    gap_below = 0.0
    rounds = 0

    depth = start
    if guess > 0.0 and gap_at_guess > 0.0:
        depth = guess
    while depth < _FAR_M:
        gap = gap_at_guess if depth == guess else _above(surface, ray, depth)
        if gap > 0.0:
            above = depth
            gap_above = gap
        else:
            below = depth
            gap_below = gap

        # done: the start is below the ground already, or the ray is near enough to the ground, or
        # there were enough rounds
        if below == start or (
            below > 0.0 and (rounds == _ROUNDS or abs(gap) < max(_CLOSE_M, _CLOSE * depth))
        ):
            return depth

        # at the guess the ray is below the ground, so it meets the ground before the guess
        if below < 0.0 and guess > depth:
            below = guess
            gap_below = gap_at_guess

        if below > 0.0:
            # regula falsi: the depth at which a straight line between the two gaps is 0
            rounds += 1
            depth = above + (below - above) * gap_above / (gap_above - gap_below)
        else:
            depth += _step(surface, ray, depth, gap)
            # a rising ray above all ground meets nothing
            if ray.dy > 0.0 and ray.y + ray.dy * depth > surface.top_m:
                return -1.0
    return -1.0


_HIGH_M = 3.0  # rays higher than this above the ground look for blocks to pass over


@drawing(inline="always")
def _step(surface: Any, ray: Ray, depth: float, gap: float) -> float:
    """Return by how much to increase the depth. gap: height of the ray above the ground."""
    # a step short enough not to jump over a crest
    to_ground = 0.03 + 0.008 * depth + gap * 0.6 / max(0.6 - ray.dy, 0.3)
    step = min(to_ground, 0.5 + 0.02 * depth)
    if gap > _HIGH_M:
        step = max(step, _leap(surface, ray, depth))
    return step


@drawing(inline="always")
def _leap(surface: Any, ray: Ray, depth: float) -> float:
    """Return how much depth a ray can skip without meeting the ground, 0 if it might meet it.

    The ray can skip the length of a block if it stays higher than everything in its present block
    and in the neighbours of this block.
    """
    # the last row and column of blocks
    side = surface.tops_m.shape[0] - 1
    column = min(max(int((ray.x + ray.dx * depth - surface.x) / BLOCK_M), 0), side)
    row = min(max(int((ray.z + ray.dz * depth - surface.z) / BLOCK_M), 0), side)
    leap = BLOCK_M / math.sqrt(ray.dx * ray.dx + ray.dz * ray.dz)
    lowest = ray.y + ray.dy * depth + min(ray.dy * leap, 0.0)
    if lowest > surface.tops_m[row, column]:
        return leap
    return 0.0
