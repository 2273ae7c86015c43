"""Check every requirement of bcclone on this machine, and explain how to fix each fault.

Nothing is changed, downloaded or printed. The checks run even if no package is installed.
"""

import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bcclone.system.doctor.accelerator import check_accelerator, check_card, installed_cudnn
from bcclone.system.doctor.machine import (
    Check,
    check_cores,
    check_declared_packages,
    check_ffmpeg,
    check_folder,
    check_memory,
    check_port,
    check_python,
    check_system,
    check_test_tools,
)
from bcclone.system.errors import number_of
from bcclone.system.hardware import available_memory, find_cards, read_text, usable_cores
from bcclone.system.settings import SIMULATOR_PORT, Port, check_settings, setting

__all__ = ["Check", "DoctorSettings", "Examination", "examine"]

_REPORT = "please report this, with the whole output"


@dataclass(frozen=True)
class DoctorSettings:
    """What to check. folder: where files will be written."""

    folder: Path = Path()
    full: bool = setting(False, "also load TensorFlow and compute on each of its devices")
    port: Port = setting(SIMULATOR_PORT, "port that has to be free for drive.py")

    def __post_init__(self) -> None:
        check_settings(self)


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
        """Return a line for each check, what to do about those that did not pass, and how many they are."""
        width = max(len(check.name) for check in self.checks) + 2
        lines = []
        for check in self.checks:
            state = check.state.upper() if check.state == "failed" else check.state
            lines.append(f"{check.name:<{width}}{state:<9}{check.found}")
            if check.advice:
                lines.append(f"{'':<{width + 9}}-> {check.advice}")
        failed, warnings = (sum(check.state == state for check in self.checks) for state in ("failed", "warning"))
        return "\n".join([*lines, "", f"{failed or 'nothing'} failed, {number_of(warnings, 'warning')}"])


def examine(settings: DoctorSettings) -> Examination:
    """Run every check; one that breaks is itself reported as failed."""
    steps: tuple[tuple[str, Callable[[], Iterable[Check]]], ...] = (
        ("system", lambda: [check_system(read_text(Path("/proc/version")))]),
        ("python", lambda: [check_python(sys.version_info[:2])]),
        ("packages", check_declared_packages),
        ("port", lambda: [check_port(settings.port)]),
        ("folder", lambda: check_folder(settings.folder)),
        ("memory", lambda: [check_memory(available_memory())]),
        ("cores", lambda: [check_cores(usable_cores())]),
        ("accelerator", lambda: [check_accelerator(settings.full)]),
        ("GPU", lambda: [check_card(card, installed_cudnn()) for card in find_cards()]),
        ("ffmpeg", lambda: [check_ffmpeg()]),
        ("test tools", check_test_tools),
    )
    checks: list[Check] = []
    for name, step in steps:
        try:
            checks.extend(step())
        except Exception as error:  # one broken check must not hide the results of the others
            checks.append(Check(name, "failed", f"cannot be checked: {type(error).__name__}: {error}", _REPORT))
    return Examination(tuple(checks))
