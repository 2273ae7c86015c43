"""Open a store, whose frames are memory-mapped, or the same tables for image files.

In: a path. Out: a `Store`, to be used in a `with` block.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeAlias

from bcclone.dataset.frames import Frames
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.rows import RowTable
from bcclone.dataset.sample_settings import SampleSettings
from bcclone.dataset.samples import SampleTable, indices_of
from bcclone.dataset.store_reader import RecordingInfo, StoreContent, read_store
from bcclone.system.arrays import IndexArray
from bcclone.system.errors import UserError
from bcclone.system.location import Location, parse_location


class Store:
    """A store opened for reading: a file, or what bcclone.cluster has read from several files.

    frames: uint8 (frames, height, width, channels), memory-mapped, read-only; samples: SAMPLE table; rows: the recorded
    rows; extras: text of the other columns of each row, or nothing; recordings: where the rows come from.
    Raises UserError for a path that is not a store, and for a store that is truncated or has another schema.
    """

    def __init__(self, path: Location | str, opened: tuple[StoreContent, Frames] | None = None) -> None:
        self.path = path = parse_location(path) if isinstance(path, str) else path
        content, self.frames = opened or _open_file(path)
        self.preprocessing, self.sample_settings = content.preprocessing, content.sample_settings
        self.content_hash, self.recordings = content.content_hash, content.recordings
        self.samples, self.rows, self.extras = content.samples, content.rows, content.extras

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Unmap the frames, which cannot be read afterwards."""
        self.frames.close()

    def split_indices(self, part: str) -> IndexArray:
        """Return the indices of the samples of one of sample_settings.PARTS, as samples.indices_of()."""
        return indices_of(self.samples, self.rows, part)


# path -> the store there, None for a recording; bcclone.cluster has one that also opens folders of shards
OpenIfStore: TypeAlias = Callable[[Location], Store | None]


def open_if_store(path: Location) -> Store | None:
    """Open the store in a file; return None for a log or a folder, which is a recording. Raises UserError."""
    return None if path.suffix == ".csv" or (isinstance(path, Path) and path.is_dir()) else Store(path)


def _open_file(path: Location) -> tuple[StoreContent, Frames]:
    if not isinstance(path, Path):
        raise UserError(f"{path}: a file at a URL, expected a store on this machine; copy it here first")
    if path.is_dir():
        raise UserError(
            f"{path}: a folder, expected the file of a store; make a store of a recording with: "
            f"bcclone preprocess {path} -o data.h5"
        )
    if not path.exists():
        raise missing_store(path)
    content, _ = read_store(path)
    return content, Frames(content.frames, content.preprocessing.shape)


def missing_store(path: Location) -> UserError:
    """Return the error for a path where nothing is."""
    return UserError(f"{path}: no such store; make one with: bcclone preprocess RECORDING... -o {path}")


@dataclass(frozen=True)
class ImageSamples:
    """The tables of a store, with image files instead of frames.

    samples: SAMPLE table, whose `frame` is an index into files; rows: the recorded rows; files: paths of the images;
    preprocessing: how an image becomes a frame; content_hash: hash of all of this; recordings: where
    the rows come from.
    """

    path: Location
    preprocessing: Preprocessing
    samples: SampleTable
    rows: RowTable
    files: Sequence[str]
    sample_settings: SampleSettings
    content_hash: str
    recordings: Sequence[RecordingInfo] = ()

    def __post_init__(self) -> None:
        if len(self.samples) and self.samples["frame"].max() >= len(self.files):
            raise ValueError(f"a sample of image {self.samples['frame'].max()}, expected one of {len(self.files)}")

    def split_indices(self, part: str) -> IndexArray:
        """Return the indices of the samples of one of sample_settings.PARTS, as samples.indices_of()."""
        return indices_of(self.samples, self.rows, part)
