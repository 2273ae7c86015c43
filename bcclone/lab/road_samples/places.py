"""Draw places for the car on a road, and compute the steering that brings it back to the middle."""

import math
from dataclasses import dataclass

import numpy as np

from bcclone.dataset.labels import PATH_ENDS_M
from bcclone.dataset.vehicle import MPH, steering_of
from bcclone.simulator.car import Car
from bcclone.simulator.track import Track
from bcclone.system.exact_math import arctangent, cosine, sine

SPEED_MPH = 20.0  # that the samples state; a frame does not show it
# stretch of the road ahead whose mean curvature is followed, and how many times: bends are cut a little, as people do,
# and a network sees sharp ones less sharp than they are
_BEND_TO_M, _BEND_STEP_M, _BEND_GAIN = 6.0, 0.5, 1.15
# curvature for each radian to the right of the road, and for each metre to the right of its middle
_BY_TURN, _BY_OFFSET = -0.25, -0.0139
_IN_THE_MIDDLE = 0.45  # fraction of the places
_NEAR_M, _NEAR_DEGREES, _FAR_DEGREES = 0.4, 3.0, 7.0  # standard deviations
_BEYOND_M = 0.3  # of the limit, at which a wheel leaves the asphalt
_NOSE_UP, _NOSE_DEGREES = 0.6, 0.8  # mean and standard deviation of what throttle and brake do


@dataclass(frozen=True)
class Place:
    """A place on a road: metres along it and to the right of its middle, radians to the right of its direction, and
    how far the nose is up beyond the road's rise, in radians."""

    along_m: float
    offset_m: float
    turn: float
    nose_up: float


def draw_place(track: Track, random: np.random.Generator) -> Place:
    """Return a place anywhere on a road, half of the time near its middle."""
    along_m = track.start_m + track.lap_m * random.random()
    limit_m = float(track.widths_m[track.index(along_m)]) / 2 + _BEYOND_M - 1.0
    near = random.random() < _IN_THE_MIDDLE
    offset_m = random.normal(0.0, _NEAR_M) if near else random.uniform(-limit_m, limit_m)
    turn = random.normal(0.0, _NEAR_DEGREES if near else _FAR_DEGREES)
    nose_up = random.normal(_NOSE_UP, _NOSE_DEGREES)
    return Place(along_m, offset_m, math.radians(turn), math.radians(nose_up))


def car_at(track: Track, place: Place) -> Car:
    """Return the car at a place."""
    x, y, z, heading = track.point(place.along_m, place.offset_m)
    rise = float(track.grade[track.index(place.along_m)]) * cosine(place.turn)
    return Car(x, y, z, heading + place.turn, SPEED_MPH * MPH, pitch=arctangent(rise) + place.nose_up)


def steering_at(track: Track, place: Place) -> float:
    """Return the steering, -1 to 1: along the bend ahead, and back to the middle.

    It turns firmly along the road and gently towards its middle: people steer so, too, though not in the middle.
    """
    bend = _mean_curvature(track, place.along_m, 0.0, _BEND_TO_M)
    return float(steering_of(_BEND_GAIN * bend + _BY_TURN * sine(place.turn) + _BY_OFFSET * place.offset_m))


def path_at(track: Track, place: Place) -> list[float]:
    """Return where the road leads, in the order of labels.PATH_COLUMNS.

    These are the steering along the road over each stretch ahead, the car's offset in metres and its turn in radians.
    """
    starts = (0.0, *PATH_ENDS_M[:-1])
    bends = [_mean_curvature(track, place.along_m, *stretch) for stretch in zip(starts, PATH_ENDS_M, strict=True)]
    return [*(float(steering_of(bend)) for bend in bends), place.offset_m, place.turn]


def _mean_curvature(track: Track, along_m: float, start_m: float, end_m: float) -> float:
    """Return the mean curvature of the road between two distances ahead, in 1/m, positive to the right."""
    ahead = np.arange(start_m, end_m + _BEND_STEP_M / 2, _BEND_STEP_M)
    return float(np.mean([track.curvature[track.index(along_m + metres)] for metres in ahead.tolist()]))
