"""Judge pictures, rows and cameras, evidence -> findings: dark, frozen and foreign frames, clock
jumps, poses.
"""

import math
from collections.abc import Iterator

import numpy as np

from bcclone.camera.geometry import FOCAL_PX, VANISHING_ROW
from bcclone.camera.images import FRAME_WIDTH
from bcclone.diagnosis.evidence import MISSED_SECONDS, Evidence
from bcclone.diagnosis.findings import Finding, delete_rows
from bcclone.diagnosis.motion import Followed, Heading, Shift
from bcclone.system.arrays import BoolArray, IndexArray
from bcclone.system.errors import number_of
from bcclone.system.statistics import runs

_DARK, _BRIGHT = 14.0, 238.0  # means of 0 to 255
_MAX_WHITE = 0.6
_BLURRED, _LEAST_SHARP = 0.12, 4.0  # of the sharp ones' contrast from pixel to pixel
_MAX_SHARE, _MAX_FROZEN = 0.01, 0.03  # of the rows; a slow camera repeats some
_MAX_DELETED = 10  # spans, by hand
_JUMP_STEPS, _JUMP_SECONDS = 8.0, 1.0
_MAX_PAUSES = 30
_FEWEST_POINTS, _ALIKE, _MOVING = (
    8,
    0.6,
    0.3,
)  # of the usual number of points, and of those that move
_FARTHER = 2.0  # than points move nearby
_CUT_MATCH, _NEARBY_ROWS = (
    0.4,
    10,
)  # a better match goes on; of a picture that goes on after foreign ones
_MAX_TURNED_PX, _MAX_TURNED_SIMULATOR_PX = 19.0, 12.0
_MAX_TILTED_PX = 9.0  # of the simulator's camera; those of other cars are mounted in many ways
_LEAST_AGREEING = 0.12  # of the movements
_MAX_COLUMN_ERROR = 12.0  # pixels
_MAX_ROLL = 3.5
_LEAST_MATCH, _LEAST_APART_PX, _MAX_APART_PX = 0.12, 6.0, 40.0
_FEWEST_ROWS = 20
_NEARBY, _MAX_OPPOSITE = 12, 0.5  # rows that were looked at, and the share of them
_REMOUNT = "mount the camera again, and record again; or turn the frames back by this angle before you import them"


def unusable_pictures(evidence: Evidence) -> Iterator[Finding]:
    """Yield the faults of single pictures. With too few rows, frozen frames are not reported."""
    unreadable, dark, bright, blurred = _unusable(evidence)
    frozen = evidence.figures.frozen & ~evidence.stands & (not evidence.too_few)
    for fault, rows, most, what in (
        ("unreadable", unreadable, 0.0, "cannot be read"),
        ("dark", dark, _MAX_SHARE, "are black, or nearly so"),
        ("over-exposed", bright, _MAX_SHARE, "are white, or nearly so"),
        ("blurred", blurred, _MAX_SHARE, "are blurred"),
        (
            "frozen",
            frozen,
            _MAX_FROZEN,
            "repeat the picture of the row before, although the car moves",
        ),
    ):
        share, spans = float(rows.mean()), evidence.spans(rows)
        if share <= most:
            continue
        remedy = delete_rows(spans)
        if fault == "unreadable":
            remedy = f"copy the missing pictures into the folder IMG next to the log; or: {remedy}"
        elif len(spans) > _MAX_DELETED:
            remedy = "record with a camera that gives each row a new, clear picture"
        text = f"the pictures of {int(rows.sum())} rows ({share:.0%}) {what}"
        yield Finding(fault, text, remedy, spans, share, unit="share of the rows")


def _unusable(evidence: Evidence) -> tuple[BoolArray, BoolArray, BoolArray, BoolArray]:
    """Return which pictures are unreadable, dark, over-exposed, blurred, (rows,) each."""
    mean, white, sharpness, _ = np.array(evidence.figures.looks).T
    readable = np.isfinite(mean)
    dark = readable & (mean < _DARK)
    bright = readable & ((mean > _BRIGHT) | (white > _MAX_WHITE))
    usable = readable & ~dark & ~bright
    usual = float(np.percentile(sharpness[usable], 75)) if usable.any() else 0.0
    return ~readable, dark, bright, usable & (sharpness < max(_BLURRED * usual, _LEAST_SHARP))


def foreign_pictures(evidence: Evidence) -> Iterator[Finding]:
    """Yield a fault for pictures of another drive, which do not go on from the row before, although
    no time passes.

    A picture that goes on from one of a few rows earlier shows that those between are foreign. So
    is a longer piece whose pictures the steering does not follow, or, if it is cut off at both
    ends, cannot be seen to follow.
    """
    foreign, seconds = (
        np.ones(len(evidence.numbers), np.bool_),
        float(np.median(np.diff(evidence.seconds))),
    )
    follows, cut = np.pad(evidence.follows, 1), np.pad(evidence.cut, 1)
    for rows in _pieces(evidence):
        ends = rows[[0, -1]] + [0, 1]
        is_wrong = (follows | cut)[ends].all() or evidence.disagrees[
            rows
        ].sum() * seconds > MISSED_SECONDS
        is_short = follows[ends].any() and len(rows) < len(foreign) / 2
        foreign[rows] = is_short and is_wrong and not evidence.agrees(rows)
    if foreign.any():
        spans, count = evidence.spans(foreign), int(foreign.sum())
        text = "the pictures belong to another drive: they do not go on from the row before, although no time passes"
        yield Finding(
            "foreign-pictures", text, delete_rows(spans), spans, float(count), unit="rows"
        )


def _pieces(evidence: Evidence) -> Iterator[IndexArray]:
    """Yield the rows of each piece of the recording whose pictures go on, but for some foreign ones
    between.
    """
    shown = ~np.any(_unusable(evidence)[:3], axis=0)
    unclear = np.flatnonzero(
        evidence.follows & (evidence.turns.match < _CUT_MATCH) & shown[1:] & shown[:-1]
    )
    cuts = [row for row in unclear.tolist() if not evidence.goes_on(row, row + 1)]
    begins = np.unique(np.append(np.flatnonzero(~evidence.follows), np.array(cuts, int)) + 1)
    parts = np.split(np.arange(len(evidence.numbers)), begins)
    while parts:
        piece, number = parts.pop(0), 1
        while number < len(parts) and (first := parts[number][0]) - piece[-1] <= _NEARBY_ROWS:
            number += 1
            if evidence.stretch[first] == evidence.stretch[piece[-1]] and evidence.goes_on(
                piece[-1], first
            ):
                piece = np.append(piece, parts[number - 1])
                del parts[:number]
                number = 1
        yield piece


def rows_of_the_log(evidence: Evidence) -> Iterator[Finding]:
    """Yield faults of the order of the rows and of repeated ones, which are deleted in the
    evidence.
    """
    if repeated := evidence.repeated:
        yield Finding(
            "repeated-rows",
            f"{repeated} rows name the picture of another row, as in a log that was pasted twice",
            "none is needed: bcclone preprocess leaves them out, and so does this check",
            value=float(repeated),
            unit="rows",
            usable=True,
        )
    back = np.flatnonzero(np.diff(evidence.log.rows["line"].to_numpy()) < 0)
    if len(back):
        yield Finding(
            "out-of-order",
            f"the rows of the log go back in time {number_of(len(back), 'time')}",
            "none is needed if the clock was right: every command takes the rows in order of time, and so does this "
            "check; if it was set back while you recorded, record again",
            evidence.spans(back),
            float(len(back)),
            usable=True,
        )


def clock_jumps(evidence: Evidence) -> Iterator[Finding]:
    """Yield the pauses without deleted rows across which the pictures go on as from one row to the
    next.

    If fewer points than usual can be followed in the rows before and after a pause, as in a sharp
    bend, these rows are the measure. After a real pause, the few wrongly matched points seem to
    move much farther.
    """
    numbers, steps, usual = evidence.numbers, np.diff(evidence.times_ms) / 1000, evidence.usual
    is_long = steps > max(_JUMP_STEPS * float(np.median(steps)), _JUMP_SECONDS)
    pauses = np.flatnonzero(is_long & ~evidence.cut)[:_MAX_PAUSES]
    jumps = []
    for pause in pauses.tolist():
        rows = [pause, *(row for row in (pause - 1, pause + 1) if 0 <= row < len(steps))]
        there, *around = (Followed.of(evidence.followed(row, row + 1)[1]) for row in rows)
        points, moving = np.minimum(usual[:2], np.mean(around, axis=0)[:2])
        alike = (
            there.points > max(_ALIKE * points, _FEWEST_POINTS) and there.moving > _MOVING * moving
        )
        if alike and there.pixels < _FARTHER * max(usual.pixels, *(one.pixels for one in around)):
            jumps.append(pause)
    if jumps:
        seconds = ", ".join(f"{steps[jump]:.1f}" for jump in jumps[:5])
        yield Finding(
            "clock-jump",
            f"the clock jumps by {seconds} s while the pictures go on as from one row to the next",
            "set the clock before you record, not while; correct the times, or cut the recording there: "
            + delete_rows([(int(numbers[jump]), int(numbers[jump + 1])) for jump in jumps]),
            evidence.spans(np.array(jumps) + 1),
            float(steps[jumps[0]]),
            unit="seconds",
        )


def camera_pose(evidence: Evidence) -> Iterator[Finding]:
    """Yield faults of the camera's pose, by how the pictures move."""
    if evidence.is_upside_down:
        yield Finding(
            "upside-down",
            "the frames are upside down: the car drives towards the lower half of them",
            "turn the frames by 180 degrees (donkeycar: IMAGE_ROTATION, or flip both axes), and import them again",
            value=180.0,
            unit="degrees",
        )
        return
    if evidence.drives_backwards:
        yield Finding(
            "backwards",
            f"the pictures grow in {evidence.grows:.0%} of the rows, as if the car drove backwards, expected most",
            "leave out what was driven backwards; or the pictures are in the opposite order: number them the other way",
            value=evidence.grows,
            unit="share of the rows",
        )
    roll = evidence.turns.roll_degrees()
    if roll and abs(roll[0]) > _MAX_ROLL + 1.5 * roll[1]:
        side = "right" if roll[0] > 0 else "left"
        text = f"the camera leans to the {side} by {abs(roll[0]):.0f} degrees (standard error {roll[1]:.1f})"
        yield Finding("rolled", text, _REMOUNT, (), *roll, unit="degrees to the right", usable=True)


def is_trusted(heading: Heading) -> bool:
    """Return whether enough movements agree on where the camera looks, and the parts of the
    recording, too.
    """
    return heading.agreeing > _LEAST_AGREEING and heading.column_error < _MAX_COLUMN_ERROR


def direction(evidence: Evidence) -> Iterator[Finding]:
    """Yield faults of where the camera looks; three cameras are expected to look where the
    simulator's do.
    """
    heading, three_cameras = evidence.heading, evidence.three_cameras
    if heading is None or not is_trusted(heading) or evidence.is_upside_down:
        return
    right = (FRAME_WIDTH - 1) / 2 - heading.column
    limit = _MAX_TURNED_SIMULATOR_PX if three_cameras else _MAX_TURNED_PX
    lens = "" if three_cameras else ", if it has the simulator's lens"
    if abs(right) > limit + 3 * heading.column_error:
        degrees, error = _degrees(right, heading.column_error)
        text = (
            f"the camera looks {abs(degrees):.0f} degrees to the {'right' if right > 0 else 'left'} of where the car "
            f"drives (standard error {error:.1f}{lens})"
        )
        yield Finding(
            "turned", text, _REMOUNT, (), degrees, error, "degrees to the right", usable=True
        )
    down = VANISHING_ROW - heading.row
    if three_cameras and abs(down) > _MAX_TILTED_PX + 2 * heading.row_error:
        degrees, error = _degrees(down, heading.row_error)
        text = (
            f"the camera looks {abs(degrees):.0f} degrees farther {'down' if down > 0 else 'up'} than the simulator's "
            f"(standard error {error:.1f})"
        )
        yield Finding("tilted", text, _REMOUNT, (), degrees, error, "degrees down", usable=True)


def _degrees(pixels: float, error: float) -> tuple[float, float]:
    """Return the angle of pixels from the middle, and its standard error."""
    return math.degrees(math.atan2(pixels, FOCAL_PX)), math.degrees(error / FOCAL_PX)


def exchanged_cameras(evidence: Evidence) -> Iterator[Finding]:
    """Yield a fault if frames have the name of another camera.

    A camera farther left sees the ground farther right. The shift between the outer two, 1.6 m
    apart, is mostly noise; so the cameras count as exchanged only if most of the rows nearby are
    opposite.
    """
    sides = evidence.figures.sides
    if len(sides) < _FEWEST_ROWS:
        return
    numbers = evidence.numbers[[row for row, _ in sides]]
    left, right = (
        np.array([(_side(shifts["left"]), -_side(shifts["right"])) for _, shifts in sides]).T < 0
    )  # opposite
    nearby = np.convolve(left | right, np.ones(_NEARBY) / _NEARBY, "same")
    exchanged = nearby > _MAX_OPPOSITE
    if not exchanged.any():
        return
    both, one, other = (
        (each & exchanged).sum() for each in (left & right, left & ~right, right & ~left)
    )
    first, second = (
        ("left", "right")
        if both >= max(one, other)
        else ("center", "left" if one > other else "right")
    )
    yield Finding(
        "exchanged-cameras",
        f"the frames of the {first} and of the {second} camera are exchanged in {exchanged.mean():.0%} of the rows",
        "rename the frames, or exchange their columns in the log, in these rows",
        tuple(runs(numbers[exchanged], 10 * int(np.ceil(np.median(np.diff(numbers)))))),
        float(exchanged.mean()),
        unit="share of the rows",
    )


def _side(shift: Shift) -> int:
    """Return 1 if the ground is clearly farther right, -1 farther left, 0 if it is not clear."""
    clear = shift.match > _LEAST_MATCH and _LEAST_APART_PX < abs(shift.right) < _MAX_APART_PX
    return int(np.sign(shift.right)) if clear else 0


# in the order in which they are reported
PICTURE_FAULTS = (
    foreign_pictures,
    unusable_pictures,
    rows_of_the_log,
    clock_jumps,
    exchanged_cameras,
    direction,
    camera_pose,
)
