"""Samples and frames -> one HDF5 file, and back. The format is documented in docs/reference/store.md.

The frames lie contiguous and uncompressed, so that they can be memory-mapped and read in any order at the
speed of memory; the tables are small and are read whole.
"""

from bcclone.store.reader import Store, root_attributes, row_frame, row_table
from bcclone.store.writer import StoreWriter

__all__ = ["Store", "StoreWriter", "root_attributes", "row_frame", "row_table"]
