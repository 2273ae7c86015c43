"""Judge the cameras of a recording: where they look, how they lean, and whether they are exchanged."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from bcclone.dataset.diagnosis.finding import Finding
from bcclone.dataset.diagnosis.motion import Heading
from bcclone.dataset.images import FRAME_HEIGHT, FRAME_WIDTH
from bcclone.dataset.view import FOCAL_PX, VANISHING_ROW

_MOST_TURNED_PX, _MOST_TURNED_SIMULATOR_PX = 24.0, 12.0
_MOST_TILTED_PX = 9.0  # of the simulator's camera; those of other cars are mounted in many ways
_LOWEST_ROW = 0.45 * FRAME_HEIGHT
_MOST_ROLL = 6.5
_LEAST_APART_PX = 2.0
_FEWEST_ROWS = 20
_SHARE = 0.15  # of the rows in which the cameras are exchanged
_REMOUNT = "mount the camera again, and record again; or turn the frames back by this angle before you import them"


def camera_pose(
    heading: Heading | None, roll: tuple[float, float] | None, follows_steering: bool, simulator: bool
) -> Iterator[Finding]:
    """Yield what the movement of the world shows of the camera's pose.

    roll: in degrees to the right, and its standard error; follows_steering: the frames turn to the side to which
    the car is steered; simulator: its three cameras are expected.
    """
    if heading and heading.row > _LOWEST_ROW and not follows_steering:
        yield Finding(
            "upside-down",
            "the frames are upside down: the car drives towards the lower half of them, and turns the other way",
            "turn the frames by 180 degrees (donkeycar: IMAGE_ROTATION, or flip both axes), and import them again",
            value=180.0,
            unit="degrees",
        )
        return
    if heading:
        yield from _direction(heading, simulator)
    if roll and abs(roll[0]) > _MOST_ROLL + 2 * roll[1]:
        side = "right" if roll[0] > 0 else "left"
        yield Finding(
            "rolled",
            f"the camera leans to the {side} by {abs(roll[0]):.0f} degrees (standard error {roll[1]:.1f})",
            _REMOUNT,
            value=roll[0],
            uncertainty=roll[1],
            unit="degrees to the right",
        )


def _direction(heading: Heading, simulator: bool) -> Iterator[Finding]:
    right = (FRAME_WIDTH - 1) / 2 - heading.column
    limit = _MOST_TURNED_SIMULATOR_PX if simulator else _MOST_TURNED_PX
    lens = "" if simulator else ", if it has the simulator's lens"
    if abs(right) > limit + 2 * heading.column_error:
        degrees, error = _degrees(right), math.degrees(heading.column_error / FOCAL_PX)
        yield Finding(
            "turned",
            f"the camera looks {abs(degrees):.0f} degrees to the {'right' if right > 0 else 'left'} of where the car "
            f"drives (standard error {error:.1f}{lens})",
            _REMOUNT,
            value=degrees,
            uncertainty=error,
            unit="degrees to the right",
        )
    down = VANISHING_ROW - heading.row
    if simulator and abs(down) > _MOST_TILTED_PX + 2 * heading.row_error:
        degrees, error = _degrees(down), math.degrees(heading.row_error / FOCAL_PX)
        yield Finding(
            "tilted",
            f"the camera looks {abs(degrees):.0f} degrees farther {'down' if down > 0 else 'up'} than the simulator's "
            f"(standard error {error:.1f})",
            _REMOUNT,
            value=degrees,
            uncertainty=error,
            unit="degrees down",
        )


def _degrees(pixels: float) -> float:
    return math.degrees(math.atan2(pixels, FOCAL_PX))


def exchanged_cameras(shifts: Sequence[tuple[int, Mapping[str, float]]]) -> Iterator[Finding]:
    """Yield whether frames stand under the name of another camera.

    shifts: for some rows, the line and, for "left" and "right", by how many pixels the ground is farther right than in
    the centre camera's frame: a camera farther left sees it farther right.
    """
    orders: dict[tuple[str, ...], list[int]] = {}
    for line, side in shifts:
        places = {"center": 0.0, **side}
        order = tuple(sorted(places, key=lambda name: -places[name]))
        gaps = np.abs(np.diff([places[name] for name in order]))
        if len(side) == 2 and np.all(np.isfinite(gaps)) and gaps.min() > _LEAST_APART_PX:
            orders.setdefault(order, []).append(line)
    rows = sum(map(len, orders.values()))
    for order, lines in orders.items():
        if order == ("left", "center", "right") or rows < _FEWEST_ROWS or len(lines) < _SHARE * rows:
            continue
        pairs = [
            f"{name} is the {seen} camera's"
            for name, seen in zip(order, ("left", "center", "right"), strict=True)
            if name != seen
        ]
        yield Finding(
            "exchanged-cameras",
            f"in {len(lines)} of {rows} rows that were looked at the frame named {', the one named '.join(pairs)}",
            "rename the frames, or exchange their columns in the log, in these rows",
            ((min(lines), max(lines)),),
        )
