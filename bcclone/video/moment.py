"""What an overlay shows of one frame."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Moment:
    """One frame's facts; None where they are not known.

    seconds: of driving since the first frame; steering, model_steering: -1 (left) to 1 (right), of who drove and of
    the model that is asked; cross_track_m: to the right of the centre line; place: number of the frame, which tells
    the map how far the driven line has come; mask: which pixels decided, float32 (height, width), 0 to 1.
    """

    seconds: float
    place: int = 0
    steering: float | None = None
    model_steering: float | None = None
    speed_mph: float | None = None
    latency_ms: float | None = None
    cross_track_m: float | None = None
    mask: Mask | None = None
    ended: bool = False
