"""Judge the pictures: those that show nothing, do not change, or belong to another drive.

In: the recorded rows, and what was measured in their frames. Out: a `Finding` for each fault, with
the numbers of its rows and, unless they are too scattered, the edit that deletes them.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from bcclone.diagnosis.agreement import (
    MISSED_SECONDS,
    Compared,
    disagreeing_rows,
    follows_turns,
)
from bcclone.diagnosis.findings import Finding
from bcclone.diagnosis.frame_figures import RecordingFigures
from bcclone.diagnosis.frame_pairs import FramePairs
from bcclone.diagnosis.motion import Turns
from bcclone.diagnosis.recorded_rows import RecordedRows
from bcclone.recording.edits import Edit, delete_numbers
from bcclone.system.arrays import BoolArray, IndexArray

_MAX_SHARE = 0.01  # tolerated share of rows with dark, white or blurred pictures


def unusable_pictures(rows: RecordedRows, figures: RecordingFigures) -> Iterator[Finding]:
    """Yield the faults of single pictures. With too few rows, frozen frames are not reported."""
    max_frozen = 0.03  # share of the rows; a slow camera repeats some
    unreadable, dark, bright, blurred = _unusable(figures)
    frozen = figures.frozen & ~rows.stands & (not rows.why_too_few)
    repeated = "repeat the picture of the row before, although the car moves"
    for fault, concerned, max_share, words in (
        ("unreadable", unreadable, 0.0, "cannot be read"),
        ("dark", dark, _MAX_SHARE, "are black, or nearly so"),
        ("over-exposed", bright, _MAX_SHARE, "are white, or nearly so"),
        ("blurred", blurred, _MAX_SHARE, "are blurred"),
        ("frozen", frozen, max_frozen, repeated),
    ):
        share = float(concerned.mean())
        if share > max_share:
            text = f"the pictures of {int(concerned.sum())} rows ({share:.0%}) {words}"
            yield _of_pictures(fault, text, rows, concerned, share)


def _of_pictures(
    fault: str, text: str, rows: RecordedRows, concerned: BoolArray, share: float
) -> Finding:
    """Return the finding about the pictures of some rows, and what mends it.

    concerned: whether the finding is about a row, (rows,)
    share: share of these rows among all rows
    """
    max_deleted = 10  # spans that are worth deleting
    spans = rows.spans(concerned)
    advice = ""
    edits: tuple[Edit, ...] = (delete_numbers(spans),)
    if fault == "unreadable":
        # the edits are printed below it
        advice = "copy the missing pictures into the folder IMG next to the log; or:"
    elif len(spans) > max_deleted:
        advice = "record with a camera that gives each row a new, clear picture"
        edits = ()
    return Finding(
        fault,
        text,
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
    # the fourth figure is the checksum
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


def foreign_pictures(
    rows: RecordedRows, pieces: Iterable[IndexArray], compared: Compared
) -> Iterator[Finding]:
    """Yield a fault for pictures of another drive among the pictures of this drive.

    They do not continue the picture of the row before, although there is no pause between the rows.
    If a picture continues the one of a few rows earlier, the rows between are foreign. A longer
    piece is foreign, too, if (a) the steering disagrees with its turns, or (b) it is cut off at
    both ends and the steering cannot be seen to agree.

    pieces: as connected_pieces() yields them
    compared: the turns and the steering, whose sign is right for most of the drive
    """
    disagreeing = disagreeing_rows(rows, compared)
    foreign = np.ones(len(rows), np.bool_)  # rows in no piece are; the loop decides the others
    usual_seconds = float(np.median(np.diff(rows.seconds)))
    # index i: the step before row i
    no_pause = np.pad(rows.follows, 1)
    deleted_between = np.pad(rows.cut, 1)
    for piece in pieces:
        ends = piece[[0, -1]] + [0, 1]  # the steps before its first row and after its last one
        is_cut_off = (no_pause | deleted_between)[ends].all()
        missed_seconds = disagreeing[piece].sum() * usual_seconds
        is_wrong = is_cut_off or missed_seconds > MISSED_SECONDS
        adjoins_others = no_pause[ends].any()
        is_minor = len(piece) < len(foreign) / 2
        is_suspect = adjoins_others and is_minor and is_wrong
        foreign[piece] = is_suspect and not follows_turns(compared, piece)
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


def connected_pieces(
    rows: RecordedRows, figures: RecordingFigures, turns: Turns, pairs: FramePairs
) -> Iterator[IndexArray]:
    """Yield each run of rows whose pictures continue one another.

    A few foreign rows may lie within a run; they are not among its rows.
    """
    clear_match = 0.4  # a picture that matches the one before better than this continues it
    max_gap_rows = 10  # a piece may continue this many rows later, after foreign ones
    unreadable, dark, bright, _ = _unusable(figures)
    shown = ~(unreadable | dark | bright)

    # the recording is split at pauses, and where a picture does not continue the one before
    is_unclear = rows.follows & (turns.match < clear_match)
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
