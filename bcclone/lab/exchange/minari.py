"""The format minari: a data set of the Farama Foundation's Minari, in HDF5, which keeps the JPEG bytes.

data/metadata.json and data/main_data.hdf5, in which each episode has observations, actions, rewards, terminations,
truncations and infos. As Minari expects, an episode has one observation more than actions; the last one is repeated.
Rewards are 0, since a recording has none. Source: Minari 0.5.4, dataset/_storages/hdf5_storage.py, serialization.py.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from bcclone.lab.exchange.rows import ACTIONS, ExchangedRow, Source, image_dataset, write_images
from bcclone.system.hdf5_disk import checking, write_hdf5

_DATA, _FILE, _METADATA = "data", "main_data.hdf5", "metadata.json"
_MINARI_VERSION = "0.5.4"  # the version whose format this is
_SPEED_LIMIT_MPH = 1000.0
_LOW, _HIGH = (-1.001, -1.001, -1.001), (1.001, 1.001, 1.001)  # the simulator sometimes writes 1.0000001


def write(source: Source, folder: Path, name: str) -> None:
    """Write the rows into an empty folder. name: of the folder, from which the data set gets its own."""
    data = folder / _DATA
    data.mkdir()
    with write_hdf5(data / _FILE, track_order=True) as (file, check_disk):
        steps = [
            _write_episode(file.create_group(f"episode_{number}"), number, checking(rows, check_disk), source)
            for number, rows in source.episodes()
        ]
    size_mb = round((data / _FILE).stat().st_size / 1e6, 1)
    metadata = _metadata(source, _id_of(name)) | {
        "total_episodes": len(steps), "total_steps": sum(steps), "dataset_size": size_mb,
    }  # fmt: skip
    (data / _METADATA).write_text(json.dumps(metadata), encoding="utf-8")


def _id_of(name: str) -> str:
    """Return a data set's id for a folder's name: with a version, as Minari wants it."""
    cleaned = re.sub(r"[^\w.-]", "-", name).strip("-.") or "recording"
    return cleaned if re.search(r"-v\d+$", cleaned) else f"{cleaned}-v0"


def _write_episode(group: h5py.Group, number: int, rows: Iterable[ExchangedRow], source: Source) -> int:
    """Write an episode; return the number of its steps."""
    observations = group.create_group("observations")
    datasets = {camera: image_dataset(observations, camera, (), h5py.vlen_dtype(np.uint8)) for camera in source.cameras}
    observed = write_images(datasets, _last_repeated(rows), lambda image: np.frombuffer(image, np.uint8))
    steps = len(observed) - 1
    group.attrs.update({"id": number, "total_steps": steps})
    observations["speed_mph"] = np.array([[row.speed_mph] for row in observed])
    group["actions"] = np.array([row.numbers[:3] for row in observed[:-1]])
    group["rewards"] = np.zeros(steps)
    group["terminations"] = np.zeros(steps, np.bool_)
    group["truncations"] = np.arange(steps) == steps - 1
    _write_infos(group.create_group("infos"), observed, source)
    return steps


def _last_repeated(rows: Iterable[ExchangedRow]) -> Iterator[ExchangedRow]:
    for row in rows:
        yield row
    yield row


def _write_infos(infos: h5py.Group, observed: Sequence[ExchangedRow], source: Source) -> None:
    """Write what the observations lack: times, and the tables next to the log."""
    infos["time_ms"] = np.array([row.time_ms for row in observed])
    infos["recording"] = np.array([row.recording for row in observed])
    if source.has_drivers:
        infos["driver"] = _texts(row.driver for row in observed)
        infos["take_over"] = np.array([row.take_over for row in observed])
    if source.has_trace:
        infos["track"] = _texts(row.track for row in observed)
        infos["position"] = np.array([row.position for row in observed])


def _texts(texts: Iterable[str]) -> Any:
    return np.array(list(texts), h5py.string_dtype())


def _metadata(source: Source, dataset_id: str) -> dict[str, Any]:
    image = _box("uint8", (*source.size, 3), 0, 255)
    spaces = dict.fromkeys(source.cameras, image)
    spaces["speed_mph"] = _box("float64", (1,), -_SPEED_LIMIT_MPH, _SPEED_LIMIT_MPH)
    action = {"type": "Box", "dtype": "float64", "shape": [len(ACTIONS)], "low": list(_LOW), "high": list(_HIGH)}
    return {
        "dataset_id": dataset_id,
        "data_format": "hdf5",
        "jpeg_encoding": True,
        "minari_version": _MINARI_VERSION,
        "observation_space": json.dumps({"type": "Dict", "subspaces": spaces}),
        "action_space": json.dumps(action),
        "algorithm_name": "human",
        "description": f"Driving recorded in the Udacity simulator; actions: {', '.join(ACTIONS)}. By bcclone export.",
    }


def _box(dtype: str, shape: tuple[int, ...], low: float, high: float) -> dict[str, Any]:
    """Return a space of Gymnasium as Minari writes it."""
    return {
        "type": "Box", "dtype": dtype, "shape": list(shape),
        "low": np.full(shape, low).tolist(), "high": np.full(shape, high).tolist(),
    }  # fmt: skip
