"""Read frames that lie in several memory-mapped files, numbered through all of them."""

from collections.abc import Sequence

import numpy as np

from bcclone.dataset.frames import FrameFile, Frames, Indices
from bcclone.dataset.images import Image


class ShardFrames(Frames):
    """Frames, uint8 (frames, height, width, 3), in files that are mapped into memory when they are first used."""

    def __init__(self, files: Sequence[FrameFile], frame_shape: tuple[int, ...]) -> None:
        super().__init__(files, frame_shape)
        # of each file, (files,): the address that frame 0 would have if the file held it, too; 0: not mapped yet
        self._origins = np.zeros(len(self.files), np.uint64)

    def take(self, indices: Indices, into: Image) -> None:
        """Copy the frames at these indices, (images,), into a contiguous uint8 (images, *frame_shape)."""
        if not len(indices):
            return
        from bcclone.cluster.gather import gather  # loads Numba

        done, rows = 0, into.reshape(len(indices), -1)
        while (done := gather(self._origins, self._ends, indices, done, rows)) < len(indices):
            number = int(self.file_of(indices[done : done + 1])[0])
            self._point_to(number, self._map_file(number))

    def _point_to(self, number: int, frames: Image) -> None:
        """Let take() copy from the mapped frames of a file."""
        before = np.uint64(self._starts[number] * self.frame_bytes)
        self._origins[number] = np.uint64(frames.ctypes.data) - before

    def close(self) -> None:
        """Unmap the files; the frames cannot be read afterwards."""
        super().close()
        self._origins = self._origins[:0]
