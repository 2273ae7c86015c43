"""A new store -> a notice for each of its recordings of which a check would not use all.

A check reads every picture again, which takes as long as making a store. So the turns of the camera
are measured here in the images of the store, which are small and decoded already. They show which
seconds cannot be used, but not each of the faults that a check finds.
"""

from collections.abc import Container, Iterator, Sequence

import numpy as np

from bcclone.dataset.rows import NO_FRAME, RowTable, row_frame
from bcclone.dataset.store import RecordingInfo, Store
from bcclone.diagnosis.agreement import measure_agreement
from bcclone.diagnosis.evidence import recording_name
from bcclone.diagnosis.motion import Shift, Turns, prepared_turns
from bcclone.diagnosis.rows import STANDING_SECONDS, Rows
from bcclone.diagnosis.stretches import rows_of, segmented
from bcclone.recording.run_tables import MOTION
from bcclone.system.errors import shown_command
from bcclone.system.numbers import BoolArray

_MOST_ROWS = 5000  # of a recording that are looked at, from its beginning


def unusable_driving(store: Store, logs: Container[str]) -> Iterator[str]:
    """Yield a notice for each recording of which a check would not use all seconds.

    logs: absolute paths of logs; only their recordings are looked at
    """
    recording = store.rows["recording"]
    for number, info in enumerate(store.recordings):
        if str(info.path) not in logs:
            continue
        rows = np.flatnonzero(recording == number)[:_MOST_ROWS]
        reasons = _reasons(store, info, store.rows[rows])
        if reasons:
            check = shown_command("preprocess", recording_name(info.path), "--check")
            yield (
                f"{info.path}: {' and '.join(reasons)}; bcclone would not use this driving as it "
                f"is; see the rows and what mends them: {check}"
            )


def _reasons(store: Store, info: RecordingInfo, table: RowTable) -> list[str]:
    """Return what is wrong with a recording, and for how many seconds.

    table: its rows
    """
    frames = table["frame_center"]
    table = table[frames != NO_FRAME]
    frames = frames[frames != NO_FRAME]
    nothing = row_frame(table[:0])
    rows = Rows.of(row_frame(table), nothing)
    if rows.why_too_few:
        return []
    reasons = []
    stands = rows.lasting(rows.stands & rows.has_speed, STANDING_SECONDS)
    if stands.any():
        reasons.append(f"the car stands for {_seconds(rows, stands)}")
    # the steering of a film was estimated from its frames, and agrees with them anyway
    if MOTION.is_in(info.path.parent):
        return reasons
    shifts = prepared_turns(store.frames[frames], store.preprocessing.region)
    if shifts is not None:
        reasons += _faults_of_steering(rows, shifts, stands)
    return reasons


def _faults_of_steering(rows: Rows, shifts: Sequence[Shift], stands: BoolArray) -> Iterator[str]:
    """Yield what is wrong with the steering of a recording.

    shifts: of all images, each against the image before
    stands: in which rows the car stands, (rows,)
    """
    moves = ~(stands[1:] | stands[:-1])
    turns = Turns.of(shifts[1:], rows.follows).where(moves)
    agreement = measure_agreement(rows, turns)
    segmentation = segmented(rows, turns, agreement)
    if segmentation is not None and segmentation.stretches:
        wrong = np.zeros(len(rows), np.bool_)
        wrong[rows_of(segmentation.stretches)] = True
        yield f"for {_seconds(rows, wrong)} the steering does not follow the turns of the camera"
        agreement = measure_agreement(rows, turns.where(~(wrong[1:] | wrong[:-1])))
    if agreement is None:
        return
    if agreement.is_mirrored:
        yield "the car turns to the other side than it is steered"
    elif agreement.is_unrelated:
        yield "the steering does not follow the turns of the camera"


def _seconds(rows: Rows, concerned: BoolArray) -> str:
    seconds = rows.step_seconds
    return f"{seconds[concerned].sum():.0f} s of {seconds.sum():.0f} s"
