"""Write files whole or not at all, and check and lock what a command writes, before its work.

write_text() and write_bytes() take the content. replacing() and replacing_folder() yield a
temporary path to write to, which takes the place of the old one when the block succeeds.

An output replaces only an earlier output of the same kind, and never an input of its command. The
lock is a file next to the output; the system unlocks it when the process ends, even if it is
killed.
"""

import hashlib
import os
import platform
import re
import shlex
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import fields
from functools import wraps
from pathlib import Path
from typing import Any, BinaryIO, Self, TypeVar, cast

from bcclone.system.codec import open_file
from bcclone.system.errors import UserError
from bcclone.system.location import Location, reaching

# endings of temporary names; the second is that of a replaced folder, until it is removed
_PARTIAL = ".partial"
_OLD = ".old.partial"


def make_folder(folder: Path, choose: str = "another") -> None:
    """Make a folder with those above it, unless it exists; raises UserError.

    choose: what the message tells the user to choose instead
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{folder}: cannot make that folder: {error.strerror}; choose {choose}"
        ) from None


@contextmanager
def replacing(location: Location, follow: bool = False) -> Iterator[Path]:
    """Yield a temporary path, which replaces `location` when the block ends without an error.

    The temporary path is in the same folder, and has the same suffix, because Keras and ffmpeg
    choose the format by the suffix. Temporary files of killed processes of this computer are
    removed when the same path is written again. An OSError names the path. The file for a URL is
    written on this machine first.

    follow: if the path is a link, replace the file that it leads to. Use it only for a name that
        the user has typed: elsewhere, somebody else may have made the link.
    """
    if not isinstance(location, Path):
        with tempfile.TemporaryDirectory(prefix="bcclone-") as folder:
            temporary = Path(folder) / location.name
            yield temporary
            with reaching(location):
                # an object store shows the file to other processes only when it is complete
                location.fs.put_file(str(temporary), location.path)
        return
    if follow:
        path = Path(os.path.realpath(location))
    else:
        path = Path(os.path.realpath(location.parent), location.name)
    name = _TemporaryName(path)
    name.remove_leftovers(_PARTIAL + path.suffix)
    with _temporary(name, _PARTIAL + path.suffix) as temporary:
        yield temporary
        _flush(temporary)
        temporary.replace(path)
    if sys.platform != "win32":
        _flush(path.parent)


class _TemporaryName:
    """The temporary names of an output, next to it: .STEM.PROCESS-OUTPUT-RANDOM, and an ending.

    PROCESS is the id of the process that writes. OUTPUT, 8 hexadecimal digits, tells apart outputs
    with the same stem, and computers and containers that share a folder: only on the same one does
    the id say whether the process still runs. RANDOM, 8 digits as well, tells writers in one
    process apart.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._begin = f".{path.stem[:100]}."  # short enough for any file system
        identity = f"{_processes_namespace()}/{path.name}"
        self._output = hashlib.sha256(os.fsencode(identity)).hexdigest()[:8]

    def new(self, ending: str) -> Path:
        """Return a path that nothing has yet."""
        random = uuid.uuid4().hex[:8]
        return self.path.with_name(f"{self._begin}{os.getpid()}-{self._output}-{random}{ending}")

    def leftovers(self, ending: str) -> list[Path]:
        """Return the files or folders that killed processes have left under such a name."""
        folder = self.path.parent
        if not folder.is_dir():
            return []
        name = re.compile(
            re.escape(self._begin)
            + rf"([0-9]{{1,9}})-{self._output}-[0-9a-f]{{8}}"
            + re.escape(ending)
        )
        found = [(path, name.fullmatch(path.name)) for path in folder.iterdir()]
        return [path for path, match in found if match and not _runs(int(match[1]))]

    def remove_leftovers(self, ending: str) -> None:
        for leftover in self.leftovers(ending):
            _remove(leftover)


def _processes_namespace() -> str:
    """Return a name of this computer and container: a process id is unique only within one."""
    namespace = Path()
    with suppress(OSError):  # containers have namespaces of their own, on Linux
        namespace = Path("/proc/self/ns/pid").readlink()
    return f"{platform.node()}/{namespace}"


def _runs(process: int) -> bool:
    import psutil  # loaded only where something is left over, which is rare

    return psutil.pid_exists(process)


@contextmanager
def _temporary(name: _TemporaryName, ending: str) -> Iterator[Path]:
    """Yield a new temporary path; a file or folder there is removed at the end.

    An OSError names the output instead of the temporary path.
    """
    temporary = name.new(ending)
    try:
        yield temporary
    except OSError as error:
        filename = str(error.filename or name.path)
        error.filename = filename.replace(str(temporary), str(name.path))
        raise
    finally:
        _remove(temporary)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder, which replaces `path` when the block ends without an error.

    Temporary folders of killed processes of this computer are removed when the same path is written
    again. An OSError names `path`, or a file in it.
    """
    path = Path(os.path.realpath(path))
    name = _TemporaryName(path)
    # if a process was killed between its two renamings, the old folder is put back
    for old in name.leftovers(_OLD):
        if not path.exists():
            old.replace(path)
    for ending in (_OLD, _PARTIAL):
        name.remove_leftovers(ending)
    with _temporary(name, _PARTIAL) as temporary:
        temporary.mkdir()
        yield temporary
        if sys.platform != "win32":
            os.sync()  # one flush for all files, of which there may be thousands
        old = name.new(_OLD)
        with suppress(FileNotFoundError):
            path.replace(old)
        try:
            temporary.replace(path)
        finally:
            if old.exists() and not path.exists():  # the new folder did not get the name
                old.replace(path)
            _remove(old)


_FLUSH_AT_BYTES = 1 << 25  # 32 MiB; a flush starts when this many bytes are not flushed yet


class EarlyFlush:
    """Flushes a file to disk while more is written, so that the last flush is short.

    Use it in a `with` block within that of the file: its end waits for the last flush, and ends the
    thread. It raises no error of that flush; wait() does.

    If wrote(), start() or wait() raises OSError, the file is incomplete, even if a later flush
    succeeds: the system reports a failed flush only once.

    file: unbuffered, or written in parts larger than its buffer, because a flush to disk does not
        reach the bytes in that buffer
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._unflushed = 0  # bytes
        self._pool = ThreadPoolExecutor(1, "flush")  # starts its thread with the first task
        self._flushing: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def wrote(self, count: int) -> None:
        """Count bytes written; from 32 MiB on, start a flush unless one is still running."""
        self._unflushed += count
        if self._unflushed >= _FLUSH_AT_BYTES and (self._flushing is None or self._flushing.done()):
            self.start()

    def start(self) -> None:
        """Start to flush everything written, after waiting for the last flush."""
        self.wait()
        # fdatasync, which does not write the file's times, is faster, but some systems lack it
        flush = getattr(os, "fdatasync", os.fsync)
        self._flushing = self._pool.submit(flush, self._file.fileno())
        self._unflushed = 0

    def wait(self) -> None:
        """Wait for the flush that was started last."""
        if self._flushing is not None:
            self._flushing.result()


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8; a reader sees the old content or the new, never a part.

    Bytes of a path that are no UTF-8 become escapes, such as \\udce9.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_bytes(path: Path, content: bytes | memoryview, follow: bool = False) -> None:
    """Write `content`; a reader sees the old content or the new, never a part.

    follow: replace the file that a link leads to, as in replacing()
    """
    with replacing(path, follow=follow) as temporary:
        temporary.write_bytes(content)


def file_version(path: Path) -> tuple[int, int]:
    """Return size and modification time (ns) of a file; one of them changes when it is written."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    # Windows flushes only what is open for writing; a folder can be opened only for reading
    access = os.O_RDONLY if path.is_dir() else os.O_RDWR
    handle = os.open(path, access)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


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
