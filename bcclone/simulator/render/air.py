"""Prepare light and weather for the compiled code: conditions -> Air."""

import math
from functools import cache
from typing import NamedTuple

import numpy as np

from bcclone.simulator.world_settings import Conditions
from bcclone.system.exact_math import cosine, exponentials
from bcclone.system.numbers import Float32Array


class Air(NamedTuple):
    """Light and weather."""

    daylight: float  # brightness of what daylight lights; 1 is normal
    headlights: float  # brightness that the headlights add close to the car, 0 by day
    wet: float  # how wet the road is, 0 to 1
    snow: float  # how much snow lies, 0 to 1
    fog_from_m: float  # depth at which fog begins
    fog_over_m: float  # from there, the depth over which fog grows until nothing else is seen
    line_visibility: float  # 0 where the lines on the road are painted over, else up to 1
    road_visibility: float  # 0 where the whole road is painted over, else up to 1
    # RGB from the horizon to the zenith, in equal steps of the sine of the elevation, (steps, 3)
    sky: Float32Array


# The Unity program's fog grows linearly, from 100 m to 600 m: docs/explanation/simulator.md
_FOG_FROM_M = 100.0
_FOG_OVER_M = 500.0
_RAIN_FOG = 1.5  # density of fog that full rain adds; fog has a density of 1 by default
_SNOW_FOG = 3.0  # density of fog that full snow adds
_RAIN_DARK = 0.3  # fraction of the light that full rain takes
_SNOW_DARK = 0.1  # fraction of the light that full snow takes
_MOONLIGHT = 0.06  # fraction of the daylight that a full night leaves
_HEADLIGHTS = 0.9  # brightness that the headlights add close to the car in a full night


def air_of(conditions: Conditions, seconds: float = 0.0) -> Air:
    """Return light and weather under the conditions.

    seconds: time since the drive began, which sets the light in a cycle of day and night
    """
    fog = conditions.fog + _RAIN_FOG * conditions.rain + _SNOW_FOG * conditions.snow
    thickness = max(fog, 1e-6)  # not 0, since distances are divided by it
    overcast = max(_RAIN_DARK * conditions.rain, _SNOW_DARK * conditions.snow)
    night = conditions.night
    if conditions.night_cycle:
        # day at the start, full night after half of the cycle
        night = (1 - cosine(2 * math.pi * seconds / conditions.night_cycle)) / 2
    return Air(
        daylight=conditions.light * (1 - overcast) * (1 - (1 - _MOONLIGHT) * night),
        headlights=_HEADLIGHTS * night,
        wet=float(conditions.rain),
        snow=float(conditions.snow),
        fog_from_m=_FOG_FROM_M / thickness,
        fog_over_m=_FOG_OVER_M / thickness,
        line_visibility=float(conditions.line_visibility),
        road_visibility=float(conditions.road_visibility),
        sky=_sky_colors(overcast),
    )


# RGB by day
_ZENITH = (88.0, 116.0, 166.0)
_HORIZON = (206.0, 220.0, 238.0)
_CLOUDS = (168.0, 176.0, 188.0)
_SKY_STEPS = 2048  # colours from the horizon to the zenith


@cache
def _sky_colors(overcast: float) -> Float32Array:
    """Return the sky's colours from the horizon to the zenith, as in Air, float32 (steps, 3).

    overcast: fraction of the light that clouds take: 0 for a blue sky, a third or more for a grey
        one
    """
    # the fraction of the horizon's colour falls towards the zenith
    haze = exponentials(np.linspace(0, -5.5, _SKY_STEPS, dtype=np.float32))[:, None]
    clouds = min(overcast * 3, 1.0)
    zenith = np.array(_ZENITH) + (np.array(_CLOUDS) - np.array(_ZENITH)) * clouds
    return np.asarray(zenith * (1 - haze) + np.array(_HORIZON) * haze, np.float32)
