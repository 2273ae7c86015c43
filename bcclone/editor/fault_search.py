"""Look for the faults of a recording on a page, in a thread, again after each edit.

In: the recording with its edits. Out: a Judgement of them. The frames are read once, so that a
search after an edit is short.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd

from bcclone.camera.framing import Framing
from bcclone.camera.images import MISSING, BadImage, Image, read_picture, try_frame
from bcclone.diagnosis.check import check_log
from bcclone.diagnosis.evidence import Finding
from bcclone.diagnosis.frames import ReadImage, RecordingFigures, look_at
from bcclone.diagnosis.judging import Diagnosis
from bcclone.exchange.edited_tub import correcting_import
from bcclone.recording.editing import EditedRecording
from bcclone.recording.edits import ADVANCE, DELETE, MIRROR, Edit, seconds_text
from bcclone.recording.log import with_edits
from bcclone.system.errors import UserError, first_line, number_of
from bcclone.system.files import file_version

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Judgement:
    """The faults that a recording has with the edits of one moment."""

    version: str = ""  # version of these edits; "" before the first judgement
    verdict: str = ""  # what can be used, or why faults cannot be found; "" before it is known
    diagnosis: Diagnosis = Diagnosis()  # noqa: RUF009 a frozen value


def button_of(finding: Finding) -> str:
    """Return the text of a button that makes the edits of a finding; "" if there are none.

    It says what the edits take: "Delete 4.9 s of 122 s".
    """
    if not finding.edits:
        return ""
    cost = finding.cost
    if len(finding.edits) == 1 and cost:
        verb = "Delete" if cost.deletes else "Mirror"
        return f"{verb} {cost.seconds:.1f} s of {cost.of_seconds:.0f} s"
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
    """Looks for the faults of a recording or tub, and again after each edit, in a thread.

    The thread runs within the `with` block.

    version_of_edits: returns a text that is another one after each edit; called in the thread
    """

    def __init__(self, recorded: EditedRecording, version_of_edits: Callable[[], str]) -> None:
        self.judgement = Judgement()  # the newest one
        self.rows_seen = 0  # how many rows' frames have been read so far
        self._recorded = recorded
        self._version_of_edits = version_of_edits
        self._is_tub = recorded.kind == "tub"
        self._read_image: ReadImage = _try_stretched if self._is_tub else try_frame
        self._seen: RecordingFigures | None = None  # what the frames of all rows show, once read
        self._closed = threading.Event()
        self._changed = threading.Event()  # set after an edit, and to wake the thread at the end
        work = (file_version(recorded.path),)
        self._thread = threading.Thread(target=self._run, args=work, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End the thread, at the latest when it has judged the figures of all frames."""
        self._closed.set()
        self._changed.set()
        self._thread.join()

    def look_again(self) -> None:
        """Judge the recording again, because its edits have changed."""
        self._changed.set()

    def _read(self, path: str | None) -> tuple[Image | None, str]:
        if self._closed.is_set():
            raise UserError("the page was closed")
        return self._read_image(path)

    # ---- what a page shows of it

    def edits_of(self, fault: str) -> tuple[Edit, ...]:
        """Return the edits that mend a fault, () if it was not found or edits do not mend it."""
        findings = self.judgement.diagnosis.findings
        return next((finding.edits for finding in findings if finding.fault == fault), ())

    def shown(self, taken: Sequence[str]) -> dict[str, Any]:
        """Return the judgement as JSON.

        taken: faults whose remedies were taken since, in this order
        """
        judgement = self.judgement
        diagnosis = judgement.diagnosis
        return {
            "verdict": judgement.verdict,
            "not_judged": diagnosis.not_judged,
            "findings": [_shown(finding, taken) for finding in diagnosis.findings],
            "unknown": list(diagnosis.unknown),
            "parts": [[part.first - 1, part.last - 1, part.use.value] for part in diagnosis.parts],
        }

    # ---- the thread

    def _run(self, log_version: tuple[int, int]) -> None:
        """Judge the recording with its edits, now and after each change of the edits.

        log_version: version of the log's file, or of the tub's folder, see file_version()
        """
        while not self._closed.is_set():
            self._changed.clear()
            version = self._version_of_edits()
            judgement = self._judged(version, log_version)
            if self._closed.is_set():
                return
            # edits that have changed meanwhile are judged at once
            if not self._changed.is_set():
                self.judgement = judgement
                self._changed.wait()

    def _judged(self, version: str, log_version: tuple[int, int]) -> Judgement:
        """Return the judgement of the edits as they are now, or why it fails."""
        recorded = self._recorded
        try:
            if not self._is_tub and file_version(recorded.path) != log_version:
                raise UserError(
                    "the log has changed since this page was opened: start bcclone edit again"
                )
            log = with_edits(recorded.log, recorded.read_edits())
            report = check_log(log, recorded.images, self._look, self._read)
        except (UserError, OSError) as error:  # all rows are deleted, or the log is gone
            return Judgement(version, verdict=str(error))
        except Exception as error:  # the page would show a search that never ends
            logger.exception("the search for faults failed")
            return Judgement(version, verdict=f"the search for faults failed: {first_line(error)}")
        diagnosis = report.diagnosis or Diagnosis()
        findings = tuple(map(self._as_can_be_done, diagnosis.findings))
        unknown = diagnosis.unknown
        if recorded.unusable:
            unknown += (f"some records: {recorded.unusable}",)
        diagnosis = replace(diagnosis, findings=findings, unknown=unknown)
        return Judgement(version, diagnosis.headline, diagnosis)

    def _as_can_be_done(self, finding: Finding) -> Finding:
        """Return a finding with a remedy that this kind of recording allows.

        Of a tub, only the list of deleted records is edited.
        """
        if not self._is_tub or all(edit.kind == DELETE for edit in finding.edits):
            return finding
        if finding.numbers(MIRROR):
            spans = tuple(span for edit in finding.edits for span in edit.spans)
            cost = replace(finding.cost, deletes=True) if finding.cost else None
            return replace(finding, edits=(Edit(DELETE, spans),), cost=cost)
        commands = correcting_import(self._recorded.path, finding.edits)
        advice = f"make a recording of the tub, with its steering corrected: {commands}"
        return replace(finding, edits=(), cost=None, advice=f"{finding.advice} {advice}".strip())

    def _look(self, rows: pd.DataFrame) -> RecordingFigures:
        """Return what the frames of some rows show; the first call reads and keeps all rows'."""
        all_rows = self._recorded.rows
        if self._seen is None:
            self._seen = look_at(all_rows, self._recorded.images, self._advance, self._read)
        return self._seen.of_rows(np.flatnonzero(all_rows["line"].isin(set(rows["line"]))))

    def _advance(self, count: int) -> None:
        self.rows_seen += count


def _shown(finding: Finding, taken: Sequence[str]) -> dict[str, Any]:
    """Return a finding as the page gets it; the page counts rows from 0, a finding from 1.

    taken: faults whose remedies were taken; these have no button
    """
    is_taken = finding.fault in taken
    cost = ""
    if finding.cost and round(finding.cost.good_rows):
        cost = f"with about {number_of(round(finding.cost.good_rows), 'good row')}"
    return {
        "fault": finding.fault,
        "text": finding.text,
        "remedy": finding.remedy,
        "advice": finding.advice,
        "button": "" if is_taken else button_of(finding),
        "taken": is_taken,
        "cost": cost,
        "rows": [[first - 1, last - 1] for first, last in finding.rows],
        # the rows that the edits delete or mirror; [] for all rows
        "takes": [list(span) for edit in finding.edits for span in edit.spans],
    }


def _try_stretched(path: str | None) -> tuple[Image | None, str]:
    """Return the picture in a file, stretched to a frame as by an import, as try_frame() does."""
    if not path:
        return None, MISSING
    try:
        picture = read_picture(path)
        return Framing.of(picture).apply(picture), ""
    except BadImage as error:
        return None, f": {error}"
