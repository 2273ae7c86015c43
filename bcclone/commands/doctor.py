"""Say whether this machine can do what bcclone needs, and what to do about each thing that fails.

Nothing is changed, downloaded or left behind. Exit code 0 when nothing failed, 1 otherwise.
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from bcclone.commands.options import add_output_options, build, print_json
from bcclone.drive.settings import DriveSettings

if TYPE_CHECKING:
    from bcclone.doctor import Check


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    port = DriveSettings().port
    parser.add_argument("--full", action="store_true", help="load TensorFlow, too, and compute on each of its devices")
    parser.add_argument("--port", type=int, default=port, help=f"port that has to be free ({port})")
    add_output_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Look at the machine; return the exit code."""
    settings = build(DriveSettings, port=arguments.port)
    from bcclone.doctor.examine import examine

    checks = examine(Path(), settings.port, arguments.full)
    ok = all(check.state != "failed" for check in checks)
    if arguments.json:
        print_json({"checks": [asdict(check) for check in checks], "ok": ok})
    else:
        _show(checks)
    return int(not ok)


def interrupted(arguments: argparse.Namespace) -> str:
    """Say what is left after Ctrl-C."""
    return "nothing was changed"


def _show(checks: "Sequence[Check]") -> None:
    width = max(len(check.name) for check in checks) + 2
    for check in checks:
        state = check.state.upper() if check.state == "failed" else check.state
        print(f"{check.name:<{width}}{state:<9}{check.found}")
        if check.advice:
            print(f"{'':<{width + 9}}-> {check.advice}")
    failed, warnings = (sum(check.state == state for check in checks) for state in ("failed", "warning"))
    print(f"\n{failed or 'nothing'} failed, {warnings} warning{'' if warnings == 1 else 's'}")
