"""Write files atomically: a path holds the complete new file or the old one, never a part.

write_text() and write_bytes() take the content. replacing() and replacing_folder() yield a
temporary path to write to, which takes the place of the old one when the block succeeds.
"""

import hashlib
import os
import platform
import re
import shutil
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Self

from bcclone.system.errors import UserError

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
def replacing(path: Path, follow: bool = False) -> Iterator[Path]:
    """Yield a temporary path, which replaces `path` when the block ends without an error.

    The temporary path is in the same folder, and has the same suffix, because Keras and ffmpeg
    choose the format by the suffix. Temporary files of killed processes of this computer are
    removed when the same path is written again. An OSError names `path`.

    follow: if `path` is a link, replace the file that it leads to. Use it only for a name that the
        user has typed: elsewhere, somebody else may have made the link.
    """
    if follow:
        path = Path(os.path.realpath(path))
    else:
        path = Path(os.path.realpath(path.parent), path.name)
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
