"""Check and lock what a command writes, before its work, so that no work is lost.

In: the path of an output and its kind. Out: a block in which no other process writes it, or a
UserError.

An output replaces only an earlier output of the same kind, and never an input of its command. The
lock is a file next to the output; the system unlocks it when the process ends, even if it is
killed.
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

from bcclone.system.atomic import file_version, make_folder
from bcclone.system.codec import open_file
from bcclone.system.errors import UserError

# what messages tell the user to do about an output that exists, or that another process writes
REMEDY = "overwrite it with --force, or name another -o"
BUSY = "wait until it ends, or choose another name"

# kinds of outputs, as messages name them
STORE = "store"
MODEL = "model"
CLIP = "clip of bcclone"
PICTURE = "picture of bcclone"
SETTINGS = "settings file of a training"
EXAMPLE = "example program of an export"
NEW_FOLDER = "empty folder"  # a folder to make; what exists at its path may only be this
RESULTS = "folder of results"

# subfolders, in a folder of results, with the results of finished tasks; the same command reuses
# them when it is run again
UNFINISHED = ("drives", "parts", "steps")
MADE_BY = b"bcclone"  # stands in the first or last bytes of clips and pictures that bcclone writes

_BEGIN_BYTES = 1 << 12  # first bytes of a file, in which its kind is recognized
_END_BYTES = 1 << 6  # last bytes of a file, in which its kind is recognized
# kind of file -> pattern that its first bytes, followed by its last bytes, match
_FILE_MARKS = {
    CLIP: rb"(?:.{4}ftyp|GIF8).*" + MADE_BY,
    PICTURE: rb"\x89PNG.*" + MADE_BY,
    "table of predictions": rb"frame_id,steering_angle\b",
    "framing": rb'\s*\{.*"width"',
    EXAMPLE: rb'"""Print the steering .*Written by bcclone export',
    SETTINGS: rb".*\bbatch-size = .*\ncheckpoint-minutes = ",
    # ModelProto: the version of its format, then a text or the graph
    ".onnx": rb"\x08[\x01-\x1f][\x12\x1a\x3a]",
    ".tflite": rb".{4}TFL3",
}
# kind of folder -> names of files or subfolders by which an earlier output is recognized: it has at
# least one of them, and the first only if it is complete; without names, no folder with content
# counts as an earlier output, so none is replaced
_FOLDER_MARKS: dict[str, tuple[str, ...]] = {
    NEW_FOLDER: (),
    RESULTS: ("figures.json", *UNFINISHED),
}

Function = TypeVar("Function", bound=Callable[..., Any])


def writes(
    kind: str | Callable[[Any], str], name: str = "output"
) -> Callable[[Function], Function]:
    """Return a decorator for a function whose first argument is a settings dataclass.

    Within the function, the output is checked and locked as by writing().

    The other paths in the settings are inputs. If the settings have no field `force`, an earlier
    output is replaced.

    kind: kind of the output, or a function from the settings to it
    name: name of the settings' attribute that holds the output's path
    """

    def decorate(function: Function) -> Function:
        @wraps(function)
        def write(settings: Any, *arguments: Any, **options: Any) -> Any:
            if isinstance(kind, str):
                output_kind = kind
            else:
                output_kind = kind(settings)
            force = getattr(settings, "force", True)
            with writing(getattr(settings, name), output_kind, force, inputs_of(settings)):
                return function(settings, *arguments, **options)

        return cast(Function, write)

    return decorate


def inputs_of(settings: Any) -> list[Any]:
    """Return the values of a settings dataclass that may name files to read."""
    inputs: list[Any] = []
    for field in fields(settings):
        # an output of another attribute, as writes() may name it, is a property and no field: it is
        # `output`, or a default made from the inputs
        if field.name == "output":
            continue
        value = getattr(settings, field.name)
        if isinstance(value, tuple):
            inputs.extend(value)
        else:
            inputs.append(value)
    return inputs


@contextmanager
def writing(
    path: Path | None,
    kind: str,
    force: bool = False,
    inputs: Iterable[Any] = (),
    remedy: str = REMEDY,
) -> Iterator[None]:
    """Lock and check an output before long work; a folder of results is made.

    Raises UserError as locked() and check_output() do. A KeyboardInterrupt from the block that says
    nothing says that the output is written, if it is.

    path: the output; None if the command writes none
    kind, force, inputs, remedy: as check_output() takes them
    """
    if path is None:
        yield
        return
    with locked(path, BUSY):
        check_output(path, kind, force, inputs, remedy)
        if kind == RESULTS:
            make_folder(path)
        before = _version_of(path)
        try:
            yield
        except KeyboardInterrupt as interrupt:
            if str(interrupt) or _version_of(path) == before:
                raise
            raise KeyboardInterrupt(f"{path} is written") from None


def _version_of(path: Path) -> tuple[int, int] | None:
    """Return the version of a file, None for a folder and for what does not exist."""
    return file_version(path) if path.is_file() else None


def check_output(
    path: Path, kind: str, force: bool = False, inputs: Iterable[Any] = (), remedy: str = REMEDY
) -> None:
    """Raise UserError if `path` exists and may not be replaced, or cannot be written.

    A folder of results that an interrupted command has left may always be completed.

    kind: kind of the output, such as MODEL
    force: whether a complete output of this kind may be replaced
    inputs: values that may name inputs of the same command; only texts and paths are looked at
    remedy: what the message tells the user to do about an existing output
    """
    _check_permission(path)
    if _is_void(path, kind):
        return
    if kind not in _FOLDER_MARKS and not path.is_file():
        what = "device"
        if path.is_dir():
            what = "folder"
        raise UserError(f"{path} is a {what}; give the name of a file")
    _refuse_input(path, inputs)
    is_complete, is_begun = _state_of(path, kind)
    if not is_begun:
        raise UserError(f"{path} exists, and is no {kind}; choose another name")
    if is_complete and not force:
        raise UserError(f"{path} exists already; {remedy}")


def _check_permission(path: Path) -> None:
    """Raise UserError if this user may not write in the nearest folder above that exists."""
    folder = next(above for above in path.absolute().parents if above.exists())
    # as the effective user, where the system can tell it
    by_effective_user = os.access in os.supports_effective_ids
    if not os.access(folder, os.W_OK, effective_ids=by_effective_user):
        raise UserError(f"{path}: no permission to write in {folder}; choose another folder")


def _is_void(path: Path, kind: str) -> bool:
    """Return whether an output would replace nothing: no such path, or, for an output that is a
    folder, an empty folder.
    """
    if not path.exists():
        return True
    return kind in _FOLDER_MARKS and path.is_dir() and not any(path.iterdir())


def _refuse_input(path: Path, inputs: Iterable[Any]) -> None:
    """Raise UserError if an output is also an input."""
    for value in inputs:
        if not isinstance(value, str | Path):
            continue
        # the value may be any text, for some of which Path.exists() raises an error
        if os.path.exists(value) and path.samefile(value):  # noqa: PTH110
            raise UserError(
                f"{path} is an input of this command, which --force does not replace either; "
                "choose another name"
            )


def _state_of(path: Path, kind: str) -> tuple[bool, bool]:
    """Return whether an output of a kind is complete, and whether it was begun.

    Only a folder can be begun and not complete. A complete output counts as begun, too.
    """
    if kind not in _FOLDER_MARKS:
        is_complete = _is_of(path, kind)
        return is_complete, is_complete
    marks = [path / name for name in _FOLDER_MARKS[kind]]
    # bcclone makes no links here, so a folder with a link is somebody's
    has_mark = [mark.exists() and not mark.is_symlink() for mark in marks]
    is_complete = any(has_mark[:1])  # False for a kind of folder without marks
    return is_complete, any(has_mark)


def _is_of(path: Path, kind: str) -> bool:
    """Return whether a file is of a kind.

    An empty file counts as every kind, because nothing is lost if it is replaced. A damaged HDF5
    file counts as a store and as a model, because it cannot be told which of them it was.
    """
    size = path.stat().st_size
    if not size:
        return True
    if kind in (STORE, MODEL):
        from bcclone.system.hdf5_file import kind_of  # loads h5py

        return kind_of(path) in (kind, "damaged")
    # only begin and end are read, so any size will do, which open_file() allows for a store
    with open_file(path, "store") as file:
        begin = file.read(_BEGIN_BYTES)
        file.seek(max(size - _END_BYTES, len(begin)))
        end = file.read()
    return re.match(_FILE_MARKS[kind], begin + end, re.DOTALL) is not None


# ---- locks


_SECONDS_BETWEEN_TRIES = 0.02  # time between two tries to lock what another process has locked
_LONGEST_LINE = 300  # characters of a command line that a lock repeats
# number of the byte that is locked on Windows, far behind the text: nobody can read a locked byte
_LOCKED_AT = 1 << 30


@contextmanager
def locked(path: Path, remedy: str, seconds: float = 0.0) -> Iterator[None]:
    """Within the block, no other process or thread can get the lock of the same file or folder.

    Raises UserError if another process has the lock. The path need not exist. The folders above it
    are made; they are removed again if the block fails and they are empty. Where no file can be
    made or locked, as on some network drives, nothing is locked.

    remedy: what the error, which names the process that has the lock, tells the user to do
    seconds: how long to wait for that process
    """
    if path.is_symlink() or path.name in ("", ".."):
        path = Path(os.path.realpath(path))
    # with the path itself, which the block may make as a folder
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    make_folder(path.parent)
    lock = path.parent / f".{path.name}.bcclone-lock"
    handle = _wait_for_lock(lock, path, remedy, seconds)
    has_failed = True
    try:
        yield
        has_failed = False
    finally:
        if handle is not None:
            _unlock(lock, handle)
        if has_failed:
            _remove_empty(missing)


def _remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders that are empty; the others stay."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


class _Busy(Exception):
    """Another process has the lock; the text says which one."""


class _Vanished(Exception):
    """Another process has just removed the lock, so that another try may succeed."""


def _wait_for_lock(lock: Path, path: Path, remedy: str, seconds: float) -> int | None:
    """Lock a file; return its open handle, or None where no file can be made or locked.

    path, remedy, seconds: as locked() takes them
    """
    until = time.monotonic() + seconds
    while True:
        try:
            return _lock(lock)
        except _Busy as owner:
            if time.monotonic() >= until:
                raise UserError(f"{path}: {owner} is writing it; {remedy}") from None
        except _Vanished:
            pass
        time.sleep(_SECONDS_BETWEEN_TRIES)


def _lock(lock: Path) -> int | None:
    """Try once to lock a file; return its open handle, or None where that is not possible.

    Raises _Busy or _Vanished.
    """
    try:  # a symbolic link is not followed: it could lead to somebody's file
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    except OSError:
        return None
    with ExitStack() as opened:
        opened.callback(os.close, handle)
        try:
            _lock_file(handle)
            status = os.fstat(handle)
            is_at_path = _is_at(lock, status)
        except BlockingIOError:
            raise _Busy(_owner_of(handle)) from None
        except OSError:  # the file system has no locks
            return None
        # Another process removed the file between open() and the lock. This lock is then worthless:
        # the next process makes a new file at the path, and can lock that.
        if not is_at_path:
            raise _Vanished
        # a file with a second name (a hard link) may be somebody's; writing would change it
        if status.st_nlink == 1:
            _write_owner(handle)
        opened.pop_all()  # the handle stays open
    return handle


def _is_at(path: Path, status: os.stat_result) -> bool:
    """Return whether the open file of this status still has its path."""
    try:
        return os.path.samestat(status, path.lstat())
    except FileNotFoundError:
        return False


def _write_owner(handle: int) -> None:
    """Write into a lock which process has it, for the messages of other processes."""
    line = shlex.join((Path(sys.argv[0]).name, *sys.argv[1:]))[:_LONGEST_LINE]
    with suppress(OSError):
        os.ftruncate(handle, 0)
        os.write(handle, f"process {os.getpid()} ({line})".encode(errors="replace"))


def _owner_of(handle: int) -> str:
    """Return which process has a lock, as _write_owner() has written it."""
    most_bytes = 4 * _LONGEST_LINE  # a character takes up to 4 bytes
    os.lseek(handle, 0, os.SEEK_SET)
    return os.read(handle, most_bytes).decode(errors="replace") or "another process"


def _unlock(lock: Path, handle: int) -> None:
    """Remove a lock and close it, in the order that the system allows."""
    if sys.platform == "win32":
        # Windows removes no open file, so it is closed first; it stays if another process has
        # opened it meanwhile
        os.close(handle)
        with suppress(OSError):
            lock.unlink()
        return
    # elsewhere, it is removed first: another process could lock it between closing and removing
    with suppress(OSError):
        lock.unlink()
    os.close(handle)


def _lock_file(handle: int) -> None:
    """Lock an open file until it is closed; raises BlockingIOError if another process has it."""
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
