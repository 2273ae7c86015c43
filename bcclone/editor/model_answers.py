"""A recording and a model -> the model's steering in each row, and where the two differ most.

The page of the editor asks the model in a thread.
"""

import threading
from typing import Any

import numpy as np

from bcclone.camera.framing import framing_of
from bcclone.model.policy import Memory, Policy
from bcclone.recording.editing import EditedRecording
from bcclone.recording.row import EPISODE_GAP_MS
from bcclone.system.arrays import Float32Array
from bcclone.system.errors import first_line


class ModelAnswers:
    """Asks a model for the steering of each row; run() in a thread.

    has_model: whether run() will be called; otherwise no row is asked
    closed: set to end it
    """

    def __init__(self, recorded: EditedRecording, has_model: bool, closed: threading.Event) -> None:
        size = len(recorded.rows)
        self.steering: Float32Array = np.full(size, np.nan, np.float32)  # NaN: no answer (yet)
        self.rows_asked = 0  # how many rows the model has been asked for so far
        # how many rows it will be asked for in all; when it fails, those up to the failure
        self.rows_to_ask = size if has_model else 0
        self.error = ""  # why the model fails, "" if it does not
        self._recorded = recorded
        self._closed = closed

    @property
    def is_complete(self) -> bool:
        """Return whether the model has been asked for all rows."""
        return self.rows_asked == self.rows_to_ask > 0 and not self.error

    @property
    def version(self) -> int:
        """Return a number that changes whenever pages should fetch the answers again."""
        rows_between = 500  # rows between two changes, until all rows are answered
        if self.rows_asked == self.rows_to_ask:
            return self.rows_asked
        return self.rows_asked // rows_between

    def run(self, policy: Policy) -> None:
        """Ask the model for all rows, and note why it fails if it does."""
        try:
            self._ask(policy)
        except Exception as error:  # the model may be anybody's, and raise anything
            self.fail(f"fails: {first_line(error)}")

    def fail(self, error: str) -> None:
        """Ask for no more rows. error: what the model does instead, after its name"""
        self.error = error
        self.rows_to_ask = self.rows_asked

    def _ask(self, policy: Policy) -> None:
        from bcclone.evaluation.predict import PictureInputs  # loads the simulator

        # a recording may have been framed when it was imported; the model's framing is then not due
        recorded = self._recorded
        is_framed = framing_of(recorded.log.path) is not None
        framing = None if is_framed else policy.framing
        inputs = PictureInputs(policy, framing)

        # the model remembers frames (see Memory) only until the next pause of the recording
        pauses = np.diff(recorded.times, prepend=recorded.times[0]) > EPISODE_GAP_MS
        memory: Memory = ()
        for row, begins in enumerate(pauses.tolist()):
            if self._closed.is_set():
                return
            if begins:
                memory = ()
            path = recorded.image_path(row, "center")
            if path:
                read = inputs.read(path)
                if not isinstance(read, str):  # a text says why the image cannot be read
                    image, _ = read
                    answer, memory = policy.next_answer(image, memory)
                    self.steering[row] = answer.steering
            self.rows_asked = row + 1

    def most_apart(self) -> list[dict[str, Any]]:
        """Return the stretches of the recording in which model and driver differ most.

        The mean difference of the steering in a second counts; seconds that follow one another are
        one stretch. The stretch of which most steering differs for longest comes first.
        """
        longest_break = 2  # seconds between two of a stretch that may differ less
        most_stretches = 12  # how many are returned
        least_difference = 0.1  # smallest mean difference that is returned; full steering is 1
        recorded = self._recorded
        differences = np.abs(self.steering - recorded.steering)
        known = np.isfinite(differences) & ~recorded.deleted

        # the second of each row, and the mean difference in each second
        seconds = recorded.seconds.astype(int)
        counts = np.maximum(np.bincount(seconds, known), 1)
        means = np.bincount(seconds, np.where(known, differences, 0.0)) / counts

        # second N has the rows from begins[N] up to begins[N + 1], without that
        begins = np.searchsorted(seconds, np.arange(len(means) + 1))
        apart = np.flatnonzero(means > least_difference)
        breaks = np.flatnonzero(np.diff(apart) > longest_break) + 1
        stretches = [stretch for stretch in np.split(apart, breaks) if len(stretch)]
        stretches.sort(key=lambda stretch: -float(means[stretch].sum()))
        listed = []
        for stretch in stretches[:most_stretches]:
            first = int(begins[stretch[0]])
            last = int(begins[stretch[-1] + 1]) - 1
            difference = round(float(np.nanmean(differences[first : last + 1])), 3)
            listed.append({"first": first, "last": last, "difference": difference})
        return listed
