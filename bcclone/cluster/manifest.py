"""The manifest of a store that is a folder: which shards it has, and how their numbers continue each other's.

In: the folder of a store. Out: its `Manifest`, checked; or the file store.json.
"""

import json
import re
from dataclasses import dataclass
from typing import Self

from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.dataset.store_reader import SCHEMA_VERSION, RecordingInfo
from bcclone.system.codec import explained, parse_json, read_bytes
from bcclone.system.json_values import from_json, json_text
from bcclone.system.location import Location, write_text

MANIFEST_NAME = "store.json"
_NAME = re.compile("[0-9]{1,18}[.]h5")


@dataclass(frozen=True)
class Shard:
    """A shard of a store: the rows of one recording, or a block of them, as a store of its own.

    recording: number of its recording in the whole store; rows, samples: counts; frames: count of the frames that no
    earlier shard has, which come first in the file; copied: numbers, in the whole store, of the frames behind them:
    copies from earlier shards that its samples need; content_hash: of the shard; bytes, sha256: of the file.
    """

    name: str
    recording: int
    rows: int
    samples: int
    frames: int
    copied: tuple[int, ...]
    content_hash: str
    bytes: int
    sha256: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):  # of a file in the folder of the store
            raise ValueError(f"shard {self.name[:60]!r}, expected the name of a file such as 00000.h5")


@dataclass(frozen=True)
class Manifest:
    """What store.json holds.

    content_hash: equal to the hash of a one-file store with the same content; origin: digest of the inputs of the
    shards that were written last.
    """

    preprocessing: Preprocessing
    sample_settings: SampleSettings
    recordings: tuple[RecordingInfo, ...]
    shards: tuple[Shard, ...]
    content_hash: str = ""
    origin: str = ""

    def write(self, folder: Location) -> None:
        """Write the manifest, which completes the store."""
        content = {
            "schema_version": SCHEMA_VERSION,
            "content_hash": self.content_hash,
            "origin": self.origin,
            "preprocessing": json.loads(self.preprocessing.to_json()),
            "preprocessing_hash": self.preprocessing.digest,
            "sample_settings": self.sample_settings,
            "recordings": self.recordings,
            "shards": self.shards,
        }
        write_text(folder / MANIFEST_NAME, json_text(content, indent=1))

    @classmethod
    def read(cls, folder: Location) -> Self:
        """Read the manifest in a folder; raises UserError if it is not one."""
        path = folder / MANIFEST_NAME
        remedy = f"make the store again with: bcclone preprocess RECORDING... -o {folder} --force"
        with explained(path, "the manifest of a store", remedy):
            stored = parse_json(read_bytes(path, "json"))
            if stored["schema_version"] != SCHEMA_VERSION:
                raise ValueError(f"schema version {stored['schema_version']}, expected {SCHEMA_VERSION}")
            preprocessing = Preprocessing.from_json(json.dumps(stored["preprocessing"]))
            if stored["preprocessing_hash"] != preprocessing.digest:
                raise ValueError("the hash of its preprocessing does not match")
            return cls(
                preprocessing,
                SampleSettings.stored(stored["sample_settings"]),
                from_json(tuple[RecordingInfo, ...], stored["recordings"]),
                from_json(tuple[Shard, ...], stored["shards"]),
                from_json(str, stored["content_hash"]),
                from_json(str, stored["origin"]),
            )
