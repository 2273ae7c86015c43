"""Read frames that lie in several memory-mapped files; their numbers continue from file to file."""

from collections.abc import Sequence

import numpy as np

from bcclone.dataset.frames import FrameFile, Frames, Indices
from bcclone.dataset.images import Image


class ShardFrames(Frames):
    """Frames, uint8 (frames, height, width, 3), in files that are mapped into memory when they are first used."""

    def __init__(self, files: Sequence[FrameFile], frame_shape: tuple[int, ...]) -> None:
        super().__init__(files, frame_shape)
        # (files,): address of each file's first frame, minus the bytes of all frames before it; 0: not mapped yet
        self._origins = np.zeros(len(self.files), np.uint64)

    def take(self, indices: Indices, into: Image) -> None:
        """Copy the frames at these indices, (images,), into a contiguous uint8 (images, *frame_shape)."""
        if not len(indices):
            return
        from bcclone.cluster.gather import gather  # loads Numba

        copied, rows = 0, into.reshape(len(indices), -1)
        while (copied := gather(self._origins, self._ends, indices, copied, rows)) < len(indices):
            number = int(self.file_of(indices[copied : copied + 1])[0])
            self._point_to(number, self._map_file(number))

    def _point_to(self, number: int, frames: Image) -> None:
        """Let take() copy from the mapped frames of a file."""
        bytes_before = np.uint64(self._starts[number] * self.frame_bytes)
        self._origins[number] = np.uint64(frames.ctypes.data) - bytes_before

    def close(self) -> None:
        """Unmap the files; the frames cannot be read afterwards."""
        super().close()
        self._origins = self._origins[:0]
