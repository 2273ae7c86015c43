"""Open a store, whose frames are memory-mapped, or the same tables for image files."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from bcclone.cluster.far_frames import FarFrames
from bcclone.cluster.manifest import MANIFEST_NAME, Manifest
from bcclone.cluster.shards import read_shards
from bcclone.dataset.frames import Frames
from bcclone.dataset.images import Preprocessing
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.dataset.samples import RowTable, SampleTable
from bcclone.dataset.store_reader import read_store_file
from bcclone.system.arrays import IndexArray
from bcclone.system.errors import UserError
from bcclone.system.location import Location, is_url, parse_location, reaching


def is_store(path: Location) -> bool:
    """Return whether a path is meant as a store: a folder of shards, or a file that is no log."""
    with reaching(path):
        return (path / MANIFEST_NAME).is_file() if path.is_dir() else path.suffix != ".csv"


class Store:
    """A store opened for reading: a file, or a folder of shards with a manifest, which may be at a URL.

    frames: uint8 (frames, height, width, 3), memory-mapped or at a URL, read-only; samples: SAMPLE table; rows: the
    recorded rows; extras: text of the further columns of each row, or nothing; recordings: those that the rows come
    from.
    Raises UserError for a path that is not a store, and for a store that is truncated or has another schema.
    """

    def __init__(self, path: Location | str) -> None:
        self.path = path = parse_location(path) if isinstance(path, str) else path
        content = read_shards(path, Manifest.read(path)) if _is_folder(path) else read_store_file(path)
        self.preprocessing, self.sample_settings = content.preprocessing, content.sample_settings
        self.content_hash, self.recordings = content.content_hash, content.recordings
        self.samples, self.rows, self.extras = content.samples, content.rows, content.extras
        kind = FarFrames if is_url(path) else Frames
        self.frames = kind(content.frames, (self.preprocessing.height, self.preprocessing.width, 3))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Unmap the frames, which cannot be read afterwards."""
        self.frames.close()

    def split_indices(self, validation: bool) -> IndexArray:
        """Return the indices of the training or the validation samples, (samples,), in the order of the table."""
        return np.flatnonzero(self.samples["validation"] == validation)


def _is_folder(path: Location) -> bool:
    """Return whether a store is a folder of shards; raises UserError if there is no store."""
    with reaching(path):
        is_folder, exists = path.is_dir(), path.exists()
        has_manifest = is_folder and (path / MANIFEST_NAME).is_file()
    if is_folder and not has_manifest:
        raise UserError(
            f"{path}: a folder without a {MANIFEST_NAME}, expected a store; make a store of a recording with: "
            f"python preprocess.py {path} -o data.h5"
        )
    if not exists:
        raise UserError(f"{path}: no such store; make one with: python preprocess.py RECORDING... -o {path}")
    if is_url(path) and not is_folder:
        raise UserError(f"{path}: a file at a URL, expected a folder of shards; copy it to this machine first")
    return is_folder


@dataclass(frozen=True)
class ImageSamples:
    """The tables of a store, with image files instead of frames.

    samples: SAMPLE table, whose `frame` is an index into files; rows: the recorded rows; files: paths of the images;
    preprocessing: how an image becomes a frame; content_hash: hash of all of this.
    """

    path: Location
    preprocessing: Preprocessing
    samples: SampleTable
    rows: RowTable
    files: Sequence[str]
    sample_settings: SampleSettings
    content_hash: str

    def __post_init__(self) -> None:
        if len(self.samples) and self.samples["frame"].max() >= len(self.files):
            raise ValueError(f"a sample of image {self.samples['frame'].max()}, expected one of {len(self.files)}")

    def split_indices(self, validation: bool) -> IndexArray:
        """Return the indices of the training or the validation samples, (samples,), in the order of the table."""
        return np.flatnonzero(self.samples["validation"] == validation)
