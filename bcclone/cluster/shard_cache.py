"""Keep copies of far-away shards in a local folder of bounded size, which several processes may share.

In: the `FrameFile` of a shard. Out: its frames, mapped from a checked copy.

A copy is named by the SHA-256 of its content, so that the copies of several stores do not collide. Another process may
have made it, so each process compares that hash once before it uses a copy.
"""

import contextlib
import errno
import hashlib
import os
import stat
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

import filelock

from bcclone.dataset.frames import FrameFile
from bcclone.dataset.images import Image
from bcclone.system.atomic import make_folder
from bcclone.system.errors import UserError
from bcclone.system.location import read_ranges
from bcclone.system.prefetch import prefetch_ordered
from bcclone.system.reading import UnfitFile, open_limited

_BLOCK = 1 << 23  # bytes of a request
_REQUESTS = 4  # at once
_POLL_SECONDS = 0.2


class ShardCache:
    """Local copies of shards, at most `limit` bytes of them, but for those in use; the oldest are deleted.

    A context manager that several feeds may enter: the first opens the folder. wanted: the folder, None for a temporary
    one, which is then deleted.
    """

    folder: Path

    def __init__(self, wanted: Path | None, limit: int) -> None:
        self._wanted, self.limit = wanted, limit
        self._in_use: Counter[str] = Counter()
        self._checked: set[tuple[str, int]] = set()  # names and numbers of files whose content was compared
        self._lock = threading.Lock()
        self._users, self._opened = 0, ExitStack()

    def __enter__(self) -> Self:
        with self._lock:
            if not self._users:
                self._open()
            self._users += 1
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                self._opened.close()

    def _open(self) -> None:
        with ExitStack() as opening:
            if self._wanted:
                self.folder = self._wanted
            else:
                self.folder = Path(opening.enter_context(tempfile.TemporaryDirectory(prefix="bcclone-shards-")))
            make_folder(self.folder, "another --cache")
            _check_private(self.folder)
            self._opened = opening.pop_all()

    def holds(self, file: FrameFile) -> bool:
        """Return whether there is a copy of a shard."""
        return self._copy(file).exists()

    def map(self, file: FrameFile, frame_shape: tuple[int, ...], stop: threading.Event) -> Image:
        """Map the frames of a shard's copy, uint8 (count, *frame_shape), until release(); fetch the copy if needed.

        stop: ends the fetching with a UserError when it is set. Raises UserError when the shard cannot be fetched, or
        is not the one of the manifest.
        """
        copy = self._copy(file)
        self._count(copy, 1)
        try:
            with self._locked(copy.with_suffix(".lock"), stop):  # nobody deletes it until it is mapped
                if not self._is_whole(file, copy):
                    self._fetch(file, copy, stop)
                    self._checked.add((copy.name, copy.stat().st_ino))
                os.utime(copy)
                return FrameFile(copy, file.offset, file.count, file.version).map(frame_shape)
        except BaseException:
            self.release(file)
            raise

    def _is_whole(self, file: FrameFile, copy: Path) -> bool:
        """Return whether there is a copy with the content of a shard."""
        try:
            with open_limited(copy, file.version[0]) as source:
                status = os.fstat(source.fileno())
                checked = copy.name, status.st_ino
                if status.st_size != file.version[0]:
                    return False
                if checked not in self._checked and hashlib.file_digest(source, "sha256").hexdigest() != file.sha256:
                    return False
        except (UnfitFile, OSError):
            return False
        self._checked.add(checked)
        return True

    def release(self, file: FrameFile) -> None:
        """Let the copy of a shard be deleted; what map() returned must not be used any more."""
        self._count(self._copy(file), -1)

    def _count(self, copy: Path, uses: int) -> None:
        with self._lock:
            self._in_use[copy.name] += uses

    def _copy(self, file: FrameFile) -> Path:
        return self.folder / f"{file.sha256}.h5"

    def _fetch(self, file: FrameFile, copy: Path, stop: threading.Event) -> None:
        partial, size = copy.with_suffix(".partial"), file.version[0]
        try:
            with self._locked(self.folder / "room.lock", stop):
                self._make_room(size)
                partial.unlink(missing_ok=True)
                with partial.open("xb") as target:  # no link of another user is followed
                    target.truncate(size)  # counts from now on
            if self._download(file, partial, stop) != file.sha256:
                raise UserError(
                    f"{file.path}: the shard is damaged, its SHA-256 is not that of the manifest; copy it there again, "
                    "or make the store again"
                )
            partial.replace(copy)
        except OSError as error:
            reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
            raise UserError(f"{self.folder}: cannot keep copies of shards: {reason}; choose another --cache") from None
        finally:
            partial.unlink(missing_ok=True)

    def _download(self, file: FrameFile, partial: Path, stop: threading.Event) -> str:
        """Write the content of a shard, and return its SHA-256."""
        digest, size = hashlib.sha256(), file.version[0]

        def read(start: int) -> bytes:
            return read_ranges([(file.path, start, min(start + _BLOCK, size))])[0]

        with (
            partial.open("r+b") as target,
            prefetch_ordered(read, range(0, size, _BLOCK), _REQUESTS, _REQUESTS) as blocks,
        ):
            for block in blocks:
                if stop.is_set():
                    raise UserError(f"{file.path}: fetching was stopped")
                target.write(block)
                digest.update(block)
        return digest.hexdigest()

    def _make_room(self, size: int) -> None:
        """Delete the oldest copies that are not in use, until there is room for so many bytes."""
        copies = [path for path in self.folder.iterdir() if path.suffix in (".h5", ".partial")]
        present = []
        for path in copies:
            with contextlib.suppress(FileNotFoundError):  # deleted by another process
                status = path.lstat()
                present.append((status.st_mtime_ns, status.st_size, path))
        total = size + sum(bytes_of for _, bytes_of, _ in present)
        for _, bytes_of, path in sorted(present):
            if total <= self.limit:
                return
            if not self._in_use[path.with_suffix(".h5").name] and self._delete(path):
                total -= bytes_of

    def _delete(self, path: Path) -> bool:
        """Delete a copy, or what a killed process left of one; return False if a process is just fetching it."""
        try:
            with filelock.FileLock(path.with_suffix(".lock"), timeout=0):
                path.unlink(missing_ok=True)
        except (filelock.Timeout, PermissionError):  # the latter where Windows has it mapped
            return False
        return True

    @contextmanager
    def _locked(self, path: Path, stop: threading.Event) -> Iterator[None]:
        lock = filelock.FileLock(path)
        while True:
            try:
                lock.acquire(timeout=_POLL_SECONDS)
                break
            except filelock.Timeout:
                if stop.is_set():
                    raise UserError(f"{path}: waiting was stopped") from None
            except OSError as error:  # a link, or no permission
                raise UserError(f"{path}: cannot be locked: {error.strerror}; choose another --cache") from None
        try:
            yield
        finally:
            lock.release()


def _check_private(folder: Path) -> None:
    """Raise UserError if every user of this machine may put files into a folder."""
    if os.name == "posix" and folder.stat().st_mode & stat.S_IWOTH:
        raise UserError(f"{folder}: every user may write there; choose another --cache, or run: chmod o-w {folder}")
