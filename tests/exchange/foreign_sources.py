"""Folders of frames with tables, videos, tubs and data sets, as other programs leave them.

The colour of a frame shows its number.
"""

import json

import cv2
import numpy as np
import pytest

from bcclone.camera.images import decode_jpeg
from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.recording_import import import_recording
from bcclone.recording.log import read_log

SIZE = (96, 64)
FIRST_NS = 1_479_425_441_182_877_835


def color_of(index):
    return (40 + 8 * (index % 25), 120, 200 - 8 * (index % 25))


def picture(index, size=SIZE):
    """An RGB picture of one colour, uint8 (height, width, 3)."""
    return np.full((size[1], size[0], 3), color_of(index), np.uint8)


def imported(source, target, **settings):
    return import_recording(ImportSettings(source, target, **settings))


def rows_of(folder):
    return read_log(folder / "driving_log.csv").rows


def color_shown(folder, index):
    """The colour in the middle of a row's image."""
    return decode_jpeg((folder / "IMG" / rows_of(folder)["center"][index]).read_bytes())[
        80, 160
    ].tolist()


def write_image(path, index, size=SIZE):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, picture(index, size)[:, :, ::-1])[1].tobytes())


def make_frames(folder, names, table=None, name="labels.csv"):
    """Write images of these names, and a table of rows of cells, the header first."""
    for index, each in enumerate(names):
        write_image(folder / each, index)
    if table is not None:
        (folder / name).write_text("".join(",".join(map(str, row)) + "\n" for row in table))
    return folder


def make_car(folder, count=8):
    """A folder like a challenge's: frames called by their nanoseconds, and the angle of the
    steering wheel in rad.
    """
    ids = [FIRST_NS + 50_000_000 * index for index in range(count)]
    rows = [
        ("frame_id", "steering_angle"),
        *((each, 0.1 * (index - 3)) for index, each in enumerate(ids)),
    ]
    return make_frames(folder, [f"frames/{each}.jpg" for each in ids], rows)


def make_video(path, count=20, size=SIZE, rate=20, codec="libx264"):
    """Write a video whose frame N has color_of(N)."""
    av = pytest.importorskip("av", reason="pip install 'bcclone[video]'")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for index in range(count):
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(picture(index, size), format="rgb24"))
            )
        container.mux(stream.encode())
    return path


def make_tub(folder, deleted=(), rows=4, pictures=None, **record):
    """Write a tub as donkeycar does: its own inputs only, 160x120 pixels. record: values, or
    functions of the index.
    """
    (folder / "images").mkdir(parents=True)
    values = {
        "user/angle": lambda index: 0.1 * index,
        "user/throttle": -0.5,
        "user/mode": "user",
    } | record
    lines = []
    for index in range(rows):
        name = f"{index}_cam_image_array_.jpg"
        pixels = pictures(index) if pictures else np.full((120, 160, 3), 90, np.uint8)
        cv2.imwrite(str(folder / "images" / name), pixels)
        own = {
            "_index": index,
            "_session_id": "26-01-01_0",
            "_timestamp_ms": 1_767_225_600_000 + 50 * index,
        }
        values_here = {
            key: value(index) if callable(value) else value for key, value in values.items()
        }
        lines.append(json.dumps(own | {"cam/image_array": name} | values_here) + "\n")
    (folder / "catalog_0.catalog").write_text("".join(lines))
    paths = {
        "paths": ["catalog_0.catalog"],
        "current_index": rows,
        "max_len": 1000,
        "deleted_indexes": list(deleted),
    }
    manifest = (["cam/image_array"], ["image_array"], {}, {"created_at": 1.0}, paths)
    (folder / "manifest.json").write_text("".join(json.dumps(line) + "\n" for line in manifest))
    return folder


def make_tub_of_files(folder, numbers=(1, 2, 10), start=1_600_000_000.5, **record):
    """Write a tub as donkeycar 2 and 3 do: a file for each record, 50 ms apart. record: as in
    make_tub().
    """
    folder.mkdir()
    values = {"user/angle": lambda number: 0.01 * number, "user/throttle": 0.3, "user/mode": "user"}
    values |= {"milliseconds": lambda number: 50 * number} | record
    for number in numbers:
        write_image(folder / f"{number}_cam-image_array_.jpg", number)
        here = {key: value(number) if callable(value) else value for key, value in values.items()}
        here = {"cam/image_array": f"{number}_cam-image_array_.jpg"} | here
        (folder / f"record_{number}.json").write_text(
            json.dumps({k: v for k, v in here.items() if v is not None})
        )
    about = {
        "inputs": ["cam/image_array", "user/angle", "user/throttle", "user/mode"],
        "types": [],
        "start": start,
    }
    (folder / "meta.json").write_text(json.dumps(about))
    return folder


def make_lerobot(
    folder,
    episodes=(3, 3),
    camera=None,
    names=("steering", "throttle"),
    step=0.25,
    rate=10,
    info=None,
    **others,
):
    """Write a data set of another program with an action, and perhaps other features' names.

    camera: of the frames, content of a picture in each; None: the camera is a video, which this
    does not write; info: further values of info.json.
    """
    pyarrow = pytest.importorskip("pyarrow", reason="pip install 'bcclone[lerobot]'")
    from pyarrow import parquet

    key, frames = "observation.images.front", []
    for episode, count in enumerate(episodes):
        for frame in range(count):
            values = {"action": [step * frame, 0.5], "frame_index": frame, "episode_index": episode}
            values |= {"timestamp": frame / rate} | {
                name: [0.1] * len(of) for name, of in others.items()
            }
            frames.append(values | ({key: {"bytes": camera, "path": None}} if camera else {}))
    size = (info or {}).get("chunks_size", 1000)
    for episode in range(len(episodes)):
        path = folder / f"data/chunk-{episode // size:03d}/episode_{episode:06d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        of_episode = [frame for frame in frames if frame["episode_index"] == episode]
        with path.open("wb") as file:  # pyarrow itself refuses a name that is not UTF-8
            parquet.write_table(pyarrow.Table.from_pylist(of_episode), file)
    features = {
        key: {"dtype": "image" if camera else "video", "shape": [48, 96, 3], "names": None},
        "action": {"dtype": "float32", "shape": [2], "names": {"motors": list(names)}},
    } | {name: {"dtype": "float32", "shape": [len(of)], "names": of} for name, of in others.items()}
    (folder / "meta").mkdir()
    about = {
        "codebase_version": "v2.1", "fps": rate, "features": features,
        "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "video_path": "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
    }  # fmt: skip
    (folder / "meta" / "info.json").write_text(json.dumps(about | (info or {})))
    return folder
