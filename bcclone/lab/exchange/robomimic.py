"""The format robomimic: one HDF5 file, data/demo_N/obs/..., with decoded pixels instead of JPEG bytes.

robomimic reads images as uint8 (rows, height, width, 3), and everything else as float. Source: robomimic's page
"Dataset Structure" and robomimic 0.3, utils/dataset.py.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np

from bcclone.dataset.images import decode_image
from bcclone.lab.exchange.rows import ACTIONS, ExchangedRow, Source, image_dataset, write_images
from bcclone.recording.drivers import MODEL
from bcclone.system.hdf5_disk import checking, write_hdf5

_VALIDATION_EVERY = 10  # of the episodes, if there are that many


def write(source: Source, path: Path, name: str) -> None:
    """Write the rows into a file. name: not used, since the data set has none."""
    total, names = 0, []
    with write_hdf5(path) as (file, check_disk):
        data = file.create_group("data")
        for number, rows in source.episodes():
            names.append(f"demo_{number}")
            total += _write_demo(data.create_group(names[-1]), checking(rows, check_disk), source)
        data.attrs["total"] = total
        data.attrs["env_args"] = json.dumps({"env_name": "udacity-simulator", "type": 2, "env_kwargs": {}})
        data.attrs["actions"] = json.dumps(ACTIONS)
        if len(names) >= _VALIDATION_EVERY:
            valid = names[::_VALIDATION_EVERY]
            file["mask/valid"] = np.array(valid, "S")
            file["mask/train"] = np.array([name for name in names if name not in valid], "S")


def _write_demo(demo: h5py.Group, rows: Iterable[ExchangedRow], source: Source) -> int:
    """Write an episode; return its rows."""
    observations = demo.create_group("obs")
    datasets = {
        camera: image_dataset(observations, f"{camera}_image", (*source.size, 3), np.uint8) for camera in source.cameras
    }
    written = write_images(datasets, rows, decode_image)
    count = len(written)
    demo.attrs["num_samples"] = count
    observations["speed_mph"] = np.array([[row.speed_mph] for row in written])
    demo["actions"] = np.array([row.numbers[:3] for row in written])
    demo["rewards"] = np.zeros(count)
    demo["dones"] = (np.arange(count) == count - 1).astype(np.int64)
    demo["time_ms"] = np.array([row.time_ms for row in written])
    if source.has_drivers:
        demo["by_model"] = np.array([row.driver == MODEL for row in written])
        demo["take_over"] = np.array([row.take_over for row in written])
    if source.has_trace:
        demo["position"] = np.array([row.position for row in written])
    return count
