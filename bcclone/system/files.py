"""Write files whole or not at all, and check and lock what a command writes, before its work.

An output replaces only an earlier output of the same kind, and never an input of its command. Its
lock is a file next to it; the system unlocks it when the process ends, even if it is killed.
"""

import errno
import hashlib
import os
import platform
import re
import shutil
import stat
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

from bcclone.system.errors import UserError, command_line
from bcclone.system.location import Location, free_name, reaching
from bcclone.system.process import is_own_process
from bcclone.system.secret_words import without_secrets

_PARTIAL = ".partial"  # ending of temporary names
_REPLACED = ".replaced"  # ending of the temporary name of what is replaced
_LOCK = ".bcclone-lock"  # ending of the names of locks
_LONGEST_OWNER = 300  # characters that a lock has of the command of the process that holds it


def make_folder(folder: Path, choose: str = "another") -> None:
    """Make a folder with those above it, unless it exists.

    Raises UserError, which tells the user what to choose instead.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{folder}: cannot make that folder: {error.strerror}; choose {choose}"
        ) from None


# ---- whole files


@contextmanager
def replacing(location: Location, follow: bool = False) -> Iterator[Path]:
    """Yield a temporary path, which replaces `location` when the block ends without an error.

    It has the same suffix, because Keras and ffmpeg choose the format by the suffix. Temporary
    files of killed processes of this computer are removed when the same path is written again. An
    OSError names the path; one is raised for a device, which would become a file. The file for a
    URL is written on this machine first.

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
    if path.exists() and not (path.is_file() or path.is_symlink() or path.is_dir()):
        raise OSError(errno.EINVAL, "is a device, expected a file", str(path))
    # the suffix that the user has typed, since a link may lead to a name without one
    with _temporary(path, _PARTIAL + location.suffix) as temporary:
        yield temporary
        _flush(temporary)
        temporary.replace(path)
    if sys.platform != "win32":
        _flush(path.parent)


@contextmanager
def new_folder(path: Path, replaces: bool = False) -> Iterator[Path]:
    """Yield a temporary folder, which becomes `path` when the block ends without an error.

    There may be an empty folder at `path`. Temporary folders of killed processes are removed, and
    errors name the path, as by replacing().

    replaces: whether a folder with content at `path` is replaced
    """
    path = Path(os.path.realpath(path))
    with _temporary(path, _REPLACED) as replaced, _temporary(path, _PARTIAL) as temporary:
        temporary.mkdir()
        yield temporary
        if sys.platform != "win32":
            os.sync()  # one flush for all files, of which there may be thousands
        try:
            with suppress(FileNotFoundError):
                # removing a folder can be interrupted in its middle, renaming it cannot
                if replaces:
                    path.replace(replaced)
                else:
                    path.rmdir()
            temporary.replace(path)
        except BaseException:
            if replaced.exists() and not path.exists():
                replaced.replace(path)
            raise


@contextmanager
def _temporary(path: Path, ending: str) -> Iterator[Path]:
    """Yield a new temporary path for an output; a file or folder there is removed at the end.

    What killed processes left is removed first. An OSError names the output instead.
    """
    # a pattern of the temporary names of all processes: the name with placeholders, whose letters
    # re.escape() leaves as they are, and then their patterns
    pattern = re.escape(_temporary_name(path, "PROCESS", "RANDOM") + ending)
    begin, _, rest = pattern.rpartition("PROCESS")
    rest = rest.replace("RANDOM", "[0-9a-f]{8}")
    # what is left may be the lock of a temporary folder, too
    name = re.compile(rf"\.?{begin}([0-9]{{1,9}}){rest}(?:{re.escape(_LOCK)})?")
    beside = path.parent.iterdir() if path.parent.is_dir() else ()
    for leftover, match in [(each, name.fullmatch(each.name)) for each in beside]:
        if match and not _runs(int(match[1])):
            _remove(leftover)

    temporary = path.with_name(_temporary_name(path) + ending)
    try:
        yield temporary
    except OSError as error:
        error.filename = str(error.filename or path).replace(str(temporary), str(path))
        raise
    finally:
        _remove(temporary)


def _runs(process: int) -> bool:
    import psutil  # loaded only where something is left over, which is rare

    return psutil.pid_exists(process)


def _temporary_name(path: Path, process: str = "", random: str = "") -> str:
    """Return .STEM.PROCESS-OUTPUT-RANDOM, the begin of a temporary name next to an output.

    OUTPUT tells apart outputs with the same stem, and computers and containers that share a folder:
    only on the same one does the process id say whether the process still runs. RANDOM tells
    writers in one process apart.
    """
    namespace = Path()
    with suppress(OSError):  # containers have namespaces of their own, on Linux
        namespace = Path("/proc/self/ns/pid").readlink()
    identity = f"{platform.node()}/{namespace}/{path.name}"
    output = hashlib.sha256(os.fsencode(identity)).hexdigest()[:8]
    # the stem is short enough for any file system
    return f".{path.stem[:100]}.{process or os.getpid()}-{output}-{random or uuid.uuid4().hex[:8]}"


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


class FileVersion(NamedTuple):
    """Size and time of a file; one of them changes when it is written."""

    size: int  # bytes
    modified_ns: int = 0  # 0 for a file at a URL


def file_version(path: Path) -> FileVersion:
    status = path.stat()
    return FileVersion(status.st_size, status.st_mtime_ns)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ---- outputs of commands

# what messages tell the user to do about an output that exists, or that another process writes
REMEDY = "overwrite it with --force, or name another -o"
BUSY = "wait until it ends, or choose another name"

# kinds of outputs, as messages name them
STORE = "store"
MODEL = "model"
CLIP = "clip of bcclone"
PICTURE = "picture of bcclone"
EXAMPLE = "example program of an export"
NEW_FOLDER = "empty folder"  # a folder to make; what exists at its path may only be this
RESULTS = "folder of results"

# subfolders, in a folder of results, with the results of finished tasks; the same command reuses
# them when it is run again
KEPT_FOLDERS = ("drives", "parts")
MADE_BY = b"bcclone"  # stands in the first or last bytes of clips and pictures that bcclone writes

# kind of file -> pattern that its first 4096 bytes, followed by its last 64, match
_FILE_MARKS = {
    CLIP: rb"(?:.{4}ftyp|GIF8).*" + MADE_BY,
    PICTURE: rb"\x89PNG.*" + MADE_BY,
    "table of predictions": rb"frame_id,steering_angle\b",
    "framing": rb'\s*\{.*"width"',
    EXAMPLE: rb'"""Print the steering .*Written by bcclone export',
    # ModelProto: the version of its format, then a text or the graph
    ".onnx": rb"\x08[\x01-\x1f][\x12\x1a\x3a]",
    ".tflite": rb".{4}TFL3",
}
# kind of folder -> names that mark an earlier output: any one suffices; the first marks a complete
# one. Without names, only an empty folder may be replaced
_FOLDER_MARKS: dict[str, tuple[str, ...]] = {
    NEW_FOLDER: (),
    RESULTS: ("figures.json", *KEPT_FOLDERS),
}

_WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
_SHOWN_NAMES = 3  # how many names of files in a folder a message repeats

Function = TypeVar("Function", bound=Callable[..., Any])


def writes(
    kind: str | Callable[[Any], str], name: str = "output"
) -> Callable[[Function], Function]:
    """Return a decorator for a function whose first argument is a settings dataclass.

    Within the function, the output is checked and locked as by writing(). The other paths in the
    settings are inputs.

    kind: kind of the output, or a function from the settings to it
    name: name of the settings' attribute that holds the output's path
    """

    def decorate(function: Function) -> Function:
        @wraps(function)
        def write(settings: Any, *arguments: Any, **options: Any) -> Any:
            output_kind = kind if isinstance(kind, str) else kind(settings)
            force = getattr(settings, "force", False)
            with writing(getattr(settings, name), output_kind, force, inputs_of(settings)):
                return function(settings, *arguments, **options)

        return cast(Function, write)

    return decorate


def inputs_of(settings: Any) -> list[Any]:
    """Return the values of a settings dataclass that may name files to read: all but `output`."""
    # an output that writes() finds under another name must be a property, so it is not listed here
    values = [getattr(settings, field.name) for field in fields(settings) if field.name != "output"]
    return [each for value in values for each in (value if isinstance(value, tuple) else [value])]


@contextmanager
def writing(
    path: Path | None,
    kind: str,
    force: bool = False,
    inputs: Iterable[Any] = (),
    remedy: str = REMEDY,
) -> Iterator[None]:
    """Lock and check an output before long work; a folder of results is made.

    Raises UserError as locked() and check_output() do.

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
        yield


def check_place(path: Path) -> None:
    """Raise UserError if nothing can be written at a path, whatever the output is.

    It is called for the outputs of all commands before they work, see Setting.writes.
    """
    target = Path(os.path.realpath(path))
    try:
        is_there = target.exists()
    except OSError as error:  # such as a name that is too long
        raise UserError(f"{path}: {error.strerror}; choose another name") from None
    if target.is_symlink():
        raise UserError(f"{path}: a link that leads to itself; choose another name")
    # a link may be replaced or followed, so both places count
    places = {
        next(each for each in one.absolute().parents if each.exists()) for one in (path, target)
    }
    if target.is_dir():
        places.add(target)
    for place in sorted(places):
        if not place.is_dir():
            raise UserError(f"{path}: {place} is not a folder; choose another place")
        # as the effective user, where the system can tell it
        by_effective_user = os.access in os.supports_effective_ids
        if not os.access(place, os.W_OK, effective_ids=by_effective_user):
            raise UserError(f"{path}: no permission to write in {place}; choose another folder")
    if is_there and target.is_file() and not target.stat().st_mode & _WRITABLE:
        raise UserError(
            f"{path} is read-only, and --force does not replace it either; let it be written, or "
            "choose another name"
        )


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
    check_place(path)
    is_folder = kind in _FOLDER_MARKS
    if not path.exists() or (is_folder and path.is_dir() and _is_unused(path, kind)):
        return
    if not is_folder and not path.is_file():
        what = "folder" if path.is_dir() else "device"
        raise UserError(f"{path} is a {what}; give the name of a file")
    for value in inputs:
        # the value may be any text, for some of which Path.exists() raises an error
        is_path = isinstance(value, str | Path) and os.path.exists(value)  # noqa: PTH110
        if is_path and path.samefile(value):
            raise UserError(
                f"{path} is an input of this command, which --force does not replace either; "
                "choose another name"
            )
    if is_folder:
        marks = [path / name for name in _FOLDER_MARKS[kind]]
        # bcclone makes no links here, so a folder with a link is somebody's
        has_mark = [mark.exists() and not mark.is_symlink() for mark in marks]
        is_complete = any(has_mark[:1])  # False for a kind of folder without marks
        is_begun = any(has_mark)
    else:
        is_complete = is_begun = _is_of(path, kind)
    if not is_begun:
        raise UserError(
            f"{path} exists, and is no {kind}: {_what_is_there(path)}; it is not replaced: choose "
            f"another name, such as {free_name(path)}"
        )
    if is_complete and not force:
        raise UserError(f"{path} exists already; {remedy}")


def _is_unused(folder: Path, kind: str) -> bool:
    """Return whether a folder is empty; one of results may hold what killed processes have left."""
    names = [each.name for each in folder.iterdir()]
    if kind == RESULTS:
        names = [name for name in names if not (name.startswith(".") and _PARTIAL in name)]
    return not names


def _what_is_there(path: Path) -> str:
    """Return in words what is at a path where something exists."""
    if path.is_file():
        kinds = (kind for kind in (STORE, MODEL, *_FILE_MARKS) if _is_of(path, kind))
        what = next(kinds, f"file of {path.stat().st_size} bytes")
        if what.startswith("."):
            what += " file"
        return f"it is {'an' if what[0] in 'aeiou' else 'a'} {what}"
    if not path.is_dir():
        return "it is a device"
    names = sorted(each.name for each in path.iterdir())
    shown = ", ".join(names[:_SHOWN_NAMES])
    return f"it is a folder with {shown}{', ...' * (len(names) > _SHOWN_NAMES)}"


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
    with path.open("rb") as file:
        begin = file.read(1 << 12)
        file.seek(max(size - 64, len(begin)))
        return re.match(_FILE_MARKS[kind], begin + file.read(), re.DOTALL) is not None


@contextmanager
def locked(path: Path, remedy: str, seconds: float = 0.0) -> Iterator[None]:
    """Within the block, no other process or thread can get the lock of the same file or folder.

    Raises UserError if another process has the lock. The path need not exist. The folders above it
    are made; they are removed again if the block fails and they are empty. Where no file can be
    made or locked, as on some network drives, nothing is locked.

    remedy: what the error, which names the process that has the lock, tells the user to do
    seconds: how long to wait for that process
    """
    from filelock import FileLock, Timeout  # not at the top: commands that write nothing start fast

    if path.is_symlink() or path.name in ("", ".."):
        path = Path(os.path.realpath(path))
    # with the path itself, which the block may make as a folder
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    make_folder(path.parent)
    file = path.parent / f".{path.name}{_LOCK}"
    is_new = not os.path.lexists(file)
    # without the fallback, which a killed process would lock for ever
    # 0600: only processes of this user can lock the file, and no others need to read it
    lock = FileLock(file, seconds, 0o600, poll_interval=0.02, fallback_to_soft=False)
    try:
        lock.acquire()
        _write_owner(file)
    except Timeout:
        raise UserError(f"{path}: {_owner_of(file)} is writing it; {remedy}") from None
    except OSError:  # no lock, or somebody's link in its place, which is not followed
        if is_new:
            with suppress(OSError):
                file.unlink()
    has_failed = True
    try:
        yield
        has_failed = False
    finally:
        if lock.is_locked:
            with suppress(OSError):  # Windows removes no open file; filelock does it there
                file.unlink()
            lock.release()
        if has_failed:
            for folder in missing:
                with suppress(OSError):  # it is not empty
                    folder.rmdir()


def _write_owner(file: Path) -> None:
    """Write into a lock which process has it, for the messages of other processes."""
    # a file with a second name (a hard link) may be somebody's; writing would change it
    if file.stat().st_nlink == 1:
        words = [Path(sys.argv[0]).name]
        if is_own_process():  # what other programs are given may be secret
            words += without_secrets(sys.argv[1:])
        line = command_line(words)[:_LONGEST_OWNER]
        with suppress(OSError), file.open("r+b") as opened:
            opened.seek(1)  # on Windows, nobody else can read the first byte of a lock
            opened.write(f"process {os.getpid()} ({line})".encode())
            opened.truncate()


def _owner_of(file: Path) -> str:
    """Return which process has a lock, as _write_owner() has written it."""
    with suppress(OSError), file.open("rb") as opened:
        opened.seek(1)
        return opened.read(1200).decode(errors="replace") or "another process"
    return "another process"
