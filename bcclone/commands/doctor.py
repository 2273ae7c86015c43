"""Check every requirement of bcclone on this machine, and explain how to fix what is missing.

The command changes and downloads nothing. The exit code is 1 if a check failed; a warning is not a failure.
"""

import argparse

from bcclone.commands.options import add_output_options, add_settings, build, given_for, number_of, print_json
from bcclone.system.doctor import DoctorSettings, Examination, examine


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_settings(parser, DoctorSettings)
    add_output_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Check the machine; return the exit code."""
    examination = examine(build(DoctorSettings, **given_for(DoctorSettings, arguments)))
    if arguments.json:
        print_json(examination.as_json())
    else:
        _show(examination)
    return int(not examination.ok)


def interrupted(arguments: argparse.Namespace) -> str:
    """Return what is left after Ctrl-C."""
    return "nothing was changed"


def _show(examination: Examination) -> None:
    width = max(len(check.name) for check in examination.checks) + 2
    for check in examination.checks:
        state = check.state.upper() if check.state == "failed" else check.state
        print(f"{check.name:<{width}}{state:<9}{check.found}")
        if check.advice:
            print(f"{'':<{width + 9}}-> {check.advice}")
    failed, warnings = (sum(check.state == state for check in examination.checks) for state in ("failed", "warning"))
    print(f"\n{failed or 'nothing'} failed, {number_of(warnings, 'warning')}")
