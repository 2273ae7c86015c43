"""Render frames along many random roads, and write them with the steering of an expert as a store.

    from bcclone import road_samples

    road_samples.make_road_samples(road_samples.RoadSamplesSettings(output="roads.h5", roads=300))

Every frame is seen from another place: the car stands anywhere on its road, off its line and turned at random, and the
steering is the one that brings it back. So a network sees more in a thousand of these frames than in a thousand
consecutive ones of a drive.
"""

from typing import TYPE_CHECKING

from bcclone.lazy import lazy_attributes
from bcclone.road_samples.settings import RoadSamplesSettings

if TYPE_CHECKING:
    from bcclone.road_samples.writing import RoadSamplesResult, make_road_samples

__all__ = ["RoadSamplesResult", "RoadSamplesSettings", "make_road_samples"]

__getattr__ = lazy_attributes(__name__, dict.fromkeys(("RoadSamplesResult", "make_road_samples"), "writing"))
