"""Judge the pictures: those that show nothing, do not change, or belong to another drive.

Each judge takes the evidence of a recording, and yields a `Finding` for each fault, with its rows
and, unless they are too scattered, the edit that deletes them.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from bcclone.diagnosis.drive_rows import DriveRows
from bcclone.diagnosis.evidence import Evidence, Finding, Judge
from bcclone.diagnosis.heading import FollowedCount, FramePairs
from bcclone.diagnosis.motion import RecordingFigures
from bcclone.diagnosis.stretches import Segmentation
from bcclone.recording.edits import Edit, delete_numbers
from bcclone.system.arrays import BoolArray, FloatArray, IndexArray

# ---- single pictures


def unusable_pictures(evidence: Evidence) -> Iterator[Finding]:
    """Yield the faults of single pictures."""
    max_share = 0.01  # tolerated share of rows with dark, white or blurred pictures
    unreadable, dark, bright, blurred = _unusable(evidence.figures)
    rows = evidence.rows
    yield from _of_pictures("unreadable", "cannot be read", rows, unreadable, 0.0)
    yield from _of_pictures("dark", "are black, or nearly so", rows, dark, max_share)
    yield from _of_pictures("over-exposed", "are white, or nearly so", rows, bright, max_share)
    yield from _of_pictures("blurred", "are blurred", rows, blurred, max_share)


def frozen_pictures(evidence: Evidence) -> Iterator[Finding]:
    """Yield a fault for pictures that repeat the one before, although the car moves.

    Black and white pictures are alike, too, but have a fault of their own.
    """
    max_frozen = 0.03  # share of the rows; a slow camera repeats some
    words = "repeat the picture of the row before, although the car moves"
    rows = evidence.rows
    _, dark, bright, _ = _unusable(evidence.figures)
    frozen = evidence.figures.frozen & ~(dark | bright) & ~evidence.stands
    yield from _of_pictures("frozen", words, rows, frozen, max_frozen)


def standing(evidence: Evidence) -> Iterator[Finding]:
    """Yield a fault if the car stands for a while: its steering then has no effect."""
    # a car that stands for a shorter time, as at the beginning of a recording, does no harm
    least_seconds = 4.0
    rows = evidence.rows
    stands = rows.lasting(evidence.stands, least_seconds)
    if not stands.any():
        return
    spans = rows.spans(stands)
    seconds = rows.step_seconds[stands].sum()
    yield Finding(
        "standing",
        f"the car stands for {seconds:.0f} s, so that its steering has no effect",
        rows=spans,
        value=float(seconds),
        unit="seconds",
        edits=(delete_numbers(spans),),
    )


def _of_pictures(
    fault: str, words: str, rows: DriveRows, concerned: BoolArray, max_share: float
) -> Iterator[Finding]:
    """Yield a finding about the pictures of some rows, if they are frequent, or if they last.

    words: what is wrong with them
    concerned: whether the pictures of a row have the fault, (rows,)
    max_share: tolerated share of such rows, apart from those that last
    """
    lasting_seconds = 1.0
    max_short = 10  # spans of few rows that are worth deleting
    rows_of_short = 10.0  # mean number of rows of a span; longer spans are always worth it
    lasting = rows.lasting(concerned, lasting_seconds)
    named = lasting
    if np.mean(concerned & ~lasting) > max_share:
        named = concerned
    if not named.any():
        return
    spans = rows.spans(named)
    share = float(named.mean())
    advice = ""
    edits: tuple[Edit, ...] = (delete_numbers(spans),)
    if fault == "unreadable":
        # the edits are printed below it
        advice = "copy the missing pictures into the folder IMG next to the log; or:"
    elif len(spans) > max_short and named.sum() < rows_of_short * len(spans):
        advice = "record with a camera that gives each row a new, clear picture"
        edits = ()
    yield Finding(
        fault,
        f"the pictures of {int(named.sum())} rows ({share:.0%}) {words}",
        rows=spans,
        value=share,
        unit="share of the rows",
        advice=advice,
        edits=edits,
    )


def _unusable(figures: RecordingFigures) -> tuple[BoolArray, BoolArray, BoolArray, BoolArray]:
    """Return which pictures are unreadable, dark, over-exposed, blurred, (rows,) each."""
    dark_mean = 14.0  # of 255
    bright_mean = 238.0  # of 255
    max_white = 0.6  # share of the pixels
    # sharpness is the variance of the second derivative (Laplacian); a picture is blurred below
    # this share of the recording's usual sharpness, and always below the least sharpness
    blurred_share = 0.12
    least_sharpness = 4.0
    mean, white, sharpness, _ = np.array(figures.frames).T
    readable = np.isfinite(mean)
    dark = readable & (mean < dark_mean)
    bright = readable & ((mean > bright_mean) | (white > max_white))
    usable = readable & ~dark & ~bright
    usual = 0.0
    if usable.any():
        usual = float(np.percentile(sharpness[usable], 75))
    blurred = usable & (sharpness < max(blurred_share * usual, least_sharpness))
    return ~readable, dark, bright, blurred


# ---- pictures of another drive


_COST_OF_CUT = 5.0  # of a cut between two parts of this drive


def foreign_pictures(evidence: Evidence) -> Iterator[Finding]:
    """Yield a fault for pictures of another drive among the pictures of this drive.

    They do not continue the picture of the row before, although there is no pause between the rows:
    the recording is cut there. If a picture continues the one of a few rows earlier, the rows
    between are foreign. Of the longer parts between cuts, those are foreign that explain the cuts
    best, see _fewest_foreign().
    """
    rows = evidence.rows
    # successive pieces between which there is a pause, not a cut, are one part
    parts: list[IndexArray] = []
    for piece in _connected_pieces(evidence):
        if parts and not _no_pause_before(rows, piece[0]):
            parts[-1] = np.concatenate([parts[-1], piece])
        else:
            parts.append(piece)
    costs = [_cost_of_foreign(part, rows, evidence.segmentation) for part in parts]
    foreign = np.ones(len(rows), np.bool_)  # rows in no part are; the loop decides the others
    for part, is_foreign in zip(parts, _fewest_foreign(costs), strict=True):
        foreign[part] = is_foreign
    if foreign.any():
        spans = rows.spans(foreign)
        yield Finding(
            "foreign-pictures",
            "the pictures belong to another drive: they do not go on from the row before, although "
            "no time passes",
            rows=spans,
            value=float(foreign.sum()),
            unit="rows",
            edits=(delete_numbers(spans),),
        )


def _no_pause_before(rows: DriveRows, row: int) -> bool:
    return 0 < row < len(rows) and bool(rows.follows[row - 1])


def _cost_of_foreign(part: IndexArray, rows: DriveRows, segmentation: Segmentation | None) -> float:
    """Return what speaks against a part being foreign: below 0 if more speaks for it.

    It is a natural logarithm of how many times less probable that is.

    part: indices of its rows, rising; there may be pauses between them
    """
    a_second = 0.25  # of a long part, most would have to be lost
    cost = a_second * float(rows.step_seconds[part].sum())
    if len(part) > len(rows) / 2:
        return np.inf
    if segmentation is not None and segmentation.is_trusted:
        cost += segmentation.support(part)
    # a part at the begin or the end of the recording has one cut only, which may be a jerk
    if _no_pause_before(rows, part[0]) != _no_pause_before(rows, part[-1] + 1):
        cost += _COST_OF_CUT
    return cost


def _fewest_foreign(costs: Sequence[float]) -> list[bool]:
    """Return which of successive parts are foreign, so that the sum of all costs is the least.

    Each cut between two parts of this drive costs, too. Found by dynamic programming.

    costs: of each part, if it is foreign
    """
    own_sum = 0.0  # least costs up to a part of this drive
    foreign_sum = np.inf  # and up to a foreign one
    came_from: list[tuple[bool, bool]] = []  # is the part before foreign: if this is not, if it is
    for number, cost in enumerate(costs):
        after_own = own_sum + (_COST_OF_CUT if number else 0.0)
        came_from.append((foreign_sum < after_own, foreign_sum < own_sum))
        least_sum = min(own_sum, foreign_sum)
        own_sum = min(after_own, foreign_sum)
        foreign_sum = least_sum + cost
    is_foreign = foreign_sum < own_sum
    found = []
    for before in reversed(came_from):
        found.append(is_foreign)
        is_foreign = before[is_foreign]
    return found[::-1]


def _connected_pieces(evidence: Evidence) -> Iterator[IndexArray]:
    """Yield each run of rows whose pictures continue one another.

    A few foreign rows may lie within a run; they are not among its rows.
    """
    clear_match = 0.4  # a picture that matches the one before better than this continues it
    max_gap_rows = 10  # a piece may continue this many rows later, after foreign ones
    rows = evidence.rows
    pairs = evidence.pairs
    unreadable, dark, bright, _ = _unusable(evidence.figures)
    shown = ~(unreadable | dark | bright)

    # the recording is split at pauses, and where a picture does not continue the one before
    is_unclear = rows.follows & (evidence.turns.match < clear_match)
    # a foreign picture may match the one before it by chance, but hardly the one after it, too
    beside_unclear = np.append(is_unclear[1:], False) | np.append(False, is_unclear[:-1])
    is_step_shown = rows.follows & shown[1:] & shown[:-1]
    doubtful_rows = np.flatnonzero((is_unclear | beside_unclear) & is_step_shown).tolist()
    cuts = [row for row in doubtful_rows if not pairs.goes_on(row, row + 1)]
    pauses = np.flatnonzero(~rows.follows)
    begins = np.unique(np.append(pauses, np.array(cuts, int)) + 1)
    parts = np.split(np.arange(len(rows)), begins)

    # a part that continues an earlier one belongs to its piece; what lies between is foreign
    while parts:
        piece = parts.pop(0)
        # parts[0] does not continue the piece (that is why it was split off), so the one after it
        # is tried first
        number = 1
        while number < len(parts) and parts[number][0] - piece[-1] <= max_gap_rows:
            last = piece[-1]
            first = parts[number][0]
            number += 1
            if rows.stretch[first] == rows.stretch[last] and pairs.goes_on(last, first):
                piece = np.append(piece, parts[number - 1])
                del parts[:number]
                number = 1
        yield piece


# ---- the clock


def clock_jumps(evidence: Evidence) -> Iterator[Finding]:
    """Yield a fault for the pauses across which the pictures go on as from one row to the next.

    Pauses in which rows were deleted do not count.
    """
    usual_steps = 8.0  # a pause is longer than this many median steps
    least_seconds = 1.0  # and longer than this
    max_pauses = 30  # most pauses that are looked at
    rows = evidence.rows
    steps = np.diff(rows.times_ms) / 1000
    places = np.searchsorted(np.unique(rows.all_times_ms), rows.times_ms)
    is_pause = steps > max(usual_steps * float(np.median(steps)), least_seconds)
    pauses = np.flatnonzero(is_pause & (np.diff(places) == 1))[:max_pauses].tolist()
    jumps = [pause for pause in pauses if _goes_on_as_usual(pause, steps, evidence.pairs)]
    if jumps:
        seconds = ", ".join(f"{steps[jump]:.1f}" for jump in jumps[:5])
        after = rows.spans(np.array(jumps) + 1)
        yield Finding(
            "clock-jump",
            f"the clock jumps by {seconds} s while the pictures go on as from one row to the next",
            rows=after,
            value=float(steps[jumps[0]]),
            unit="seconds",
            advice="set the clock before you record, not while; correct the times, or cut the "
            "recording there:",
            edits=(delete_numbers(after),),
        )


def _goes_on_as_usual(pause: int, steps: FloatArray, pairs: FramePairs) -> bool:
    """Return whether the pictures go on across a pause as from one row to the next.

    As many points as usual can then be followed across it. If fewer than usual can be followed in
    the rows before and after the pause, as in a sharp bend, the points across it are compared with
    these rows. After a real pause, the few wrongly matched points seem to move much farther.

    pause: index of the row before it
    steps: seconds from each row to the next, (steps,)
    """
    fewest_points = 8
    points_share = 0.6  # of the usual number of points
    moving_share = 0.3  # of the usual number of points that move
    farther = 2.0  # points move at most this many times as far across the pause as elsewhere
    usual = pairs.usual
    across = pairs.count_followed(pause, pause + 1)
    nearby = [row for row in (pause - 1, pause + 1) if 0 <= row < len(steps)]
    around = [pairs.count_followed(row, row + 1) for row in nearby]
    mean_around = FollowedCount(*np.mean(around, axis=0))
    points = min(usual.points, mean_around.points)
    moving = min(usual.moving, mean_around.moving)
    if across.points <= max(points_share * points, fewest_points):
        return False
    if across.moving <= moving_share * moving:
        return False
    farthest = max(usual.pixels, *(followed.pixels for followed in around))
    return across.pixels < farther * farthest


JUDGES: tuple[Judge, ...] = (
    frozen_pictures,
    standing,
    foreign_pictures,
    unusable_pictures,
    clock_jumps,
)
