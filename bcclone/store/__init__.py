"""Write samples and their frames to HDF5 files, and read them back. Format: docs/reference/store.md.

A store is one file, or a folder of such files, here called shards, with a manifest. The frames are contiguous and
uncompressed, so they can be memory-mapped and read in any order at the speed of memory. The tables are small and are
loaded completely.
"""

from bcclone.store.manifest import MANIFEST_NAME, Manifest, Shard
from bcclone.store.reader import (
    RecordingInfo,
    ShardOrigin,
    StoreContent,
    read_checksums,
    read_store_file,
    row_frame,
    row_table,
)
from bcclone.store.shards import open_tables, read_shards
from bcclone.store.store import ImageSamples, Store, is_store
from bcclone.store.writer import ContentHash, StoreWriter

__all__ = [
    "MANIFEST_NAME",
    "ContentHash",
    "ImageSamples",
    "Manifest",
    "RecordingInfo",
    "Shard",
    "ShardOrigin",
    "Store",
    "StoreContent",
    "StoreWriter",
    "is_store",
    "open_tables",
    "read_checksums",
    "read_shards",
    "read_store_file",
    "row_frame",
    "row_table",
]
