"""Write samples and their frames to one HDF5 file, and read them back. Format: docs/reference/store.md.

The frames are contiguous and uncompressed, so they can be memory-mapped and read in any order at the speed of memory.
The tables are small and are loaded completely.
"""

from bcclone.store.reader import ImageSamples, RecordingInfo, Store, root_attributes, row_frame, row_table
from bcclone.store.writer import StoreWriter

__all__ = ["ImageSamples", "RecordingInfo", "Store", "StoreWriter", "root_attributes", "row_frame", "row_table"]
