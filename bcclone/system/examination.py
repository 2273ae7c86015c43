"""The results of the checks of `bcclone doctor`, as a text or as JSON."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from bcclone.system.errors import number_of


@dataclass(frozen=True)
class Check:
    """The result of a check."""

    name: str  # what was checked, such as "python" or the name of a package
    state: Literal["ok", "warning", "failed"]
    found: str  # what is there, such as a version
    advice: str = ""  # how to fix a fault, or a hint; always given unless the state is "ok"


@dataclass(frozen=True)
class Examination:
    """The results of all checks."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Return whether no check failed; warnings are allowed."""
        return all(check.state != "failed" for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {"checks": [asdict(check) for check in self.checks], "ok": self.ok}

    def as_text(self) -> str:
        """Return a line for each check, its advice on the next line, and the counts at the end."""
        width = max(len(check.name) for check in self.checks) + 2
        lines = []
        for check in self.checks:
            state = check.state.upper() if check.state == "failed" else check.state
            lines.append(f"{check.name:<{width}}{state:<9}{check.found}")
            if check.advice:
                lines.append(f"{'':<{width + 9}}-> {check.advice}")
        failed = sum(check.state == "failed" for check in self.checks)
        warnings = sum(check.state == "warning" for check in self.checks)
        lines.append("")
        lines.append(f"{failed or 'nothing'} failed, {number_of(warnings, 'warning')}")
        return "\n".join(lines)
