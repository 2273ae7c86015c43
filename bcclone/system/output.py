"""What a command may write: writing() checks an output and locks it before the work, so that
nobody's work is lost.

An output replaces only an earlier one of its kind, and no input of its command. Within the block no
other process writes it: the lock is a file next to it, which the system unlocks when the process
ends, however it ends.
"""

import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import fields
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

from bcclone.system.atomic import make_folder
from bcclone.system.codec import open_file
from bcclone.system.errors import UserError

REMEDY = "overwrite it with --force, or name another -o"  # of an output that exists
BUSY = "wait until it ends, or choose another name"  # of one that another process writes
STORE, MODEL = "store", "model"
CLIP, PICTURE = "clip of bcclone", "picture of bcclone"
SETTINGS = "settings file of a training"
NEW_FOLDER, RESULTS = "empty folder", "folder of results"
UNFINISHED = (
    "drives",
    "parts",
    "steps",
)  # folders of finished tasks, behind which the same command goes on
MADE_BY = b"bcclone"  # in the beginning or the end of what has no other mark of its maker

_BEGIN, _END = 1 << 12, 1 << 6  # bytes in which a kind is recognized
_KINDS = {
    CLIP: rb"(?:.{4}ftyp|GIF8).*" + MADE_BY,
    PICTURE: rb"\x89PNG.*" + MADE_BY,
    "table of predictions": rb"frame_id,steering_angle\b",
    "framing": rb'\s*\{.*"width"',
    SETTINGS: rb".*\bbatch-size = .*\ncheckpoint-minutes = ",
    # ModelProto: the version of its format, then a text or the graph
    ".onnx": rb"\x08[\x01-\x1f][\x12\x1a\x3a]",
    ".tflite": rb".{4}TFL3",
}
# kind of folder -> what is in one, first what is only in a complete one
_FOLDERS = {NEW_FOLDER: (), RESULTS: ("figures.json", *UNFINISHED)}
_LOCKED_AT = 1 << 30  # the byte that Windows locks, so that others can read what the file says
_SECONDS_BETWEEN_TRIES = 0.02
_LONGEST_LINE = 300  # characters of the command line of the process that has the lock

Function = TypeVar("Function", bound=Callable[..., Any])


def writes(
    kind: str | Callable[[Any], str], name: str = "output"
) -> Callable[[Function], Function]:
    """Make a function of settings check and lock its output, the attribute `name` of them, as
    writing() does.

    kind: of the output, or a function that returns it of the settings. The other paths in the
    settings are inputs. Without a field `force`, an earlier output is replaced.
    """

    def decorate(function: Function) -> Function:
        @wraps(function)
        def write(settings: Any, *others: Any, **more: Any) -> Any:
            of_kind = kind if isinstance(kind, str) else kind(settings)
            with writing(
                getattr(settings, name),
                of_kind,
                getattr(settings, "force", True),
                inputs_of(settings),
            ):
                return function(settings, *others, **more)

        return cast(Function, write)

    return decorate


def inputs_of(settings: Any) -> list[Any]:
    """Return the values of a settings dataclass that may name files to read."""
    values = [getattr(settings, each.name) for each in fields(settings) if each.name != "output"]
    return [one for value in values for one in (value if isinstance(value, tuple) else (value,))]


@contextmanager
def writing(
    path: Path | None,
    kind: str,
    force: bool = False,
    inputs: Iterable[Any] = (),
    remedy: str = REMEDY,
) -> Iterator[None]:
    """Lock an output, if there is one, and check it, before long work; a folder of results is made.

    Raises UserError as locked() and check_output() do.
    """
    if path is None:
        yield
        return
    with locked(path, BUSY):
        check_output(path, kind, force, inputs, remedy)
        if kind == RESULTS:
            make_folder(path)
        yield


def check_output(
    path: Path, kind: str, force: bool = False, inputs: Iterable[Any] = (), remedy: str = REMEDY
) -> None:
    """Raise UserError if `path` exists and may not be replaced, or cannot be written.

    kind: what is to be written; force: replace an existing output of this kind; inputs: of the same
    command, texts, paths or anything else; remedy: what the user can do about an existing output,
    for the message.
    """
    folder = next(
        above for above in path.absolute().parents if above.exists()
    )  # the others will be made
    if not os.access(folder, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        raise UserError(f"{path}: no permission to write in {folder}; choose another folder")
    marks = _FOLDERS.get(kind)
    if not path.exists() or (marks is not None and path.is_dir() and not any(path.iterdir())):
        return
    if marks is None and not path.is_file():
        raise UserError(
            f"{path} is a {'folder' if path.is_dir() else 'device'}; give the name of a file"
        )
    named = (one for one in inputs if isinstance(one, str | Path) and os.path.exists(one))  # noqa: PTH110 for any text
    if any(map(path.samefile, named)):
        raise UserError(
            f"{path} is an input of this command, which --force does not replace either; choose another name"
        )
    found = [path / mark for mark in marks or ()]
    there = [one.exists() and not one.is_symlink() for one in found] or [
        marks is None and _is_of(path, kind)
    ]
    if not any(there):
        raise UserError(f"{path} exists, and is no {kind}; choose another name")
    if there[0] and not force:
        raise UserError(f"{path} exists already; {remedy}")


def _is_of(path: Path, kind: str) -> bool:
    """Return whether a file is of a kind, so that no work is lost with it; one without content may
    be of any.
    """
    if not (size := path.stat().st_size):
        return True
    if kind in (STORE, MODEL):
        from bcclone.system.hdf5_file import kind_of  # loads h5py

        return kind_of(path) in (kind, "damaged")
    with open_file(path, "store") as file:
        content = file.read(_BEGIN)
        file.seek(max(size - _END, len(content)))
        return re.match(_KINDS[kind], content + file.read(), re.DOTALL) is not None


# ---- locks


@contextmanager
def locked(path: Path, remedy: str, seconds: float = 0.0) -> Iterator[None]:
    """Let no other process, nor another thread, write a file or folder within the block.

    It need not exist; the folder that it will be in is made. No empty one stays if the block fails.
    Where no file can be made or locked, as on some network drives, nothing is locked. seconds: to
    wait for another process; after that, UserError names it.
    """
    if path.is_symlink() or path.name in ("", ".."):
        path = Path(os.path.realpath(path))
    lock, until = path.parent / f".{path.name}.bcclone-lock", time.monotonic() + seconds
    missing, failed = [folder for folder in (path, *path.parents) if not folder.exists()], True
    make_folder(path.parent)
    while isinstance(handle := _lock(lock), str):
        if handle and time.monotonic() >= until:
            raise UserError(f"{path}: {handle} is writing it; {remedy}")
        time.sleep(_SECONDS_BETWEEN_TRIES)
    try:
        yield
        failed = False
    finally:
        if handle is not None:
            if sys.platform == "win32":
                os.close(
                    handle
                )  # open, it could not be removed; another process that has opened it keeps it
            with suppress(OSError):
                lock.unlink()
            if sys.platform != "win32":
                os.close(handle)
        for folder in missing if failed else ():
            with suppress(OSError):
                folder.rmdir()


def _lock(lock: Path) -> int | str | None:
    """Return the open file that this process has locked, the process that has, or None where
    nothing can be locked.

    "" if the process that had locked it has just removed it; then try again.
    """
    try:  # no link is followed: it could lead to somebody's file
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    except OSError:
        return None
    with ExitStack() as opened:
        opened.callback(os.close, handle)
        try:
            _lock_file(handle)
            status, there = os.fstat(handle), lock.lstat()
        except BlockingIOError:
            os.lseek(handle, 0, os.SEEK_SET)
            return os.read(handle, 4 * _LONGEST_LINE).decode(errors="replace") or "another process"
        except FileNotFoundError:
            return ""
        except OSError:
            return None
        if not os.path.samestat(status, there):
            return ""
        if status.st_nlink == 1:
            line = shlex.join((Path(sys.argv[0]).name, *sys.argv[1:]))[:_LONGEST_LINE]
            with suppress(OSError):
                os.ftruncate(handle, 0)
                os.write(handle, f"process {os.getpid()} ({line})".encode(errors="replace"))
        opened.pop_all()
    return handle


def _lock_file(handle: int) -> None:
    """Lock an open file until it is closed; raises BlockingIOError while another process has locked
    it.
    """
    if sys.platform == "win32":
        import msvcrt

        os.lseek(handle, _LOCKED_AT, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            raise BlockingIOError from None
        os.lseek(handle, 0, os.SEEK_SET)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
