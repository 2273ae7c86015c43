"""Check every requirement of bcclone on this machine, and explain how to fix each fault.

In: `DoctorSettings`. Out: an `Examination` with the result of each check. Nothing is changed,
downloaded or printed. The checks run even if no package is installed.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bcclone.system.accelerator_checks import check_accelerator, check_cards, check_compilers
from bcclone.system.examination import Check, Examination
from bcclone.system.hardware import available_memory, read_text, usable_cores
from bcclone.system.machine_checks import (
    check_cores,
    check_ffmpeg,
    check_folder,
    check_memory,
    check_port,
    check_python,
    check_system,
)
from bcclone.system.package_checks import check_declared_packages
from bcclone.system.settings import SIMULATOR_PORT, Checked, Port, setting


@dataclass(frozen=True)
class DoctorSettings(Checked):
    """What to check."""

    folder: Path = Path()  # where files will be written
    full: bool = setting(False, "also load TensorFlow and compute on each of its devices")
    port: Port = setting(SIMULATOR_PORT, "port that has to be free for drive.py")


def examine(settings: DoctorSettings) -> Examination:
    """Run every check; a check that raises an error is itself reported as failed."""
    steps: Mapping[str, Callable[[], Iterable[Check]]] = {
        "system": lambda: [check_system(read_text(Path("/proc/version")))],
        "python": lambda: [check_python(sys.version_info[:2])],
        "packages": check_declared_packages,
        "port": lambda: [check_port(settings.port)],
        "folder": lambda: check_folder(settings.folder),
        "memory": lambda: [check_memory(available_memory())],
        "cores": lambda: [check_cores(usable_cores())],
        "accelerator": lambda: [check_accelerator(settings.full)],
        "XLA": lambda: check_compilers(settings.full),
        "GPU": check_cards,
        "ffmpeg": lambda: [check_ffmpeg()],
    }
    checks: list[Check] = []
    for name, step in steps.items():
        try:
            checks.extend(step())
        except Exception as error:  # one broken check must not hide the results of the others
            found = f"cannot be checked: {type(error).__name__}: {error}"
            checks.append(Check(name, "failed", found, "please report this, with the whole output"))
    return Examination(tuple(checks))
