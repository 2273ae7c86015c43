"""Keep copies of shards at a URL in a local folder of bounded size, which several processes may share.

In: the `FrameFile` of a shard. Out: its frames, mapped from a copy. A copy is named by the SHA-256 of its content, and
appears under its name when it is whole and checked.
"""

import contextlib
import errno
import hashlib
import os
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from bcclone.dataset.frames import FrameFile
from bcclone.dataset.images import Image
from bcclone.system.atomic import make_folder
from bcclone.system.errors import UserError
from bcclone.system.location import reaching

_LONGEST_DOWNLOAD_SECONDS = 3600  # what is older was left by a killed process


class ShardCache:
    """Local copies of shards, at most `limit` bytes of them, but for those in use; the oldest are deleted.

    A context manager that several feeds may enter. wanted: the folder, None for a temporary one, which is deleted when
    the last feed leaves.
    """

    folder: Path

    def __init__(self, wanted: Path | None, limit: int) -> None:
        self._wanted, self.limit = wanted, limit
        self._in_use: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._users, self._opened = 0, ExitStack()

    def __enter__(self) -> Self:
        with self._lock:
            if not self._users:
                temporary = tempfile.TemporaryDirectory(prefix="bcclone-shards-")
                self.folder = self._wanted or Path(self._opened.enter_context(temporary))
                make_folder(self.folder, "another --cache")
            self._users += 1
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                self._opened.close()

    def has_copy(self, file: FrameFile) -> bool:
        copy = self._copy(file)
        return copy.is_file() and copy.stat().st_size == file.version[0]

    def map(self, file: FrameFile, frame_shape: tuple[int, ...], stop: threading.Event) -> Image:
        """Map the frames of a shard's copy, uint8 (count, *frame_shape), until release(); fetch the copy if needed.

        stop: ends the fetching with a UserError when it is set. Raises UserError when the shard cannot be fetched, or
        is not the one of the manifest.
        """
        copy = self._copy(file)
        self._count(copy, 1)
        try:
            while True:
                if not self.has_copy(file):
                    self._fetch(file, copy, stop)
                with contextlib.suppress(FileNotFoundError):  # another process may just have deleted it
                    os.utime(copy)
                    return replace(file, path=copy).map(frame_shape)
        except BaseException:
            self.release(file)
            raise

    def release(self, file: FrameFile) -> None:
        """Let the copy of a shard be deleted; what map() returned must not be used any more."""
        self._count(self._copy(file), -1)

    def _count(self, copy: Path, uses: int) -> None:
        with self._lock:
            self._in_use[copy.name] += uses

    def _copy(self, file: FrameFile) -> Path:
        return self.folder / f"{file.sha256}.h5"

    def _fetch(self, file: FrameFile, copy: Path, stop: threading.Event) -> None:
        self._make_room(file.version[0])
        with tempfile.TemporaryDirectory(dir=self.folder, suffix=".partial") as folder:
            partial, remote = Path(folder, copy.name), file.path
            try:
                with reaching(remote):
                    remote.fs.get_file(remote.path, str(partial), callback=_stopping(stop))  # type: ignore[union-attr]
                with partial.open("rb") as content:
                    is_whole = hashlib.file_digest(content, "sha256").hexdigest() == file.sha256
                if is_whole:
                    partial.replace(copy)
            except OSError as error:
                reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
                raise UserError(
                    f"{self.folder}: cannot keep copies of shards: {reason}; choose another --cache"
                ) from None
        if not is_whole:
            raise UserError(
                f"{file.path}: the shard is damaged, its SHA-256 is not that of the manifest; copy it there again, or "
                "make the store again"
            )

    def _make_room(self, size: int) -> None:
        """Delete the oldest copies that are not in use, until there is room for so many bytes."""
        present = []
        for path in [*self.folder.glob("*.h5"), *self.folder.glob("*.partial/*.h5")]:
            with contextlib.suppress(FileNotFoundError):  # deleted by another process
                present.append((path.stat().st_mtime, path.stat().st_size, path))
        total, now = size + sum(bytes_of for _, bytes_of, _ in present), time.time()
        for changed, bytes_of, path in sorted(present):
            if total <= self.limit:
                return
            is_left = path.parent == self.folder or now - changed > _LONGEST_DOWNLOAD_SECONDS
            if is_left and not self._in_use[path.name]:
                with contextlib.suppress(FileNotFoundError, PermissionError):  # the latter where Windows has it mapped
                    path.unlink()
                    total -= bytes_of


def _stopping(stop: threading.Event) -> Any:
    """Return a callback of fsspec that ends a download when `stop` is set."""
    from fsspec.callbacks import Callback

    class Stopping(Callback):  # type: ignore[misc]
        def call(self, *_: Any, **__: Any) -> None:
            if stop.is_set():
                raise UserError("fetching was stopped")

    return Stopping()
