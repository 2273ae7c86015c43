"""Apply edits to the rows of a log: all rows as recorded -> the corrected rows that stay, and the
deleted ones.
"""

import numpy as np
import pandas as pd

from bcclone.recording.edits import MIRROR, Edits
from bcclone.recording.row import EPISODE_GAP_MS
from bcclone.system.errors import UserError, shown_command
from bcclone.system.location import Location
from bcclone.system.numbers import FloatArray


def edited_rows(
    path: Location, table: pd.DataFrame, edits: Edits
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows that stay, with the column `episode`, and those that are deleted.

    Raises UserError if every row is deleted.

    path: the log, for the message
    table: all rows as recorded, in order of time
    """
    if "episode" in table:  # episodes are numbered anew below
        table = table.drop(columns="episode")
    deleted = edits.deleted(table["time_ms"].to_numpy(np.int64))
    if deleted.all():
        undo = shown_command("edit", path, "--undo")
        raise UserError(f"{path}: all {len(table)} rows are deleted; restore some: {undo}")
    table = table.assign(steering=corrected_steering(table, edits))
    after_gap = table["time_ms"].diff() > EPISODE_GAP_MS
    begins = after_gap | pd.Series(deleted).shift(fill_value=False)
    rows = table.assign(episode=begins.cumsum().astype("int64"))[~deleted].reset_index(drop=True)
    # an episode of which all rows are deleted leaves no gap in the numbers
    rows["episode"] = rows["episode"].rank(method="dense").astype("int64") - 1
    return rows, table[deleted].reset_index(drop=True)


def corrected_steering(rows: pd.DataFrame, edits: Edits) -> FloatArray:
    """Return the steering of all rows, mirrored and advanced as edits ask for, (rows,).

    rows: all rows as recorded, in order of time
    """
    steering = rows["steering"].to_numpy(np.float64)
    time_ms = rows["time_ms"].to_numpy(np.int64)
    for correction in edits.corrections:
        if correction.edit == MIRROR:
            # unlike -steering, 0.0 - steering is never -0.0
            steering = np.where(correction.concerned(time_ms), 0.0 - steering, steering)
        else:
            steering = _advanced(steering, time_ms.astype(np.float64), correction.seconds)
    return steering


def _advanced(steering: FloatArray, times: FloatArray, seconds: float) -> FloatArray:
    """Return for each row the steering of a later row, (rows,).

    times: of the rows, in milliseconds, (rows,)
    seconds: how much later; below 0: earlier
    """
    # the steering is taken from the same stretch between two pauses
    pauses = np.flatnonzero(np.diff(times) > EPISODE_GAP_MS) + 1
    stretches = zip(np.split(times, pauses), np.split(steering, pauses), strict=True)
    advance_ms = 1000 * seconds
    corrected = [np.interp(at + advance_ms, at, values) for at, values in stretches]
    return np.concatenate(corrected)
