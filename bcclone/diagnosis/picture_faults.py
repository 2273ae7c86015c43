"""Judge the pictures: those that show nothing, do not change, or belong to another drive."""

from collections.abc import Iterable, Iterator

import numpy as np

from bcclone.diagnosis.agreement import MISSED_SECONDS, Compared, follows_turns
from bcclone.diagnosis.findings import Finding
from bcclone.diagnosis.frame_figures import RecordingFigures
from bcclone.diagnosis.frame_pairs import FramePairs
from bcclone.diagnosis.motion import Turns
from bcclone.diagnosis.recorded_rows import RecordedRows
from bcclone.recording.edits import Edit, delete_numbers
from bcclone.system.arrays import BoolArray, IndexArray

_MAX_SHARE = 0.01  # of the rows, of pictures that show nothing


def unusable_pictures(rows: RecordedRows, figures: RecordingFigures) -> Iterator[Finding]:
    """Yield the faults of single pictures. With too few rows, frozen frames are not reported."""
    max_frozen = 0.03  # share of the rows; a slow camera repeats some
    unreadable, dark, bright, blurred = _unusable(figures)
    frozen = figures.frozen & ~rows.stands & (not rows.too_few)
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
    """Return the finding about the pictures of some rows, (rows,), and what mends it."""
    max_deleted = 10  # spans that are worth deleting
    spans = rows.spans(concerned)
    advice = ""
    edits: tuple[Edit, ...] = (delete_numbers(spans),)
    if fault == "unreadable":
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
    blurred_share = 0.12  # of the variance of a sharp picture's second derivative
    least_sharpness = 4.0  # a smaller variance is never sharp
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
    rows: RecordedRows,
    pieces: Iterable[IndexArray],
    compared: Compared,
    disagreeing: BoolArray,
) -> Iterator[Finding]:
    """Yield a fault for pictures of another drive among those of this one.

    They do not go on from the row before, although no time passes. A picture that goes on from one
    of a few rows earlier shows that those between are foreign. So is a longer piece whose pictures
    the steering does not follow, or, if it is cut off at both ends, cannot be seen to follow.

    pieces: as connected_pieces() yields them; disagreeing: (rows,), in which the steering does not
    follow the turns.
    """
    foreign = np.ones(len(rows), np.bool_)  # but for what the pieces show
    usual_seconds = float(np.median(np.diff(rows.seconds)))
    follows = np.pad(rows.follows, 1)
    cut = np.pad(rows.cut, 1)
    for piece in pieces:
        ends = piece[[0, -1]] + [0, 1]
        is_cut_off = (follows | cut)[ends].all()
        missed_seconds = disagreeing[piece].sum() * usual_seconds
        is_wrong = is_cut_off or missed_seconds > MISSED_SECONDS
        is_short = follows[ends].any() and len(piece) < len(foreign) / 2
        foreign[piece] = is_short and is_wrong and not follows_turns(compared, piece)
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
    """Yield the rows of each piece of the recording whose pictures go on.

    Some foreign pictures may lie between them.
    """
    clear_match = 0.4  # pictures that match better go on
    nearby_rows = 10  # of a picture that goes on after foreign ones
    unreadable, dark, bright, _ = _unusable(figures)
    shown = ~(unreadable | dark | bright)

    # the recording is split at pauses, and where a picture does not go on from the one before
    is_unclear = rows.follows & (turns.match < clear_match) & shown[1:] & shown[:-1]
    unclear = np.flatnonzero(is_unclear).tolist()
    cuts = [row for row in unclear if not pairs.goes_on(row, row + 1)]
    pauses = np.flatnonzero(~rows.follows)
    begins = np.unique(np.append(pauses, np.array(cuts, int)) + 1)
    parts = np.split(np.arange(len(rows)), begins)

    # a part that goes on from an earlier one belongs to it; what lies between is foreign
    while parts:
        piece = parts.pop(0)
        number = 1  # the next part is cut off because it does not go on
        while number < len(parts) and parts[number][0] - piece[-1] <= nearby_rows:
            last = piece[-1]
            first = parts[number][0]
            number += 1
            if rows.stretch[first] == rows.stretch[last] and pairs.goes_on(last, first):
                piece = np.append(piece, parts[number - 1])
                del parts[:number]
                number = 1
        yield piece
