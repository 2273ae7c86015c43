"""List the road's shoulders metre by metre: kerbs, dirt, and the light on the concrete border."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bcclone.simulator.scene.roadmap import Floats
from bcclone.simulator.track import LAKE, Track

PLAIN, KERB, DIRT = 0, 1, 2
# Start and end along the lake's track, in metres: read by eye from recordings, docs/explanation/simulator.md.
_KERBS_LEFT = ((0, 30), (451, 526), (810, 875), (952, 1007), (1083, 1139))
_KERBS_RIGHT = ((0, 30), (451, 526), (811, 832), (851, 875), (950, 1007), (1083, 1139))
_DIRT_RIGHT = ((52, 91), (832, 850))
_BORDER_SLOPE = 0.45  # of the concrete border that rises beside the road; an estimate
_MOST = 1.6


@dataclass(frozen=True)
class Shoulders:
    """kinds, int64 (2, metres): PLAIN, KERB or DIRT, left and right; border_light, float32 (2, metres)."""

    kinds: npt.NDArray[np.int64]
    border_light: Floats


def make_shoulders(track: Track, sun: npt.NDArray[np.float64]) -> Shoulders:
    """Return the shoulders of a track. sun: unit vector towards it, (3,)."""
    metres = int(track.length_m) + 1
    kinds = np.zeros((2, metres), np.int64)
    if track.road.name == LAKE.name:
        for side, kind, stretches in ((0, KERB, _KERBS_LEFT), (1, KERB, _KERBS_RIGHT), (1, DIRT, _DIRT_RIGHT)):
            for start, end in stretches:
                kinds[side, start : end + 1] = kind
    heading = track.heading[[track.index(metre) for metre in range(metres)]]
    right = np.stack([np.cos(heading), np.zeros(metres), -np.sin(heading)])
    border = []
    for side in (-1, 1):  # the border slopes towards the road
        facing = (sun[1] - side * _BORDER_SLOPE * (sun @ right)) / np.hypot(1, _BORDER_SLOPE)
        border.append(np.clip(facing / sun[1], 0, _MOST))
    return Shoulders(kinds, np.array(border, np.float32))
