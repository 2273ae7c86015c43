"""What the page of a recording computes in threads: its faults, and the steering of a model.

In: the recording with its edits, and a model. Out: a Judgement, again after each edit, for which
the frames are read once; and the model's steering in each row, and where the two differ most.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bcclone.camera.framing import Framing, framing_of
from bcclone.camera.images import MISSING, BadImage, Image, read_picture, try_frame
from bcclone.diagnosis.check import check_log
from bcclone.diagnosis.evidence import Finding
from bcclone.diagnosis.judging import Diagnosis
from bcclone.diagnosis.motion import ReadImage, RecordingFigures, look_at
from bcclone.exchange.edited_tub import correcting_import
from bcclone.model.policy import Memory, Policy
from bcclone.recording.editing import EditedRecording
from bcclone.recording.edits import ADVANCE, DELETE, MIRROR, Edit, seconds_text
from bcclone.recording.log import with_edits
from bcclone.recording.row import EPISODE_GAP_MS
from bcclone.system.arrays import Float32Array
from bcclone.system.errors import UserError, first_line, number_of
from bcclone.system.files import file_version

logger = logging.getLogger(__name__)


class Judgement(NamedTuple):
    """The faults that a recording has with the edits of one moment."""

    version: str = ""  # version of these edits; "" before the first judgement
    verdict: str = ""  # what can be used, or why faults cannot be found; "" before it is known
    diagnosis: Diagnosis = Diagnosis()

    def as_json(self) -> dict[str, Any]:
        """Return what the page gets; it counts rows from 0, a finding from 1."""
        diagnosis = self.diagnosis
        findings = []
        for finding in diagnosis.findings:
            good_rows = round(finding.good_rows) if finding.cost_rows else 0
            findings.append(
                {
                    "fault": finding.fault,
                    "text": finding.text,
                    "remedy": finding.remedy,
                    "advice": finding.advice,
                    "button": button_of(finding),
                    "cost": f"with about {number_of(good_rows, 'good row')}" if good_rows else "",
                    "rows": [[first - 1, last - 1] for first, last in finding.rows],
                    # the rows that the edits delete or mirror; [] for all rows
                    "takes": [list(span) for edit in finding.edits for span in edit.spans],
                }
            )
        return {
            "verdict": self.verdict,
            "not_judged": diagnosis.not_judged,
            "findings": findings,
            "unknown": list(diagnosis.unknown),
            "parts": [[part.first - 1, part.last - 1, part.use.value] for part in diagnosis.parts],
        }


def button_of(finding: Finding) -> str:
    """Return the text of a button that makes the edits of a finding; "" if there are none.

    It says what the edits take: "Delete 4.9 s of 122 s".
    """
    if not finding.edits:
        return ""
    if len(finding.edits) == 1 and finding.cost_rows:
        verb = "Delete" if finding.only_deletes else "Mirror"
        return f"{verb} {finding.cost_seconds:.1f} s of {finding.of_seconds:.0f} s"
    words = "; then ".join(_words_of(edit) for edit in finding.edits)
    return words[0].upper() + words[1:]


def _words_of(edit: Edit) -> str:
    if edit.kind == MIRROR and not edit.spans:
        return "mirror the steering"
    if edit.kind == ADVANCE:
        return f"shift the steering by {seconds_text(edit.seconds)} s"
    count = sum(last - first + 1 for first, last in edit.spans)
    verb = "mirror" if edit.kind == MIRROR else edit.kind
    return f"{verb} {number_of(count, 'row')}"


class FaultSearch:
    """Looks for the faults of a recording or tub, and again after each edit; run() in a thread.

    version_of_edits: returns a text that is another one after each edit
    closed: set to end the search; look_again() wakes it then
    """

    def __init__(
        self,
        recorded: EditedRecording,
        version_of_edits: Callable[[], str],
        closed: threading.Event,
    ) -> None:
        self.judgement = Judgement()  # the newest one
        self.rows_seen = 0  # how many rows' frames have been read so far
        self._recorded = recorded
        self._version_of_edits = version_of_edits
        self._is_tub = recorded.kind == "tub"
        self._read_image: ReadImage = _try_stretched if self._is_tub else try_frame
        self._seen: RecordingFigures | None = None  # what the frames of all rows show, once read
        self._log_version = file_version(recorded.path)
        self._closed = closed
        self._changed = threading.Event()

    def look_again(self) -> None:
        """Judge the recording again, because its edits have changed."""
        self._changed.set()

    def edits_of(self, fault: str) -> tuple[Edit, ...]:
        """Return the edits that mend a fault, () if it was not found or edits do not mend it."""
        findings = self.judgement.diagnosis.findings
        return next((finding.edits for finding in findings if finding.fault == fault), ())

    def run(self) -> None:
        """Judge the recording with its edits, now and after each change of the edits."""
        while not self._closed.is_set():
            self._changed.clear()
            judgement = self._judged(self._version_of_edits())
            if self._closed.is_set():
                return
            # edits that have changed meanwhile are judged at once
            if not self._changed.is_set():
                self.judgement = judgement
                self._changed.wait()

    def _judged(self, version: str) -> Judgement:
        """Return the judgement of the edits as they are now, or why it fails."""
        recorded = self._recorded
        try:
            if not self._is_tub and file_version(recorded.path) != self._log_version:
                raise UserError(
                    "the log has changed since this page was opened: start bcclone edit again"
                )
            log = with_edits(recorded.log, recorded.read_edits())
            report = check_log(log, recorded.images, self._look, self._read)
        except (UserError, OSError) as error:  # all rows are deleted, or the log is gone
            return Judgement(version, str(error))
        except Exception as error:  # the page would show a search that never ends
            logger.exception("the search for faults failed")
            return Judgement(version, f"the search for faults failed: {first_line(error)}")
        diagnosis = report.diagnosis or Diagnosis()
        unknown = diagnosis.unknown
        if recorded.unusable:
            unknown += (f"some records: {recorded.unusable}",)
        findings = tuple(map(self._as_can_be_done, diagnosis.findings))
        diagnosis = replace(diagnosis, findings=findings, unknown=unknown)
        return Judgement(version, diagnosis.verdict, diagnosis)

    def _as_can_be_done(self, finding: Finding) -> Finding:
        """Return a finding with a remedy that this kind of recording allows.

        Of a tub, only the list of deleted records is edited.
        """
        if not self._is_tub or all(edit.kind == DELETE for edit in finding.edits):
            return finding
        if finding.numbers(MIRROR):
            spans = tuple(span for edit in finding.edits for span in edit.spans)
            return replace(finding, edits=(Edit(DELETE, spans),))
        commands = correcting_import(self._recorded.path, finding.edits)
        advice = f"make a recording of the tub, with its steering corrected: {commands}"
        advice = f"{finding.advice} {advice}".strip()
        return replace(finding, edits=(), cost_rows=0, advice=advice)

    def _look(self, rows: pd.DataFrame) -> RecordingFigures:
        """Return what the frames of some rows show; the first call reads and keeps all rows'."""
        all_rows = self._recorded.rows
        if self._seen is None:
            self._seen = look_at(all_rows, self._recorded.images, self._advance, self._read)
        return self._seen.of_rows(np.flatnonzero(all_rows["line"].isin(set(rows["line"]))))

    def _advance(self, count: int) -> None:
        self.rows_seen += count

    def _read(self, path: str | None) -> tuple[Image | None, str]:
        if self._closed.is_set():
            raise UserError("the page was closed")
        return self._read_image(path)


def _try_stretched(path: str | None) -> tuple[Image | None, str]:
    """Return the picture in a file, stretched to a frame as by an import, as try_frame() does."""
    if not path:
        return None, MISSING
    try:
        picture = read_picture(path)
        return Framing.of(picture).apply(picture), ""
    except BadImage as error:
        return None, f": {error}"


# ---- the steering of a model


class ModelAnswers:
    """Asks a model for the steering of each row; run() in a thread.

    policy: the model; None for no model, and then no row is asked
    closed: set to end it
    """

    def __init__(
        self, recorded: EditedRecording, policy: Policy | None, closed: threading.Event
    ) -> None:
        size = len(recorded.rows)
        self.steering: Float32Array = np.full(size, np.nan, np.float32)  # NaN: no answer (yet)
        self.rows_asked = 0  # how many rows the model has been asked for so far
        # how many rows it will be asked for in all; when it fails, those up to the failure
        self.rows_to_ask = size if policy else 0
        self.error = ""  # why the model fails, "" if it does not
        self._recorded = recorded
        self._policy = policy
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

    def run(self) -> None:
        """Ask the model for all rows, and note why it fails if it does."""
        if self._policy is None:
            return
        try:
            self._ask(self._policy)
        except Exception as error:  # the model may be anybody's, and raise anything
            self.error = f"it fails: {first_line(error)}"
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
