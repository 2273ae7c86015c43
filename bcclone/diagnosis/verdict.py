"""What a recording shows: its findings, which of its seconds can be used, and what is unknown.

A `Diagnosis` turns them into lines of text or JSON values.
"""

from dataclasses import dataclass, field
from typing import Any

from bcclone.diagnosis.advice import Coverage
from bcclone.diagnosis.evidence import Evidence
from bcclone.diagnosis.findings import Finding
from bcclone.diagnosis.usable_seconds import Part, Use, seconds_of

_MAX_PARTS = 5  # most parts that can be used of which a line of text gives the rows


@dataclass(frozen=True)
class Diagnosis:
    """What a recording shows."""

    findings: tuple[Finding, ...] = ()  # the faults of the recording
    unknown: tuple[str, ...] = ()  # a line "topic: reason" for each thing that could not be judged
    figures: dict[str, float | None] = field(default_factory=dict)  # measurements by name
    evidence: Evidence | None = None  # what was judged; None for too few rows
    coverage: Coverage | None = None  # what there is to learn from; None for too few rows
    parts: tuple[Part, ...] = ()  # of the recording, in order of time; () for too few rows

    @property
    def usable_seconds(self) -> float:
        return self.coverage.usable_seconds if self.coverage else 0.0

    @property
    def verdict(self) -> str:
        names = ", ".join(finding.fault for finding in self.findings)
        if not self.coverage:
            return names or "not judged"
        if not names:
            verdict = f"no fault found; {self.usable_seconds:.0f} s of driving can be used"
        else:
            verdict = f"{names}; {self._seconds_text()}"
        if self.unknown:
            topics = ", ".join(line.partition(":")[0] for line in self.unknown)
            verdict += f"; not judged: {topics}"
        return verdict

    @property
    def headline(self) -> str:
        """Return in a sentence, without the names of the faults, how much can be used."""
        if not self.coverage:
            if self.findings:
                return "Nothing can be used as it is."
            return "It cannot be judged."
        total = round(sum(part.seconds for part in self.parts))
        now = round(self.usable_seconds)
        after_edits = round(seconds_of(self.parts, Use.AFTER_EDITS))
        lost = max(total - now - after_edits, 0)
        if now == total:
            faultless = "no fault was found" if not self.findings else "with what is said below"
            return f"All {total} s of driving can be used: {faultless}."
        words = [f"{now} of {total} s can be used"]
        if after_edits:
            words.append(f"{after_edits} s more once mended")
        if lost:
            words.append(f"{lost} s not")
        return f"{', '.join(words)}."

    @property
    def not_judged(self) -> str:
        """Return in a sentence what was not judged, "" if everything was."""
        if not self.unknown:
            return ""
        topics = [line.partition(":")[0] for line in self.unknown]
        return f"Not judged: {', '.join(topics)}."

    def _seconds_text(self) -> str:
        """Return how many seconds can be used, now and after the edits, and how many cannot."""
        words = [f"{self.usable_seconds:.0f} s of driving can be used as they are"]
        after_edits = seconds_of(self.parts, Use.AFTER_EDITS)
        if after_edits:
            words.append(f"{after_edits:.0f} s after the edits")
        not_at_all = seconds_of(self.parts, Use.NOT)
        if not_at_all:
            words.append(f"{not_at_all:.0f} s not at all")
        return ", ".join(words)

    def as_json(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict,
            "findings": [finding.as_json() for finding in self.findings],
            "unknown": list(self.unknown),
            "figures": dict(self.figures),
            "usable_seconds": self.usable_seconds,
            "seconds_after_edits": seconds_of(self.parts, Use.AFTER_EDITS),
            "unusable_seconds": seconds_of(self.parts, Use.NOT),
            "parts": [part.as_json() for part in self.parts],
        }

    def as_lines(self) -> list[str]:
        lines = [f"  verdict   {self.verdict}"]
        lines += [f"  fault     {finding.as_text()}" for finding in self.findings]
        lines += self._lines_of_usable_rows()
        return lines + [f"  unknown   {line}" for line in self.unknown]

    def _lines_of_usable_rows(self) -> list[str]:
        """Return a line that names the rows that can be used, if others cannot."""
        usable = [part for part in self.parts if part.use is Use.NOW]
        if not usable or len(usable) == len(self.parts):
            return []
        spans = [f"{part.first}-{part.last}" for part in usable[:_MAX_PARTS]]
        more = len(usable) - _MAX_PARTS
        rows = ", ".join(spans)
        if more > 0:
            rows += f" and {more} more spans"
        return [f"  usable    rows {rows}"]
