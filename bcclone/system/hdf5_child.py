"""Read a downloaded file in a process of its own, with limits of time and memory: it may crash or hang the library.

In: a path. Out: plain data, which arrives as NumPy's .npz; nothing in it is run. The process is a module that is run
as a program and calls serve().
"""

import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.system.child_process import interrupts_kept_from_children
from bcclone.system.codec import check_regular, parse_json
from bcclone.system.errors import first_line
from bcclone.system.hdf5_file import Table

_WALL_SECONDS, _BYTES_PER_SECOND = 60.0, 1 << 24  # for a disk that does not respond
_CPU_SECONDS, _BYTES_PER_CPU_SECOND = 3, 1 << 26  # several times what reading takes, imports included
_MEMORY, _MEMORY_PER_BYTE = 1 << 31, 4  # addresses
_HEAD = "head"
_DAMAGED = "its structure is damaged: the process that read it"


class Refused(ValueError):
    """A file that is not read; the text is the reason, without the path."""


class Ended(Refused):
    """The process crashed, took too long, or sent something else than an answer."""


def read_apart(module: str, path: Path) -> tuple[Any, list[Any]]:
    """Return the head and the tables that a module reads from a file, run as a program that calls serve().

    Raises Refused, and OSError for a file that cannot be opened.
    """
    check_regular(path)
    paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    try:
        with interrupts_kept_from_children():
            done = subprocess.run(
                [sys.executable, "-P", "-m", module, path],  # -P: modules in the current folder must not replace ours
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"},
                timeout=_WALL_SECONDS + path.stat().st_size / _BYTES_PER_SECOND,
                check=False,
            )
    except subprocess.TimeoutExpired:
        raise Ended(f"{_DAMAGED} took too long") from None
    if done.returncode:
        raise Ended(f"{_DAMAGED} {_ending(done.returncode)}")
    try:
        with np.load(io.BytesIO(done.stdout), allow_pickle=False) as answer:
            head = parse_json(answer[_HEAD].tobytes())
            tables = [answer[str(number)] for number in range(len(answer.files) - 1)]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        raise Ended(f"{_DAMAGED} gave no answer") from None
    if isinstance(head, dict) and "refused" in head:
        raise Refused(str(head["refused"]))
    return head, tables


def _ending(code: int) -> str:
    """Describe how a process ended."""
    if code >= 0:
        return f"ended with code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
    return "took too long" if name in ("SIGXCPU", "SIGKILL") else f"was ended by {name}"


def serve(read: Callable[[Path], tuple[Any, Sequence[Table]]]) -> None:
    """Write what read() returns of the file named on the command line, or the text of its error."""
    path = Path(sys.argv[1])
    tables: Sequence[Table] = []
    try:
        _limit(path.stat().st_size)
        head, tables = read(path)
    except Refused as error:
        head = {"refused": str(error)}
    except Exception as error:  # damaged files cause all kinds in h5py and zipfile
        head = {"refused": getattr(error, "strerror", None) or first_line(error)}
    answer: dict[str, Any] = {_HEAD: np.frombuffer(json.dumps(head).encode(), np.uint8)}
    answer |= {str(number): np.asarray(table) for number, table in enumerate(tables)}
    np.savez(sys.stdout.buffer, **answer)


def _limit(size: int) -> None:
    """Limit the memory and the processor time of this process, by the bytes of the file."""
    if sys.platform == "win32":  # the clock of the parent process alone ends it
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for kind, most in (
        (resource.RLIMIT_AS, _MEMORY + _MEMORY_PER_BYTE * size),
        (resource.RLIMIT_CPU, _CPU_SECONDS + size // _BYTES_PER_CPU_SECOND),
    ):
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
