"""A path to write -> the whole file or the old one, never half of it."""

import os
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from bcclone.errors import UserError

_STALE_AFTER_SECONDS = 86_400
_FLUSHED_BYTES = 1 << 25


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it takes the place of `path` when the block ends without an error.

    The temporary name keeps the suffix, since Keras and ffmpeg choose the format by it. What a killed run
    left behind is removed by the next one that writes the same path. An OSError names `path`.
    """
    path = path.resolve()  # a link stays, and what it points to is replaced
    _remove_leftovers(path)
    token = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
    temporary = path.with_name(f"{_head(path)}{token}.partial{path.suffix}")
    try:
        yield temporary
        _flush(temporary)
        temporary.replace(path)
    except OSError as error:
        if error.filename in (None, str(temporary)):
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)
    if os.name == "posix":
        _flush(path.parent)


class EarlyFlush:
    """Sends what has been written to a file to the disk while more is written, so that the last flush has little to do.

    `file` is unbuffered, or so large are the pieces written that its buffer plays no part. A disk that fails tells
    it once only: the OSError comes from wrote() or wait(), and the file is not whole then.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._unsent = file, 0
        self._pool = ThreadPoolExecutor(1, "flush")  # starts no thread before there is something to do
        self._sent: Future[None] | None = None

    def wrote(self, count: int) -> None:
        """Count bytes that were written; once there are many, they are sent off if the disk has taken those before."""
        self._unsent += count
        if self._unsent >= _FLUSHED_BYTES and (self._sent is None or self._sent.done()):
            self.send()

    def send(self) -> None:
        """Send off all that was written; waits for what was sent before."""
        self.wait()
        self._sent, self._unsent = self._pool.submit(_flush_data, self._file.fileno()), 0

    def wait(self) -> None:
        """Return when the disk has what was sent."""
        if self._sent is not None:
            self._sent.result()

    def close(self) -> None:
        """Wait, and end the thread; to be called before the file is closed. A failure of the disk is not told."""
        self._pool.shutdown()


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 so that a reader sees the old content or the new, and nothing between."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write `content` so that a reader sees the old content or the new, and nothing between."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def file_version(path: Path) -> tuple[int, int]:
    """Return what is another when a file was written anew."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def check_output(path: Path, force: bool, remedy: str) -> None:
    """Raise UserError when `path` is there already and not to be replaced, or cannot be written at all.

    So nobody learns it after an hour's work. `remedy` says what to do about an existing file.
    """
    folder = path.absolute().parent
    if path.is_dir():
        raise UserError(f"{path} is a folder; give the name of a file")
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is no regular file; give the name of a file")
    if path.exists() and not force:
        raise UserError(f"{path} exists already; {remedy}")
    if not folder.is_dir():
        raise UserError(f"{path}: the folder {folder} does not exist; make it first, or choose another place")
    if not os.access(folder, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        raise UserError(f"{path}: no permission to write in {folder}; choose another place")


def _flush_data(handle: int) -> None:
    getattr(os, "fdatasync", os.fsync)(handle)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _head(path: Path) -> str:
    """Return what the temporary names of a path begin with; short enough for any file system."""
    return f".{path.stem[:100]}."


def _remove_leftovers(path: Path) -> None:
    for leftover in path.parent.iterdir() if path.parent.is_dir() else ():
        if leftover.name.startswith(_head(path)) and ".partial" in leftover.name:
            pid = leftover.name.removeprefix(_head(path)).partition("-")[0]
            if pid.isdigit() and not _may_be_in_use(leftover, int(pid)):
                leftover.unlink(missing_ok=True)


def _may_be_in_use(leftover: Path, pid: int) -> bool:
    if sys.platform == "win32":  # signal 0 would end the process there
        return time.time() - leftover.stat().st_mtime < _STALE_AFTER_SECONDS
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
