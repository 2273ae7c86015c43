"""Prepare light and weather for the compiled code: conditions -> Air."""

import math
from functools import cache
from typing import NamedTuple

import numpy as np

from bcclone.simulator.world_settings import Conditions
from bcclone.system.arrays import Float32Array
from bcclone.system.exact_math import cosine, exponentials


class Air(NamedTuple):
    """Light and weather."""

    daylight: float  # 1 is normal
    headlights: float  # light that they add near the car, 0 by day
    wet: float  # 0 to 1
    snow: float  # 0 to 1
    fog_from_m: float  # depth at which fog begins
    fog_over_m: float  # from there to where nothing else is seen
    line_visibility: float  # 0 to 1
    road_visibility: float  # 0 to 1
    sky: Float32Array  # RGB from the horizon to the zenith, (steps, 3), by the elevation's sine


# The Unity program's fog is linear, from 100 m to 600 m: docs/explanation/simulator.md
_FOG_FROM_M = 100.0
_FOG_OVER_M = 500.0
# What full rain and snow add to the fog's density, which is 1, and take from the light
_RAIN_FOG = 1.5
_SNOW_FOG = 3.0
_RAIN_DARK = 0.3
_SNOW_DARK = 0.1
# Light at night
_MOONLIGHT = 0.06
_HEADLIGHTS = 0.9


def air_of(conditions: Conditions, seconds: float = 0.0) -> Air:
    """Return light and weather under the conditions.

    seconds: since the drive began, for the cycle of day and night
    """
    fog = conditions.fog + _RAIN_FOG * conditions.rain + _SNOW_FOG * conditions.snow
    thickness = max(fog, 1e-6)
    overcast = max(_RAIN_DARK * conditions.rain, _SNOW_DARK * conditions.snow)
    night = conditions.night
    if conditions.night_cycle:
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


_ZENITH = (88.0, 116.0, 166.0)
_HORIZON = (206.0, 220.0, 238.0)
_CLOUDS = (168.0, 176.0, 188.0)
_SKY_STEPS = 2048


@cache
def _sky_colors(overcast: float) -> Float32Array:
    """Return the sky's colours by the sine of the elevation, 0 to 1, float32 (steps, 3).

    overcast: 0 for a blue sky, a third or more for a gray one
    """
    haze = exponentials(np.linspace(0, -5.5, _SKY_STEPS, dtype=np.float32))[:, None]
    clouds = min(overcast * 3, 1.0)
    zenith = np.array(_ZENITH) + (np.array(_CLOUDS) - np.array(_ZENITH)) * clouds
    return np.asarray(zenith * (1 - haze) + np.array(_HORIZON) * haze, np.float32)
