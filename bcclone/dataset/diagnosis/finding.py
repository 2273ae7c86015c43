"""What a diagnosis finds: faults of a recording, how much it covers, and what could not be judged."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from bcclone.dataset.diagnosis.advice import Coverage
from bcclone.dataset.diagnosis.driven import Driven
from bcclone.system.json_values import to_json

_MOST_SPANS = 5  # in a line of text


@dataclass(frozen=True)
class Finding:
    """One fault of a recording.

    fault: its name, as docs/how-to/own-recording.md lists them; text: what was measured, and what was expected; remedy:
    how to mend it; rows: those concerned, as spans from the first to the last, () for all, numbered as by `bcclone
    edit`: in order of time, from 1; value, uncertainty: the measured amount and its standard error, in `unit`; usable:
    the rows can be trained on as they are.
    """

    fault: str
    text: str
    remedy: str
    rows: tuple[tuple[int, int], ...] = ()
    value: float | None = None
    uncertainty: float | None = None
    unit: str = ""
    usable: bool = False

    def as_text(self) -> str:
        spans = ", ".join(f"{first}" if first == last else f"{first}-{last}" for first, last in self.rows[:_MOST_SPANS])
        more = f" and {len(self.rows) - _MOST_SPANS} more spans" if len(self.rows) > _MOST_SPANS else ""
        where = f" (rows {spans}{more})" if spans else ""
        return f"{self.fault}: {self.text}{where}\n            remedy: {self.remedy}"


@dataclass(frozen=True)
class Diagnosis:
    """What a recording shows. findings: its faults; unknown: what could not be judged.

    figures: what was measured, by name; usable_seconds: of driving, without the rows that a finding names; driven: what
    was judged; coverage: what there is to learn from; both None for too few rows.
    """

    findings: tuple[Finding, ...] = ()
    unknown: tuple[str, ...] = ()
    figures: dict[str, float | None] = field(default_factory=dict)
    usable_seconds: float = 0.0
    driven: Driven | None = None
    coverage: Coverage | None = None

    @property
    def verdict(self) -> str:
        if not self.findings:
            return (
                f"no fault found; {self.usable_seconds:.0f} s of driving can be used" if self.driven else "not judged"
            )
        names = ", ".join(finding.fault for finding in self.findings)
        return f"{names}; {self.usable_seconds:.0f} s of driving can be used as they are" if self.driven else names

    def of_recording(self, name: str) -> Self:
        """Return the diagnosis with remedies that name the recording."""
        word = shlex.quote(name)
        named = (replace(each, remedy=each.remedy.replace("RECORDING", word)) for each in self.findings)
        return replace(self, findings=tuple(named))

    def as_json(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict,
            "findings": to_json(self.findings),
            "unknown": list(self.unknown),
            "figures": dict(self.figures),
            "usable_seconds": self.usable_seconds,
        }

    def as_lines(self) -> list[str]:
        lines = [f"  verdict   {self.verdict}"]
        lines += [f"  fault     {finding.as_text()}" for finding in self.findings]
        return lines + [f"  unknown   {line}" for line in self.unknown]


def spans_of(numbers: Sequence[int], apart: int = 1) -> tuple[tuple[int, int], ...]:
    """Return increasing numbers as spans of those that follow one another, at most `apart` away."""
    spans: list[tuple[int, int]] = []
    for number in numbers:
        if spans and number - spans[-1][1] <= apart:
            spans[-1] = (spans[-1][0], number)
        else:
            spans.append((number, number))
    return tuple(spans)


def delete_rows(spans: Sequence[tuple[int, int]]) -> str:
    """Return the remedy for rows that cannot be used: to delete the longest span, and the other ones."""
    first, last = max(spans, key=lambda span: span[1] - span[0])
    others = "" if len(spans) == 1 else f", and the other {len(spans) - 1} spans"
    return f"bcclone edit RECORDING --delete {first} {last}{others}"
