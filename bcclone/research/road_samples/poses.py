"""Choose how the simulator's cars stand on a road: random numbers -> poses, and the steering that
each of them calls for.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bcclone.camera.vehicle import steering_of
from bcclone.research.road_samples.drawn_road import BEND_GAIN, chance
from bcclone.simulator.track import Track
from bcclone.system.exact_math import sine
from bcclone.system.numbers import Random


class Pose(NamedTuple):
    """How a car stands on a road; the fields are in the order of start_on()."""

    offset_m: float  # to the right of the road's middle
    along_m: float
    turn: float  # radians to the right of the road
    rise: float  # radians by which the car's nose is up


@dataclass(frozen=True)
class PoseChoice:
    """Where cars stand on a road, and how they are turned."""

    near_share: float = 0.45  # share of cars near the middle of the road
    near_m: float = 0.4  # standard deviation of their offset
    near_degrees: float = 3.0  # standard deviation of their turn
    far_degrees: float = 7.0  # standard deviation of the turn of the other cars
    beyond_m: float = 0.3  # how far a wheel of the other cars may be off the asphalt
    half_car_m: float = 1.0  # from the car's middle to the outside of its wheels
    rise_degrees: float = 0.6  # mean of how far the throttle raises the nose; a brake lowers it
    rise_deviation: float = 0.8  # standard deviation of the rise, in degrees


_CHOICE = PoseChoice()


def draw_pose(track: Track, random: Random) -> Pose:
    """Return the pose of a car anywhere on a road, nearly half of them near its middle."""
    along_m = track.start_m + track.lap_m * random.random()
    return draw_pose_at(along_m, float(track.widths_m[track.index(along_m)]), random)


def draw_pose_at(along_m: float, width_m: float, random: Random) -> Pose:
    """Return the pose of a car at a place of a road. width_m: of the road there"""
    limit_m = width_m / 2 + _CHOICE.beyond_m - _CHOICE.half_car_m
    if chance(random, _CHOICE.near_share):
        offset_m = random.normal(0.0, _CHOICE.near_m)
        turn = random.normal(0.0, _CHOICE.near_degrees)
    else:
        offset_m = random.uniform(-limit_m, limit_m)
        turn = random.normal(0.0, _CHOICE.far_degrees)
    rise = random.normal(_CHOICE.rise_degrees, _CHOICE.rise_deviation)
    return Pose(offset_m, along_m, math.radians(turn), math.radians(rise))


@dataclass(frozen=True)
class Teacher:
    """How the steering of a frame follows from the pose of its car."""

    bend_m: float = 6.0  # the steering follows the mean curvature of this length of road ahead
    # curvature, 1/m, for each unit of the sine of the turn, which is positive to the right
    by_turn: float = -0.25
    by_offset: float = -0.0139  # curvature, 1/m, for each metre to the right of the road's middle


TEACHER = Teacher()


def steering_at(track: Track, pose: Pose) -> float:
    """Return the steering, -1 to 1, that a pose on a track calls for."""
    return steering_in(mean_curvature(track, pose.along_m, 0.0, TEACHER.bend_m), pose)


def steering_in(bend: float, pose: Pose) -> float:
    """Return the steering, -1 to 1: along the bend ahead, and back to the middle.

    The steering turns a car firmly into the road's direction and gently towards the middle, as
    people do when they are off the middle.

    bend: mean curvature of TEACHER.bend_m of road ahead, in 1/m, positive to the right
    """
    curvature = BEND_GAIN * bend
    curvature += TEACHER.by_turn * sine(pose.turn)
    curvature += TEACHER.by_offset * pose.offset_m
    return float(steering_of(curvature))


_CURVATURE_STEP_M = 0.5  # distance between the places whose curvatures are averaged


def mean_curvature(track: Track, along_m: float, start_m: float, end_m: float) -> float:
    """Return the mean curvature of the road between two distances ahead.

    In 1/m, positive to the right.
    """
    ahead_m = np.arange(start_m, end_m + _CURVATURE_STEP_M / 2, _CURVATURE_STEP_M)
    places = [track.index(along_m + metres) for metres in ahead_m.tolist()]
    return float(np.mean([track.curvature[place] for place in places]))
