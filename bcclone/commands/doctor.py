"""Check every requirement of bcclone on this machine, and explain how to fix what is missing.

The command changes and downloads nothing. The exit code is 1 if a check failed; a warning is not a failure.
"""

import argparse

from bcclone.commands.options import add_settings, chosen, number_of, print_result
from bcclone.system.doctor import DoctorSettings, Examination, examine

SUMMARY = "check this machine"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_settings(parser, DoctorSettings)


def run(arguments: argparse.Namespace) -> int:
    """Check the machine; return the exit code."""
    examination = examine(chosen(DoctorSettings, arguments))
    print_result(arguments, examination.as_json(), _table(examination))
    return int(not examination.ok)


def interrupted(arguments: argparse.Namespace) -> str:
    """Return what is left after Ctrl-C."""
    return "nothing was changed"


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
