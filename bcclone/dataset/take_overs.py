"""Choose the rows of a log by who drove, and mark those in which a person has taken over.

In: a log with its drivers.csv. Out: the log with the chosen rows only.

A take-over begins when a person takes over from the model, and ends when the model drives again. A
row that is not in drivers.csv, such as the last one of a killed program, counts as driven by the
model, so that it is never taken for a correction.
"""

from dataclasses import replace

import numpy as np

from bcclone.dataset.sample_settings import CORRECTIONS, GOOD_ROWS
from bcclone.recording.log import Log
from bcclone.recording.run_tables import BY_MODEL, MODEL, read_drivers
from bcclone.system.numbers import BoolArray, IndexArray

WENT_WRONG_SECONDS = 5  # seconds before a take-over in which the model's driving counts as wrong
LEFT_OUT = {  # choice -> which rows it leaves out, in words that follow "rows" in a message
    GOOD_ROWS: f"that the model drove in the {WENT_WRONG_SECONDS} s before a person took over",
    CORRECTIONS: "in which no person had taken over",
}


def choose_rows(log: Log, choice: str) -> Log:
    """Return the log with the chosen rows only, and with the column `take_over`, bool.

    A new episode begins where rows were left out. A recording in which no model drove keeps all of
    its rows. Raises UserError for a drivers.csv that is wrong.

    choice: one of sample_settings.ROWS
    """
    rows = log.rows
    drivers = read_drivers(log.path.parent)
    if not drivers:
        return replace(log, rows=rows.assign(take_over=False))
    driven = [drivers.get(image, BY_MODEL) for image in rows["center"]]
    take_overs = np.array([row.take_over or 0 for row in driven], np.int64)
    by_model = np.array([row.driver == MODEL for row in driven], np.bool_)

    is_kept = np.ones(len(rows), np.bool_)
    if choice == CORRECTIONS and by_model.any():
        is_kept = take_overs > 0
    elif choice == GOOD_ROWS:
        is_kept = ~(by_model & _before_take_overs(log, take_overs))
    chosen = rows.assign(take_over=take_overs > 0)[is_kept].reset_index(drop=True)

    # steering is smoothed within an episode, so it must not reach over a gap
    after_gap = np.diff(np.flatnonzero(is_kept)) > 1
    in_next_episode = np.diff(chosen["episode"]) != 0
    episode = np.append(0, np.cumsum(after_gap | in_next_episode))
    # without any row, `episode` still has its first 0
    return replace(log, rows=chosen.assign(episode=episode[: len(chosen)]))


def _before_take_overs(log: Log, take_overs: IndexArray) -> BoolArray:
    """Return which rows are in the last seconds before a take-over, bool (rows,).

    Only rows of the same episode as the take-over count.

    take_overs: number of the take-over that each row belongs to, 0 for none, (rows,)
    """
    time_ms = log.rows["time_ms"].to_numpy(np.int64)
    episode = log.rows["episode"].to_numpy()
    previous = np.append(0, take_overs[:-1])
    begins = (take_overs > 0) & (take_overs != previous)

    is_before = np.zeros(len(take_overs), np.bool_)
    for row in np.flatnonzero(begins).tolist():
        first = int(np.searchsorted(time_ms, time_ms[row] - WENT_WRONG_SECONDS * 1000))
        is_before[first:row] |= episode[first:row] == episode[row]
    return is_before
