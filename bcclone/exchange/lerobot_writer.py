"""Write a LeRobot data set, version 3.0, with image files, not videos, so that it keeps the JPEGs.

meta/info.json declares the features; data/chunk-000/file-NNN.parquet has a row for each frame, with
the content of its images, and a row group for each episode; meta/episodes, meta/tasks.parquet and
meta/stats.json describe them. LeRobot's `action` and `observation.state` are float32; our own
column `recorded` has the values of the log to the last bit. Source: LeRobot 0.6, datasets/utils.py,
feature_utils.py and dataset_metadata.py. Needs pyarrow.
"""

import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np

from bcclone.camera.images import decode_image
from bcclone.exchange.formats import POINT, ExchangedRow, ExportedRows, suffix_of
from bcclone.recording.row import NUMBERS

INFO = "meta/info.json"
_DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
_EPISODES_PATH, _TASKS_PATH = "meta/episodes/chunk-000/file-000.parquet", "meta/tasks.parquet"
_STATS_PATH = "meta/stats.json"
_FILE_BYTES, _FILES_PER_CHUNK = 100_000_000, 1000
_TASK = "Drive along the road."
ACTION, STATE, RECORDED = "action", "observation.state", "recorded"  # columns of numbers
_IMAGE = "observation.images."
_QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
_IMAGES_READ, _EVERY_PIXEL = (
    100,
    4,
)  # of each camera, about; every fourth pixel in a row and a column
_ROWS_AT_ONCE = 256


def write(rows: ExportedRows, folder: Path) -> None:
    """Write the rows into an empty folder."""
    import pandas as pd
    import pyarrow
    from pyarrow import parquet

    features = _features(rows)
    samples: dict[str, list[Any]] = {
        name: [] for name, each in features.items() if each["dtype"] != "string"
    }
    episodes = list(_write_episodes(rows, folder, features, samples))
    tasks = pd.DataFrame(
        {"task_index": [0]}, index=pd.Index([_TASK], name="task")
    )  # as pandas writes an index
    tables = {
        _EPISODES_PATH: pyarrow.Table.from_pylist(episodes),
        _TASKS_PATH: pyarrow.Table.from_pandas(tasks),
    }
    for path, table in tables.items():
        with _open_new(folder / path) as file:
            parquet.write_table(table, file)
    info = {
        "codebase_version": "v3.0",
        "robot_type": "udacity-simulator",
        "total_episodes": len(episodes),
        "total_frames": len(rows),
        "total_tasks": 1,
        "chunks_size": _FILES_PER_CHUNK,
        "data_files_size_in_mb": _FILE_BYTES // 1_000_000,
        "video_files_size_in_mb": 2 * _FILE_BYTES // 1_000_000,
        "fps": rows.rows_per_second,
        "splits": {"train": f"0:{len(episodes)}"},
        "data_path": _DATA_PATH,
        "video_path": None,
        "features": features,
    }
    images_last = sorted(samples, key=lambda name: features[name]["dtype"] == "image")
    statistics = {
        name: _statistics(samples[name], features[name]["dtype"] == "image") for name in images_last
    }
    for path, content in ((INFO, info), (_STATS_PATH, statistics)):
        (folder / path).write_text(json.dumps(content, indent=4), encoding="utf-8")


def _write_episodes(
    source: ExportedRows,
    folder: Path,
    features: Mapping[str, Any],
    samples: Mapping[str, list[Any]],
) -> Iterator[dict[str, Any]]:
    """Write the frames to Parquet files of about 100 MB, an episode in one of them; yield the rows
    of meta/episodes.

    samples: of each column, to which all numbers and the colours of some images are added.
    """
    import pyarrow
    from pyarrow import parquet

    schema = pyarrow.schema([(name, _type_of(each)) for name, each in features.items()])
    files, frames, written, every = 0, 0, 0.0, max(len(source) // _IMAGES_READ, 1)
    with ExitStack() as stack:
        for number, (_, rows) in enumerate(itertools.groupby(source, key=lambda row: row.episode)):
            if not files or written >= _FILE_BYTES:
                stack.close()
                chunk, index = divmod(files, _FILES_PER_CHUNK)
                file = stack.enter_context(
                    _open_new(folder / _DATA_PATH.format(chunk_index=chunk, file_index=index))
                )
                writer = stack.enter_context(
                    parquet.ParquetWriter(file, schema, compression="snappy")
                )
                files, written = files + 1, 0.0
            first, records = frames, _records(rows, number, source.rows_per_second, frames)
            while batch := list(itertools.islice(records, _ROWS_AT_ONCE)):
                _sample(batch, samples, every)
                table = pyarrow.Table.from_pylist(batch, schema)
                writer.write_table(table)
                frames, written = frames + len(batch), written + table.nbytes
            yield {
                "episode_index": number, "tasks": [_TASK], "length": frames - first,
                "dataset_from_index": first, "dataset_to_index": frames,
                "data/chunk_index": chunk, "data/file_index": index,
                "meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0,
            }  # fmt: skip


def _features(source: ExportedRows) -> dict[str, dict[str, Any]]:
    """Return the declaration of each column, as in info.json."""
    image = {"dtype": "image", "shape": [*source.size, 3], "names": ["height", "width", "channels"]}
    features = {f"{_IMAGE}{camera}": image for camera in source.cameras}
    features |= {
        STATE: _feature("float32", NUMBERS[3:]),
        ACTION: _feature("float32", NUMBERS[:3]),
        RECORDED: _feature("float64", NUMBERS),
        "time_ms": _feature("int64"),
        "recording": _feature("int64"),
    }
    if source.has_drivers:
        features |= {"driver": _feature("string"), "take_over": _feature("int64")}
    if source.has_trace:
        features |= {"track": _feature("string"), "position": _feature("float64", POINT)}
    features["timestamp"] = _feature("float32")
    return features | {
        name: _feature("int64") for name in ("frame_index", "episode_index", "index", "task_index")
    }


def _feature(dtype: str, names: Sequence[str] = ()) -> dict[str, Any]:
    return {"dtype": dtype, "shape": [len(names) or 1], "names": list(names) or None}


def _type_of(feature: Mapping[str, Any]) -> Any:
    """Return a column's type as the library `datasets` writes it."""
    import pyarrow as pa

    if feature["dtype"] == "image":
        return pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    one, count = getattr(pa, feature["dtype"])(), feature["shape"][0]
    return one if count == 1 else pa.list_(one, count)


def _sample(
    records: Sequence[Mapping[str, Any]], samples: Mapping[str, list[Any]], every: int
) -> None:
    """Add the numbers of each column, (numbers,), and the colours of every so many images, (pixels,
    3).
    """
    for record, name in itertools.product(records, samples):
        value = record[name]
        if not isinstance(value, dict):
            samples[name].append(np.atleast_1d(value))
        elif record["index"] % every == 0:
            picture = decode_image(value["bytes"])[::_EVERY_PIXEL, ::_EVERY_PIXEL]
            samples[name].append(picture.reshape(-1, 3) / 255)


def _statistics(samples: Sequence[Any], is_image: bool) -> dict[str, list[Any]]:
    """Return the statistics of a column, ignoring NaN.

    samples: (numbers,) each, or the colours of an image, 0 to 1, (pixels, 3), whose statistics are
    (3, 1, 1).
    """
    values = np.vstack(samples).astype(np.float64)
    values = np.where(np.isnan(values).all(axis=0), 0.0, values)
    found: dict[str, Any] = {
        "min": np.nanmin(values, axis=0), "max": np.nanmax(values, axis=0),
        "mean": np.nanmean(values, axis=0), "std": np.nanstd(values, axis=0),
    }  # fmt: skip
    found |= {name: np.nanquantile(values, share, axis=0) for name, share in _QUANTILES.items()}
    shaped = {
        name: (each[:, None, None] if is_image else each).tolist() for name, each in found.items()
    }
    return shaped | {"count": [len(samples)]}


def _records(
    rows: Iterable[ExchangedRow], episode: int, rows_per_second: int, first: int
) -> Iterator[dict[str, Any]]:
    """Yield the frames of an episode as LeRobot names their values. first: index of the first one."""
    for frame, row in enumerate(rows):
        values = row.values()
        yield {
            **{
                f"{_IMAGE}{camera}": {
                    "bytes": image,
                    "path": f"{camera}-{row.time_ms}{suffix_of(image)}",
                }
                for camera, image in row.images.items()
            },
            STATE: row.speed_mph,
            ACTION: row.numbers[:3],
            RECORDED: row.numbers,
            "time_ms": row.time_ms,
            "recording": row.recording,
            "driver": values.get("driver", ""),
            "take_over": values.get("take_over") or 0,
            "track": values.get("track", ""),
            "position": [values.get(name, math.nan) for name in POINT],
            "timestamp": frame / rows_per_second,
            "frame_index": frame,
            "index": first + frame,
            "episode_index": episode,
            "task_index": 0,
        }


def _open_new(path: Path) -> IO[bytes]:
    """Open a file to write, also under a name that is not UTF-8, which pyarrow refuses."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("wb")
