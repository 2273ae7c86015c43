"""This machine -> all checks, one after the other."""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from bcclone.doctor import Check, read
from bcclone.doctor.accelerator import check_devices, check_driver, find_driver
from bcclone.doctor.cards import check_cards, installed_cudnn
from bcclone.doctor.machine import (
    check_cores,
    check_ffmpeg,
    check_folder,
    check_memory,
    check_port,
    check_system,
    check_test_tools,
    usable_cores,
)
from bcclone.doctor.packages import check_declared_packages, check_python
from bcclone.gpu import find_cards
from bcclone.memory import available_memory

_REPORT = "please report this, with the whole output"


def examine(folder: Path, port: int, full: bool) -> list[Check]:
    """Return all checks of this machine. folder: where files will be written; full: load TensorFlow, too."""
    looks: tuple[tuple[str, Callable[[], Iterable[Check]]], ...] = (
        ("system", lambda: [check_system(read(Path("/proc/version")))]),
        ("python", lambda: [check_python(sys.version_info[:2])]),
        ("packages", check_declared_packages),
        ("port", lambda: [check_port(port)]),
        ("folder", lambda: check_folder(folder)),
        ("memory", lambda: [check_memory(available_memory())]),
        ("cores", lambda: [check_cores(usable_cores())]),
        ("accelerator", lambda: [check_devices(find_driver()) if full else check_driver(find_driver(), sys.platform)]),
        ("GPU", lambda: check_cards(find_cards(), installed_cudnn())),
        ("ffmpeg", lambda: [check_ffmpeg()]),
        ("tools of the tests", check_test_tools),
    )
    checks: list[Check] = []
    for name, look in looks:
        try:
            checks.extend(look())
        except Exception as error:  # what breaks a check is a finding, too, and no reason to keep back the others
            checks.append(Check(name, "failed", f"cannot be checked: {type(error).__name__}: {error}", _REPORT))
    return checks
