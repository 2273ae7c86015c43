"""Look for the faults of a recording on a page, in a thread, again after each edit.

In: the recording with its edits. Out: a Judgement.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from bcclone.diagnosis.check import check_log
from bcclone.diagnosis.findings import Finding
from bcclone.diagnosis.frame_figures import FramesSeen, look_at
from bcclone.diagnosis.verdict import Diagnosis
from bcclone.recording.editing import EditedRows
from bcclone.recording.edits import ADVANCE, DELETE, MIRROR, Edit, seconds_text
from bcclone.recording.files import ImageIndex
from bcclone.recording.log import Log, with_edits
from bcclone.system.atomic import file_version
from bcclone.system.errors import UserError, first_line, number_of

logger = logging.getLogger(__name__)

_NOT_LOOKED_FOR = "faults are not looked for in a tub: import it to check it"


@dataclass(frozen=True)
class Judgement:
    """The faults that a recording has with the edits of one moment."""

    version: str = ""  # version of these edits; "" before the first judgement, and for a tub
    verdict: str = ""  # summary in a sentence, or why faults cannot be found; "" before the first
    findings: tuple[Finding, ...] = ()  # the faults that were found
    unknown: tuple[str, ...] = ()  # a line "topic: reason" for each thing that could not be judged

    def as_json(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict,
            "findings": [_shown(finding) for finding in self.findings],
            "unknown": list(self.unknown),
        }

    def edits_of(self, fault: str) -> tuple[Edit, ...]:
        """Return the edits that mend a fault, () if it was not found or edits do not mend it."""
        for finding in self.findings:
            if finding.fault == fault:
                return finding.edits
        return ()


def _shown(finding: Finding) -> dict[str, Any]:
    """Return a finding as the page gets it; the page counts rows from 0, a finding from 1."""
    return {
        "fault": finding.fault,
        "text": finding.text,
        "remedy": finding.remedy,
        "button": button_of(finding.edits),
        "rows": [[first - 1, last - 1] for first, last in finding.rows],
    }


def button_of(edits: Sequence[Edit]) -> str:
    """Return the text of a button that makes these edits; "" if there are no edits."""
    if not edits:
        return ""
    if len(edits) == 1 and edits[0].kind == DELETE:
        return "Delete these rows"
    words = "; then ".join(_words_of(edit) for edit in edits)
    return words[0].upper() + words[1:]


def _words_of(edit: Edit) -> str:
    if edit.kind == MIRROR:
        return "mirror the steering"
    if edit.kind == ADVANCE:
        return f"shift the steering by {seconds_text(edit.seconds)} s"
    count = sum(last - first + 1 for first, last in edit.spans)
    return f"{edit.kind} {number_of(count, 'row')}"


class FaultSearch:
    """Looks for the faults of a recording, and again after each edit, in a thread.

    The thread runs within the `with` block.

    In a donkeycar tub, faults are not looked for.

    recorded: the recording or tub
    version_of_edits: returns a text that is another one after each edit; called in the thread
    """

    def __init__(self, recorded: EditedRows, version_of_edits: Callable[[], str]) -> None:
        self.judgement = Judgement()  # the newest one
        self.rows_seen = 0  # how many rows' frames have been read so far
        self._recorded = recorded
        self._version_of_edits = version_of_edits
        self._seen: FramesSeen | None = None  # what the frames of all rows show, once read
        self._closed = threading.Event()
        self._changed = threading.Event()  # set after an edit, and to wake the thread at the end
        self._thread: threading.Thread | None = None
        if recorded.log is None:  # a tub
            self.rows_seen = len(recorded.rows)
            unknown = (recorded.unusable,) if recorded.unusable else ()
            self.judgement = Judgement(verdict=_NOT_LOOKED_FOR, unknown=unknown)
        else:
            work = (recorded.log, file_version(recorded.path))
            self._thread = threading.Thread(target=self._judge, args=work, daemon=True)

    def __enter__(self) -> Self:
        if self._thread is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._changed.set()
        if self._thread is not None:
            self._thread.join()

    def look_again(self) -> None:
        """Judge the recording again, because its edits have changed."""
        self._changed.set()

    def _judge(self, log: Log, log_version: tuple[int, int]) -> None:
        """Judge a log with its edits, now and after each change of the edits.

        log_version: version of the log's file, see file_version()
        """
        index = self._recorded.images or ImageIndex(log.path)
        while not self._closed.is_set():
            self._changed.clear()
            version = self._version_of_edits()
            try:
                if file_version(self._recorded.path) != log_version:
                    raise UserError(
                        "the log has changed since this page was opened: start bcclone edit again"
                    )
                edited = with_edits(log, self._recorded.read_edits())
                report = check_log(edited, index, lambda rows: self._look(rows, index))
            except (UserError, OSError) as error:  # all rows are deleted, or the log is gone
                self.judgement = Judgement(version, verdict=str(error))
            except _Closed:
                return
            except Exception as error:  # the page would show a search that never ends
                logger.exception("the search for faults failed")
                verdict = f"the search for faults failed: {first_line(error)}"
                self.judgement = Judgement(version, verdict=verdict)
            else:
                diagnosis = report.diagnosis or Diagnosis()
                self.judgement = Judgement(
                    version, diagnosis.verdict, diagnosis.findings, diagnosis.unknown
                )
            self._changed.wait()

    def _look(self, rows: pd.DataFrame, index: ImageIndex) -> FramesSeen:
        """Return what the frames of some rows show; the first call reads and keeps all rows'."""
        all_rows = self._recorded.rows
        if self._seen is None:
            self._seen = look_at(all_rows, index, self._advance)
        lines = set(rows["line"])
        kept = np.flatnonzero(all_rows["line"].isin(lines))
        faults = {line: why for line, why in self._seen.faults.items() if line in lines}
        return FramesSeen(self._seen.figures.of_rows(kept), faults)

    def _advance(self, count: int) -> None:
        """Count rows whose frames were read; raises _Closed to end the thread."""
        if self._closed.is_set():
            raise _Closed
        self.rows_seen += count


class _Closed(Exception):
    """The block has ended while frames are read."""
