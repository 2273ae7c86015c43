"""Judge the cameras of a recording: where they look, how they lean, and whether they are exchanged."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from bcclone.dataset.diagnosis.finding import Finding, spans_of
from bcclone.dataset.diagnosis.motion import Heading, Shift
from bcclone.dataset.geometry import FOCAL_PX, VANISHING_ROW
from bcclone.dataset.images import FRAME_HEIGHT, FRAME_WIDTH

_MOST_TURNED_PX, _MOST_TURNED_SIMULATOR_PX = 19.0, 12.0
_MOST_TILTED_PX = 9.0  # of the simulator's camera; those of other cars are mounted in many ways
_LOWEST_ROW, _LEAST_SEEN = 0.55 * FRAME_HEIGHT, 0.05  # of a level camera it is 0.5; share of the movements
_LEAST_AGREEING = 0.12  # of the movements
_MOST_COLUMN_ERROR = 12.0  # pixels
_MOST_ROLL = 6.0
_LEAST_MATCH, _LEAST_APART_PX, _MOST_APART_PX = 0.12, 6.0, 40.0
_FEWEST_ROWS = 20
_NEARBY, _MOST_OPPOSITE = 12, 0.5  # rows that were looked at, and the share of them
_REMOUNT = "mount the camera again, and record again; or turn the frames back by this angle before you import them"


def camera_pose(
    heading: Heading | None, roll: tuple[float, float] | None, follows_steering: bool, three_cameras: bool
) -> Iterator[Finding]:
    """Yield what the movement of the world shows of the camera's pose.

    roll: in degrees to the right, and its standard error; follows_steering: the frames turn to the side to which
    the car is steered; three_cameras: which are expected to look where the simulator's do.
    """
    if heading and heading.row > _LOWEST_ROW and heading.agreeing > _LEAST_SEEN and not follows_steering:
        yield Finding(
            "upside-down",
            "the frames are upside down: the car drives towards the lower half of them",
            "turn the frames by 180 degrees (donkeycar: IMAGE_ROTATION, or flip both axes), and import them again",
            value=180.0,
            unit="degrees",
        )
        return
    if heading and is_trusted(heading):
        yield from _direction(heading, three_cameras)
    if roll and abs(roll[0]) > _MOST_ROLL + 2 * roll[1]:
        side = "right" if roll[0] > 0 else "left"
        text = f"the camera leans to the {side} by {abs(roll[0]):.0f} degrees (standard error {roll[1]:.1f})"
        yield Finding("rolled", text, _REMOUNT, (), *roll, unit="degrees to the right", usable=True)


def is_trusted(heading: Heading) -> bool:
    """Return whether enough movements agree on where the camera looks, and the parts of the recording, too."""
    return heading.agreeing > _LEAST_AGREEING and heading.column_error < _MOST_COLUMN_ERROR


def _direction(heading: Heading, three_cameras: bool) -> Iterator[Finding]:
    right = (FRAME_WIDTH - 1) / 2 - heading.column
    limit = _MOST_TURNED_SIMULATOR_PX if three_cameras else _MOST_TURNED_PX
    lens = "" if three_cameras else ", if it has the simulator's lens"
    if abs(right) > limit + 3 * heading.column_error:
        degrees, error = _degrees(right, heading.column_error)
        text = (
            f"the camera looks {abs(degrees):.0f} degrees to the {'right' if right > 0 else 'left'} of where the car "
            f"drives (standard error {error:.1f}{lens})"
        )
        yield Finding("turned", text, _REMOUNT, (), degrees, error, "degrees to the right", usable=True)
    down = VANISHING_ROW - heading.row
    if three_cameras and abs(down) > _MOST_TILTED_PX + 2 * heading.row_error:
        degrees, error = _degrees(down, heading.row_error)
        text = (
            f"the camera looks {abs(degrees):.0f} degrees farther {'down' if down > 0 else 'up'} than the simulator's "
            f"(standard error {error:.1f})"
        )
        yield Finding("tilted", text, _REMOUNT, (), degrees, error, "degrees down", usable=True)


def _degrees(pixels: float, error: float) -> tuple[float, float]:
    """Return the angle of pixels from the middle, and its standard error."""
    return math.degrees(math.atan2(pixels, FOCAL_PX)), math.degrees(error / FOCAL_PX)


def exchanged_cameras(shifts: Sequence[tuple[int, Mapping[str, Shift]]]) -> Iterator[Finding]:
    """Yield whether frames stand under the name of another camera.

    shifts: for some rows, the number and, for "left" and "right", by how much the ground is moved against the centre
    camera's frame: a camera farther left sees it farther right. Two cameras that are 1.6 m apart see too little in
    common: their shift is noise, so that only where most of the rows nearby are opposite, the cameras are exchanged.
    """
    if len(shifts) < _FEWEST_ROWS:
        return
    numbers = np.array([number for number, _ in shifts])
    left, right = np.array([(_side(side["left"]), -_side(side["right"])) for _, side in shifts]).T < 0  # opposite
    nearby = np.convolve(left | right, np.ones(_NEARBY) / _NEARBY, "same")
    exchanged = nearby > _MOST_OPPOSITE
    if not exchanged.any():
        return
    both, one, other = (int((each & exchanged).sum()) for each in (left & right, left & ~right, right & ~left))
    first, second = ("left", "right") if both >= max(one, other) else ("center", "left" if one > other else "right")
    yield Finding(
        "exchanged-cameras",
        f"the frames of the {first} and of the {second} camera are exchanged in {exchanged.mean():.0%} of the rows",
        "rename the frames, or exchange their columns in the log, in these rows",
        spans_of(numbers[exchanged].tolist(), apart=10 * int(np.ceil(np.median(np.diff(numbers))))),
        float(exchanged.mean()),
        unit="share of the rows",
    )


def _side(shift: Shift) -> int:
    """Return 1 if the ground is clearly farther right, -1 farther left, 0 if that cannot be said."""
    clear = shift.match > _LEAST_MATCH and _LEAST_APART_PX < abs(shift.right) < _MOST_APART_PX
    return int(np.sign(shift.right)) if clear else 0
