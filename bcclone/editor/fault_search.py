"""A recording with its edits -> its faults, as the page of the editor shows them.

They are sought in a thread, again after each edit; the frames are read once.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bcclone.camera.framing import try_stretched
from bcclone.camera.images import Image, try_frame
from bcclone.diagnosis.check import advise, check_log
from bcclone.diagnosis.evidence import Finding
from bcclone.diagnosis.judging import Diagnosis, Use
from bcclone.diagnosis.motion import ReadImage, RecordingFigures, look_at
from bcclone.exchange.edited_tub import correcting_import
from bcclone.recording.editing import EditedRecording
from bcclone.recording.edits import ADVANCE, DELETE, MIRROR, Edit, seconds_text
from bcclone.recording.log import with_edits
from bcclone.system.errors import UserError, first_line, number_of, shown_command
from bcclone.system.files import file_version

logger = logging.getLogger(__name__)


class Judgement(NamedTuple):
    """The faults that a recording has with the edits of one moment."""

    version: str = ""  # version of these edits; "" before the first judgement
    verdict: str = ""  # what can be used, or why faults cannot be found; "" before it is known
    diagnosis: Diagnosis = Diagnosis()
    record_next: tuple[str, ...] = ()  # lines that say what to record besides

    def as_json(self) -> dict[str, Any]:
        """Return what the page gets; it counts rows from 0, a finding from 1."""
        diagnosis = self.diagnosis
        findings = []
        for finding in diagnosis.worst_first:
            good_rows = round(finding.good_rows) if finding.cost_rows else 0
            findings.append(
                {
                    "fault": finding.fault,
                    "text": finding.text,
                    "measured": finding.measured,
                    "remedy": finding.remedy,
                    "advice": finding.advice,
                    "button": button_of(finding),
                    "cost": f"with about {number_of(good_rows, 'good row')}" if good_rows else "",
                    "rows": [[first - 1, last - 1] for first, last in finding.rows],
                    # the rows that the edits delete or mirror; [] for all rows
                    "takes": [list(span) for edit in finding.edits for span in edit.spans],
                }
            )
        worst = diagnosis.worst
        return {
            "verdict": self.verdict,
            "mark": _mark_of(diagnosis),
            "worst": worst.fault if worst else "",
            "not_judged": diagnosis.not_judged,
            "findings": findings,
            "unknown": list(diagnosis.unknown),
            "record_next": list(self.record_next),
            "parts": [[part.first - 1, part.last - 1, part.use.value] for part in diagnosis.parts],
        }


def _mark_of(diagnosis: Diagnosis) -> str:
    """Return the mark of a verdict: good if all can be used, bad if nothing can ever be."""
    if diagnosis.is_good:
        return "good"
    uses = {part.use for part in diagnosis.parts}
    can_be_used = not uses.isdisjoint({Use.NOW, Use.AFTER_EDITS})
    return "careful" if can_be_used or not diagnosis.findings else "bad"


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
        self._read_image: ReadImage = try_stretched if self._is_tub else try_frame
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
                    "the log has changed since this page was opened: end this page with Ctrl-C, "
                    f"and open it again: {shown_command('edit', recorded.path)}"
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
            unknown += (f"what some records hold: {recorded.unusable}",)
        findings = tuple(map(self._as_can_be_done, diagnosis.findings))
        diagnosis = replace(diagnosis, findings=findings, unknown=unknown)
        return Judgement(version, diagnosis.verdict, diagnosis, advise([diagnosis]))

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
