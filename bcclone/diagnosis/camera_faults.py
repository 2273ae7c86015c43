"""Judge the cameras: where they look and drive to, and whether their frames are exchanged.

Each judge takes the evidence of a recording, and yields a `Finding` for each fault that is certain.
"""

import math
from collections.abc import Iterator

import numpy as np

from bcclone.camera.geometry import FOCAL_PX, VANISHING_ROW
from bcclone.camera.images import FRAME_WIDTH
from bcclone.diagnosis.drive_rows import LEAST_MPH, DriveRows
from bcclone.diagnosis.evidence import Evidence, Finding, Judge
from bcclone.diagnosis.heading import BACKWARDS, is_trusted
from bcclone.diagnosis.motion import Shift
from bcclone.recording.edits import delete_numbers
from bcclone.system.arrays import BoolArray, IndexArray, runs


def driven_backwards(evidence: Evidence) -> Iterator[Finding]:
    """Yield a fault for the rows in which the car drives backwards, such as to turn round.

    Then it turns to the other side than when it is steered so and drives forwards. Between two
    moments in which it stands it cannot change its direction, and is judged as a whole. The
    pictures shrink, and in Udacity's simulator, the brake drives the car: it is pressed, and the
    speed does not fall. A drive that is backwards as a whole is a fault of camera_pose().
    """
    most_growing = 0.5  # share of the pictures that may grow, where the brake drives the car
    rows = evidence.rows
    backwards = np.zeros(len(rows), np.bool_)
    shares = []
    brake_drives = False
    for part in _parts_of_one_direction(evidence):
        steps = part[:-1][rows.follows[part[:-1]]]
        if rows.speed_mph is not None:
            steps = steps[rows.speed_mph[steps] > LEAST_MPH]
        share = evidence.pairs.growing_share(steps)
        is_driven_by_brake = _is_driven_by_brake(rows, steps)
        if share is not None and share < (most_growing if is_driven_by_brake else BACKWARDS):
            backwards[part] = True
            brake_drives |= is_driven_by_brake
            shares.append(1 - share)
    if not backwards.any() or (evidence.drives_backwards and not brake_drives):
        return
    text = f"the car drives backwards: {np.mean(shares):.0%} of the pictures shrink"
    if brake_drives:
        text += ", and the brake is pressed although the speed does not fall"
    spans = rows.spans(backwards)
    yield Finding(
        "backwards",
        text,
        rows=spans,
        value=1 - float(np.mean(shares)),
        unit="share of the rows",
        edits=(delete_numbers(spans),),
    )


def _parts_of_one_direction(evidence: Evidence) -> Iterator[IndexArray]:
    """Yield the rows between two moments in which the car stands, (rows,) each.

    Without speeds, these moments are unknown: then yield, in short pieces, the stretches that are
    steered unlike the rest of the drive.
    """
    piece_seconds = 1.0
    rows = evidence.rows
    if rows.speed_mph is None:
        stretches = evidence.segmentation.stretches if evidence.segmentation else ()
        for stretch in stretches:
            part = np.arange(stretch.first, stretch.last + 1)
            pieces = len(part) / rows.window(piece_seconds)
            yield from np.array_split(part, max(1, int(pieces)))
        return
    slow = runs(np.flatnonzero(rows.speed_mph <= LEAST_MPH))
    slowest = [first + int(np.argmin(rows.speed_mph[first : last + 1])) for first, last in slow]
    pauses = (np.flatnonzero(~rows.follows) + 1).tolist()
    yield from np.split(np.arange(len(rows)), sorted({*slowest, *pauses}))


def _is_driven_by_brake(rows: DriveRows, steps: IndexArray) -> bool:
    """Return whether the car loses no speed in most steps in which the brake is pressed."""
    fewest_steps = 5
    if rows.speed_mph is None:
        return False
    braked = steps[rows.table["brake"].to_numpy()[steps] > 0]
    gained = rows.speed_mph[braked + 1] - rows.speed_mph[braked]
    return len(braked) >= fewest_steps and bool(np.mean(gained >= 0) > 0.5)


def camera_pose(evidence: Evidence) -> Iterator[Finding]:
    """Yield faults of the camera's pose, by how the pictures move."""
    max_roll = 3.5  # degrees
    if evidence.is_upside_down:
        yield Finding(
            "upside-down",
            "the frames are upside down: what is near, the ground, is in the upper part of them",
            value=180.0,
            unit="degrees",
            advice="turn the frames by 180 degrees (a film: ffmpeg -i FILM -vf hflip,vflip "
            "TURNED.mp4; donkeycar: IMAGE_ROTATION, or flip both axes), and import them again",
        )
        return
    if evidence.drives_backwards:
        growing_share = evidence.growing_share
        yield Finding(
            "backwards",
            f"the pictures grow in {growing_share:.0%} of the rows, as if the car drove backwards, "
            "expected most",
            value=growing_share,
            unit="share of the rows",
            advice="leave out what was driven backwards; or the pictures are in the opposite "
            "order: number them the other way",
        )
    degrees, error = evidence.turns.roll_degrees() or (0.0, 0.0)
    if abs(degrees) > max_roll + 1.5 * error:
        side = "right" if degrees > 0 else "left"
        text = f"the camera leans to the {side} by {abs(degrees):.0f} degrees"
        yield _of_mount("rolled", text, degrees, error, "degrees to the right")


def direction(evidence: Evidence) -> Iterator[Finding]:
    """Yield faults of where the camera looks, if that is surely known."""
    heading = evidence.heading
    if heading is None or evidence.is_upside_down or not is_trusted(heading):
        return
    # columns from the middle of the frame to where the car drives, and rows from the simulator's
    # vanishing point; a camera that looks to the right sees on the left where the car drives
    max_right_px = 19.0
    max_down_px = 9.0
    note = ", if it has the simulator's lens"
    if evidence.has_three_cameras:
        max_right_px = 12.0
        note = ""
    right_px = (FRAME_WIDTH - 1) / 2 - heading.column
    if abs(right_px) > max_right_px + 3 * heading.column_error:
        degrees, error = _degrees(right_px, heading.column_error)
        side = "right" if right_px > 0 else "left"
        text = f"the camera looks {abs(degrees):.0f} degrees to the {side} of where the car drives"
        yield _of_mount("turned", text, degrees, error, "degrees to the right", note)
    down_px = VANISHING_ROW - heading.row
    is_tilted = abs(down_px) > max_down_px + 2 * heading.row_error
    if is_tilted and evidence.has_three_cameras:  # other cars' cameras are mounted in many ways
        degrees, error = _degrees(down_px, heading.row_error)
        way = "down" if down_px > 0 else "up"
        text = f"the camera looks {abs(degrees):.0f} degrees farther {way} than the simulator's"
        yield _of_mount("tilted", text, degrees, error, "degrees down")


def _degrees(pixels: float, error_px: float) -> tuple[float, float]:
    """Return a distance from the middle of the frame as an angle, and its standard error."""
    return math.degrees(math.atan2(pixels, FOCAL_PX)), math.degrees(error_px / FOCAL_PX)


def _of_mount(
    fault: str, text: str, degrees: float, error: float, unit: str, note: str = ""
) -> Finding:
    """Return the fault of a camera that is mounted at a wrong angle."""
    return Finding(
        fault,
        f"{text} (standard error {error:.1f}{note})",
        value=degrees,
        uncertainty=error,
        unit=unit,
        usable=True,
        advice="mount the camera again, and record again; or turn the frames back by this angle "
        "before you import them",
    )


def exchanged_cameras(evidence: Evidence) -> Iterator[Finding]:
    """Yield a fault if frames have the name of another camera.

    In the frame of a camera farther left, the ground is farther right.
    """
    sides = evidence.figures.sides
    fewest_rows = 20  # of `sides`
    nearby = 12  # neighbours among `sides` that are looked at together
    max_opposite = 0.5  # greatest share of them in which the ground may be on the wrong side
    if len(sides) < fewest_rows:
        return
    left = np.array([_side(shift) for shift, _ in sides.values()]) < 0
    right = np.array([_side(shift) for _, shift in sides.values()]) > 0
    # if the centre camera is exchanged with a side camera, frames from cameras 1.6 m apart are
    # compared, whose shift is mostly noise; so most of the rows nearby must be opposite
    share_nearby = np.convolve(left | right, np.ones(nearby) / nearby, "same")
    exchanged = share_nearby > max_opposite
    if not exchanged.any():
        return
    first, second = _exchanged_pair(left & exchanged, right & exchanged)
    measured = evidence.rows.numbers[list(sides)]
    # only every Nth row is measured, so spans that are less than ten of these apart become one
    gap = 10 * int(np.ceil(np.median(np.diff(measured))))
    yield Finding(
        "exchanged-cameras",
        f"the frames of the {first} and of the {second} camera are exchanged in "
        f"{exchanged.mean():.0%} of the rows",
        rows=tuple(runs(measured[exchanged], gap)),
        value=float(exchanged.mean()),
        unit="share of the rows",
        advice="rename the frames, or exchange their columns in the log, in these rows",
    )


def _exchanged_pair(left: BoolArray, right: BoolArray) -> tuple[str, str]:
    """Return which two cameras are exchanged.

    left, right: where the camera's ground is on the wrong side, (sides,) each
    """
    both = (left & right).sum()
    left_alone = (left & ~right).sum()
    right_alone = (right & ~left).sum()
    if both >= max(left_alone, right_alone):
        return "left", "right"
    return "center", "left" if left_alone > right_alone else "right"


def _side(shift: Shift) -> int:
    """Return 1 if the ground is clearly moved to the right, -1 to the left, 0 if neither."""
    least_match = 0.12
    least_apart_px = 6.0
    most_apart_px = 40.0
    apart_px = abs(shift.right)
    if shift.match > least_match and least_apart_px < apart_px < most_apart_px:
        return int(np.sign(shift.right))
    return 0


JUDGES: tuple[Judge, ...] = (exchanged_cameras, driven_backwards, direction, camera_pose)
