"""Write the format lerobot: a LeRobot data set, version 3.0, with image files, not videos, so that it keeps the JPEGs.

meta/info.json declares the features; data/chunk-000/file-NNN.parquet has a row for each frame, with the content of its
images, and a row group for each episode; meta/episodes, meta/tasks.parquet and meta/stats.json describe them. LeRobot's
`action` and `observation.state` are float32; our own column `recorded` has the values of the log to the last bit.
Source: LeRobot 0.6, datasets/utils.py, feature_utils.py and dataset_metadata.py. Needs pyarrow.
"""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bcclone.lab.exchange.lerobot_statistics import Statistics
from bcclone.lab.exchange.rows import ACTIONS, ExchangedRow, Source, suffix_of
from bcclone.recording.row import NUMBERS
from bcclone.system.errors import require_package

INFO = "meta/info.json"
_DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
_EPISODES_PATH, _TASKS_PATH, _STATS_PATH = (
    "meta/episodes/chunk-000/file-000.parquet",
    "meta/tasks.parquet",
    "meta/stats.json",
)
_FILE_MB, _FILES_PER_CHUNK = 100, 1000
_TASK = "Drive along the road."
ACTION, STATE, RECORDED = "action", "observation.state", "recorded"  # columns of numbers
_IMAGE = "observation.images."
_POSITION = ("seconds", "x_m", "z_m", "cross_track_m")
_ROWS_AT_ONCE = 256


def load_pyarrow() -> tuple[Any, Any]:
    """Return the modules pyarrow and pyarrow.parquet; raises UserError if pyarrow is not installed."""
    require_package("pyarrow", "LeRobot's format", "bcclone[export]")
    import pyarrow
    import pyarrow.parquet

    return pyarrow, pyarrow.parquet


def write(source: Source, folder: Path) -> None:
    """Write the rows into an empty folder."""
    features = _features(source)
    statistics = Statistics(features, source.rows)
    with _DataFiles(folder, features) as files:
        episodes = [
            _write_episode(files, _records(rows, number, source.rows_per_second), statistics)
            for number, rows in source.episodes()
        ]
    pyarrow, parquet = load_pyarrow()
    _make_parent(folder / _EPISODES_PATH)
    with (folder / _EPISODES_PATH).open("wb") as file:  # pyarrow refuses paths that are not UTF-8
        parquet.write_table(pyarrow.Table.from_pylist(episodes), file)
    _write_tasks(folder / _TASKS_PATH)
    info = _info(features, episodes, source.rows_per_second)
    for path, content in ((INFO, info), (_STATS_PATH, statistics.as_json())):
        (folder / path).write_text(json.dumps(content, indent=4), encoding="utf-8")


def _features(source: Source) -> dict[str, dict[str, Any]]:
    """Return the declaration of each column, as in info.json."""
    image = {"dtype": "image", "shape": [*source.size, 3], "names": ["height", "width", "channels"]}
    features = {f"{_IMAGE}{camera}": image for camera in source.cameras}
    features |= {
        STATE: _feature("float32", NUMBERS[3:]),
        ACTION: _feature("float32", ACTIONS),
        RECORDED: _feature("float64", NUMBERS),
        "time_ms": _feature("int64"),
        "recording": _feature("int64"),
    }
    if source.has_drivers:
        features |= {"driver": _feature("string"), "take_over": _feature("int64")}
    if source.has_trace:
        features |= {"track": _feature("string"), "position": _feature("float64", _POSITION)}
    features["timestamp"] = _feature("float32")
    return features | {name: _feature("int64") for name in ("frame_index", "episode_index", "index", "task_index")}


def _feature(dtype: str, names: Sequence[str] = ()) -> dict[str, Any]:
    return {"dtype": dtype, "shape": [len(names) or 1], "names": list(names) or None}


class _DataFiles:
    """Writes the frames to Parquet files of at most about 100 MB each, an episode in one of them; a context manager."""

    def __init__(self, folder: Path, features: Mapping[str, Mapping[str, Any]]) -> None:
        self._folder, self._written = folder, 0
        self._writer, self._file = None, ExitStack()
        self._pyarrow, self._parquet = load_pyarrow()
        self._schema = self._pyarrow.schema([(name, self._type(each)) for name, each in features.items()])
        self.number, self.frames = -1, 0

    def __enter__(self) -> "_DataFiles":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def place(self) -> tuple[int, int]:
        """Return the numbers of the chunk and of the file in it that are written to."""
        return divmod(self.number, _FILES_PER_CHUNK)

    def begin_episode(self) -> None:
        """Open the next file, if there is none or it is full."""
        if self._writer is not None and self._written < _FILE_MB * 1e6:
            return
        self._file.close()
        self.number, self._written = self.number + 1, 0
        chunk, number = self.place
        path = self._folder / _DATA_PATH.format(chunk_index=chunk, file_index=number)
        _make_parent(path)
        file = self._file.enter_context(path.open("wb"))
        self._writer = self._file.enter_context(self._parquet.ParquetWriter(file, self._schema, compression="snappy"))

    def append(self, records: list[dict[str, Any]]) -> None:
        """Write some frames of the episode."""
        table = self._pyarrow.Table.from_pylist(records, self._schema)
        self._writer.write_table(table)  # type: ignore[attr-defined]
        self._written += table.nbytes
        self.frames += len(records)

    def _type(self, feature: Mapping[str, Any]) -> Any:
        """Return the column's type as the library `datasets` writes it."""
        pa = self._pyarrow
        if feature["dtype"] == "image":
            return pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        value = {"string": pa.string(), "int64": pa.int64(), "float32": pa.float32(), "float64": pa.float64()}
        one, count = value[feature["dtype"]], feature["shape"][0]
        return one if count == 1 else pa.list_(one, count)


def _write_episode(files: _DataFiles, records: Iterator[dict[str, Any]], statistics: Statistics) -> dict[str, Any]:
    """Write the frames of an episode; return its row of meta/episodes."""
    files.begin_episode()
    first = files.frames
    while batch := list(itertools.islice(records, _ROWS_AT_ONCE)):
        for record in batch:
            record["index"] = first + record["frame_index"]
            statistics.add(record)
        files.append(batch)
    chunk, file = files.place
    return {
        "episode_index": record["episode_index"], "tasks": [_TASK], "length": files.frames - first,
        "dataset_from_index": first, "dataset_to_index": files.frames,
        "data/chunk_index": chunk, "data/file_index": file,
        "meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0,
    }  # fmt: skip


def _records(rows: Iterable[ExchangedRow], episode: int, rows_per_second: int) -> Iterator[dict[str, Any]]:
    """Yield the frames of an episode as LeRobot names their values, without `index`."""
    for frame, row in enumerate(rows):
        yield {
            **{
                f"{_IMAGE}{camera}": {"bytes": image, "path": f"{camera}-{row.time_ms}{suffix_of(image)}"}
                for camera, image in row.images.items()
            },
            STATE: row.speed_mph,
            ACTION: row.numbers[:3],
            RECORDED: row.numbers,
            "time_ms": row.time_ms,
            "recording": row.recording,
            "driver": row.driver,
            "take_over": row.take_over,
            "track": row.track,
            "position": row.position,
            "timestamp": frame / rows_per_second,
            "frame_index": frame,
            "episode_index": episode,
            "task_index": 0,
        }


def _info(features: Mapping[str, Any], episodes: Sequence[Mapping[str, Any]], rows_per_second: int) -> dict[str, Any]:
    return {
        "codebase_version": "v3.0",
        "robot_type": "udacity-simulator",
        "total_episodes": len(episodes),
        "total_frames": episodes[-1]["dataset_to_index"],
        "total_tasks": 1,
        "chunks_size": _FILES_PER_CHUNK,
        "data_files_size_in_mb": _FILE_MB,
        "video_files_size_in_mb": 2 * _FILE_MB,
        "fps": rows_per_second,
        "splits": {"train": f"0:{len(episodes)}"},
        "data_path": _DATA_PATH,
        "video_path": None,
        "features": features,
    }


def _write_tasks(path: Path) -> None:
    """Write the one task, as pandas would a table whose index is the task."""
    import pandas as pd

    _make_parent(path)
    with path.open("wb") as file:
        pd.DataFrame({"task_index": [0]}, index=pd.Index([_TASK], name="task")).to_parquet(file, engine="pyarrow")


def _make_parent(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
