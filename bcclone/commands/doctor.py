"""Check every requirement of bcclone on this machine, and explain how to fix what is missing.

The command changes and downloads nothing. The exit code is 1 if a check failed; a warning is not a failure.
"""

from bcclone.commands.options import Command, Given, Result, number_of
from bcclone.system.doctor import DoctorSettings, Examination, examine

COMMAND = Command("check this machine", (DoctorSettings,), left="nothing was changed")


def run(given: Given) -> Result:
    """Check the machine."""
    examination = examine(given.make(DoctorSettings))
    return Result(examination.as_json(), _table(examination), code=int(not examination.ok))


def _table(examination: Examination) -> str:
    width = max(len(check.name) for check in examination.checks) + 2
    lines = []
    for check in examination.checks:
        state = check.state.upper() if check.state == "failed" else check.state
        lines.append(f"{check.name:<{width}}{state:<9}{check.found}")
        if check.advice:
            lines.append(f"{'':<{width + 9}}-> {check.advice}")
    failed, warnings = (sum(check.state == state for check in examination.checks) for state in ("failed", "warning"))
    return "\n".join([*lines, "", f"{failed or 'nothing'} failed, {number_of(warnings, 'warning')}"])
