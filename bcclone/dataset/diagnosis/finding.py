"""What a diagnosis finds: faults of a recording, what it holds, and what could not be judged."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from bcclone.dataset.diagnosis.advice import Held
from bcclone.dataset.diagnosis.driven import Driven
from bcclone.system.json_values import to_json

_MOST_SPANS = 5  # in a line of text


@dataclass(frozen=True)
class Finding:
    """One fault of a recording.

    fault: its name, as docs/how-to/own-recording.md lists them; text: what was measured, and what was expected; remedy:
    how to mend it; rows: the lines of the log concerned, as spans from the first to the last, () for all; value,
    uncertainty: the measured amount and its standard error, in `unit`.
    """

    fault: str
    text: str
    remedy: str
    rows: tuple[tuple[int, int], ...] = ()
    value: float | None = None
    uncertainty: float | None = None
    unit: str = ""

    def as_text(self) -> str:
        """Return the finding as lines of the report."""
        spans = ", ".join(f"{first}" if first == last else f"{first}-{last}" for first, last in self.rows[:_MOST_SPANS])
        more = f" and {len(self.rows) - _MOST_SPANS} more spans" if len(self.rows) > _MOST_SPANS else ""
        where = f" (rows {spans}{more})" if spans else ""
        return f"{self.fault}: {self.text}{where}\n            remedy: {self.remedy}"


@dataclass(frozen=True)
class Diagnosis:
    """What a recording shows. findings: its faults; unknown: what could not be judged.

    figures: what was measured, by name; usable_seconds: of driving, without the rows that a finding names; driven: what
    was judged; held: what there is to learn from; None for too few rows.
    """

    findings: tuple[Finding, ...] = ()
    unknown: tuple[str, ...] = ()
    figures: dict[str, float | None] = field(default_factory=dict)
    usable_seconds: float = 0.0
    driven: Driven | None = None
    held: Held | None = None

    @property
    def verdict(self) -> str:
        """Return the verdict in a line."""
        if not self.findings:
            return f"no fault found; {self.usable_seconds:.0f} s of driving can be used"
        names = ", ".join(finding.fault for finding in self.findings)
        return f"{names}; {self.usable_seconds:.0f} s of driving can be used as they are"

    def of_recording(self, name: str) -> Self:
        """Return the diagnosis with remedies that name the recording."""
        named = (replace(finding, remedy=finding.remedy.replace("RECORDING", name)) for finding in self.findings)
        return replace(self, findings=tuple(named))

    def as_json(self) -> dict[str, Any]:
        """Return the diagnosis as JSON values."""
        return {
            "verdict": self.verdict,
            "findings": to_json(self.findings),
            "unknown": list(self.unknown),
            "figures": dict(self.figures),
            "usable_seconds": self.usable_seconds,
        }

    def as_lines(self) -> list[str]:
        """Return the lines of the report."""
        lines = [f"  verdict   {self.verdict}"]
        lines += [f"  fault     {finding.as_text()}" for finding in self.findings]
        return lines + [f"  unknown   {line}" for line in self.unknown]


def spans_of(lines: Sequence[int], apart: int = 10) -> tuple[tuple[int, int], ...]:
    """Return increasing line numbers as spans of lines that follow one another, at most `apart` away."""
    spans: list[tuple[int, int]] = []
    for line in lines:
        if spans and line - spans[-1][1] <= apart:
            spans[-1] = (spans[-1][0], line)
        else:
            spans.append((line, line))
    return tuple(spans)
