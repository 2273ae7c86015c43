"""A data set of an HDF5 file that grows while rows are appended, so that long episodes take little memory."""

from typing import Any

import h5py

_ROWS_AT_ONCE = 256


class GrowingDataset:
    """Appends rows to a data set; close() cuts off the space that was reserved. shape: of one row."""

    def __init__(self, group: h5py.Group, name: str, shape: tuple[int, ...], dtype: Any) -> None:
        self._dataset = group.create_dataset(
            name, (0, *shape), dtype, maxshape=(None, *shape), chunks=(1, *shape) if shape else (_ROWS_AT_ONCE,)
        )
        self._count = 0

    def append(self, value: Any) -> None:
        """Append a row."""
        if self._count == len(self._dataset):
            self._dataset.resize(self._count + _ROWS_AT_ONCE, axis=0)
        self._dataset[self._count] = value
        self._count += 1

    def close(self) -> None:
        """Cut the data set to the rows that were appended."""
        self._dataset.resize(self._count, axis=0)
