"""Find and read the files of a LeRobot data set: Parquet files -> records.

A record holds the values of one row of a file, by the names of the columns.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Self

from bcclone.system.codec import explained, one_line, open_file, path_inside, whole_number
from bcclone.system.location import is_hidden

INFO = "meta/info.json"
REMEDY = "download the data set again; copy a data set of links with cp -rL first"

# a name in braces in a path of info.json, and how many digits it stands for: {episode_index:06d}
_NAME_IN_PATH = re.compile(r"\{(\w+)(?::0?(\d{1,2})d?)?\}")
# few rows are read at once: a file may store one large image once, and use it in every row
_ROWS_AT_ONCE = 16


@dataclass(frozen=True)
class SetPaths:
    """The paths of the files of a data set, as info.json states them, with names in braces."""

    data: str  # Parquet files, such as data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet
    video: str  # video of a camera
    chunks_size: int  # number of episodes in a folder, in version 2

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> Self:
        """Return the paths in info.json, or the usual ones of its version; raises ValueError."""
        usual_video = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
        if str(info.get("codebase_version")).startswith("v2"):
            usual_video = (
                "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
            )
        return cls(
            chunks_size=whole_number("chunks_size", info.get("chunks_size", 1000), 1),
            data=one_line("data_path", info.get("data_path") or "data/*/*.parquet"),
            video=one_line("video_path", info.get("video_path") or usual_video),
        )

    @property
    def pattern(self) -> str:
        """Return the pattern that finds the Parquet files."""
        return _NAME_IN_PATH.sub("*", self.data)

    @property
    def has_video_of_episode(self) -> bool:
        """Return whether each episode has a file of its own, as in version 2."""
        return "{episode" in self.video

    def video_of(self, folder: Path, feature: str, **numbers: int) -> str:
        """Return the path of a video; raises UserError if a name in the path has no number.

        folder: folder of the data set
        feature: name of the camera
        numbers: name in braces -> number
        """
        values = {"video_key": feature} | {name: str(number) for name, number in numbers.items()}

        def value_of(place: re.Match[str]) -> str:
            return values[place[1]].zfill(int(place[2] or 0))

        expected = f"expected {{{', '.join(values)}}} in video_path; {REMEDY}"
        with explained(folder / INFO, "", expected):
            return _NAME_IN_PATH.sub(value_of, self.video)


def files_of(folder: Path, pattern: str) -> list[Path]:
    """Return the files that a pattern finds, in the order of the numbers in their paths.

    Raises UserError.
    """
    with explained(folder / INFO, "the description of a LeRobot data set", REMEDY):
        paths = [path for path in folder.glob(pattern) if not is_hidden(path.name)]
        names = [str(path.relative_to(folder)) for path in paths]
        return [path_inside(folder, name) for name in sorted(names, key=_by_numbers)]


def _by_numbers(name: str) -> tuple[list[int], str]:
    """Return the sort key of a path: the numbers in it, and for equal numbers the path."""
    return [int(digits) for digits in re.findall(r"\d{1,18}", name)], name


def read_records(
    folder: Path, pattern: str, needed: Collection[str], optional: Collection[str] = ()
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the file and number of each row, for messages, and its values, by column.

    Raises UserError for files that cannot be read, lack a needed column, or would fill memory.

    pattern: finds the Parquet files
    needed, optional: columns to read
    """
    from pyarrow import parquet

    for path in files_of(folder, pattern):
        with explained(path, "a file of this data set", REMEDY), open_file(path, "table") as file:
            size = file.seek(0, 2)
            table = parquet.ParquetFile(file)
            _check_unpacked(table.metadata, size)
            names = set(table.schema_arrow.names)
            missing = sorted(set(needed) - names)
            if missing:
                raise KeyError(missing[0])
            columns = [*needed, *(set(optional) & names)]
            batches = table.iter_batches(_ROWS_AT_ONCE, columns=columns)
            rows = chain.from_iterable(batch.to_pylist() for batch in batches)
            for index, row in enumerate(rows, start=1):
                yield f"{path}: row {index}", row


def _check_unpacked(metadata: Any, size: int) -> None:
    """Raise ValueError for a column whose unpacked values are much larger than its file.

    metadata: what the Parquet file says of its columns
    size: bytes of the file
    """
    # bytes; a file of images hardly grows, since JPEGs are compressed already
    most = (1 << 24) + 8 * size
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for place in range(group.num_columns):
            column = group.column(place)
            if column.total_uncompressed_size > most:
                raise ValueError(
                    f"column {column.path_in_schema} has {column.total_uncompressed_size} bytes "
                    "unpacked"
                )
