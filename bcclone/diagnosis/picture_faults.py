"""Judge the pictures: those that show nothing, do not change, or belong to another drive.

In: the recorded rows, and what was measured in their frames. Out: a `Finding` for each fault, with
the numbers of its rows and, unless they are too scattered, the edit that deletes them.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from scipy.ndimage import median_filter

from bcclone.diagnosis.findings import Finding
from bcclone.diagnosis.frame_figures import RecordingFigures
from bcclone.diagnosis.frame_pairs import FramePairs
from bcclone.diagnosis.motion import Turns
from bcclone.diagnosis.recorded_rows import STANDING_SECONDS, RecordedRows
from bcclone.diagnosis.stretches import Segmentation
from bcclone.recording.edits import Edit, delete_numbers
from bcclone.system.arrays import BoolArray, IndexArray

_MAX_SHARE = 0.01  # tolerated share of rows with dark, white or blurred pictures


def unusable_pictures(rows: RecordedRows, figures: RecordingFigures) -> Iterator[Finding]:
    """Yield the faults of single pictures."""
    unreadable, dark, bright, blurred = _unusable(figures)
    for fault, concerned, max_share, words in (
        ("unreadable", unreadable, 0.0, "cannot be read"),
        ("dark", dark, _MAX_SHARE, "are black, or nearly so"),
        ("over-exposed", bright, _MAX_SHARE, "are white, or nearly so"),
        ("blurred", blurred, _MAX_SHARE, "are blurred"),
    ):
        yield from _of_pictures(fault, words, rows, concerned, max_share)


def frozen_pictures(rows: RecordedRows, figures: RecordingFigures) -> Iterator[Finding]:
    """Yield a fault for pictures that repeat the one before, although the car moves.

    Black and white pictures are alike, too, but have a fault of their own.
    """
    max_frozen = 0.03  # share of the rows; a slow camera repeats some
    words = "repeat the picture of the row before, although the car moves"
    _, dark, bright, _ = _unusable(figures)
    frozen = figures.frozen & ~(dark | bright) & ~rows.stands
    yield from _of_pictures("frozen", words, rows, frozen, max_frozen)


def standing(rows: RecordedRows, figures: RecordingFigures) -> Iterator[Finding]:
    """Yield a fault if the car stands for a while: its steering then has no effect."""
    stands = rows.stands
    if not rows.has_speed:
        stands = stands & _still(rows, figures)
    stands = rows.lasting(stands, STANDING_SECONDS)
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


def _still(rows: RecordedRows, figures: RecordingFigures) -> BoolArray:
    """Return which pictures hardly differ from the one before, (rows,), apart from noise."""
    most_moved = 0.3  # pixels
    most_brighter = 0.3  # of 255
    window_seconds = 1.0
    seconds_a_row = max(float(np.median(np.diff(rows.seconds))), 1e-3)
    window = max(3, round(window_seconds / seconds_a_row))
    mean = np.array([frame.mean for frame in figures.frames])
    brighter = np.abs(np.diff(mean, prepend=np.nan))
    moved = np.array([max(abs(shift.right), abs(shift.down)) for shift in figures.turns.shifts])
    still = figures.frozen | ((brighter < most_brighter) & (moved < most_moved))
    return np.asarray(median_filter(still.astype(np.uint8), window) > 0)


def _of_pictures(
    fault: str, words: str, rows: RecordedRows, concerned: BoolArray, max_share: float
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
    rows: RecordedRows, pieces: Iterable[IndexArray], segmentation: Segmentation | None
) -> Iterator[Finding]:
    """Yield a fault for pictures of another drive among the pictures of this drive.

    They do not continue the picture of the row before, although there is no pause between the rows:
    the recording is cut there. If a picture continues the one of a few rows earlier, the rows
    between are foreign. Of the longer parts between cuts, those are foreign whose steering does not
    follow their turns as in the rest of the drive. A short part whose steering does not tell is
    foreign if nothing else explains the cuts at both of its ends: not both of its neighbours are.

    pieces: as connected_pieces() yields them
    segmentation: how the steering of each part of the drive follows the turns, None if unknown
    """
    parts = list(_parts_between_cuts(rows, pieces))
    surely_foreign = [_is_unusual(part, rows, segmentation) for part in parts]
    foreign = np.ones(len(rows), np.bool_)  # rows in no part are; the loop decides the others
    for number, part in enumerate(parts):
        neighbours = surely_foreign[max(number - 1, 0) : number + 2]
        is_explained = sum(neighbours) - surely_foreign[number] == 2
        may_be = _may_be_foreign(part, rows, segmentation)
        foreign[part] = surely_foreign[number] or (may_be and not is_explained)
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


def _parts_between_cuts(rows: RecordedRows, pieces: Iterable[IndexArray]) -> Iterator[IndexArray]:
    """Yield the rows of all successive pieces between which there is a pause, not a cut."""
    part: list[IndexArray] = []
    for piece in pieces:
        if part and _no_pause_before(rows, piece[0]):
            yield np.concatenate(part)
            part = []
        part.append(piece)
    yield np.concatenate([np.zeros(0, np.int64), *part])


def _no_pause_before(rows: RecordedRows, row: int) -> bool:
    return 0 < row < len(rows) and bool(rows.follows[row - 1])


def _is_unusual(part: IndexArray, rows: RecordedRows, segmentation: Segmentation | None) -> bool:
    """Return whether the steering of a part with a cut at an end follows the turns unlike the rest.

    part: indices of its rows, rising; there may be pauses between them
    """
    most_unusual = 0.8  # share of the steps of a part of this drive
    has_cut = _no_pause_before(rows, part[0]) or _no_pause_before(rows, part[-1] + 1)
    if segmentation is None or not has_cut or len(part) > len(rows) / 2:
        return False
    return segmentation.unusual_share(part) > most_unusual


def _may_be_foreign(
    part: IndexArray, rows: RecordedRows, segmentation: Segmentation | None
) -> bool:
    """Return whether a part is short, cut off at both ends, and its steering does not tell."""
    longest_seconds = 20.0  # of a part of which nothing but its two ends speaks against it
    follows_from = 3.0  # of Segmentation.support(): from here on, the steering follows
    if segmentation is not None and segmentation.support(part) > follows_from:
        return False
    is_cut_off = _no_pause_before(rows, part[0]) and _no_pause_before(rows, part[-1] + 1)
    is_short = len(part) < len(rows) / 2 and rows.step_seconds[part].sum() <= longest_seconds
    return bool(is_cut_off and is_short)


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
