"""Folders of frames with tables, videos, tubs and data sets, as other programs leave them.

The colour of a frame shows its number.
"""

import json

import cv2
import numpy as np
import pytest

from bcclone.camera.images import decode_jpeg
from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.inquiry import NotStated
from bcclone.exchange.recording_import import import_recording
from bcclone.recording.log import read_log

SIZE = (96, 64)
NAMES = ["frame_0001.png", "frame_0002.png", "frame_0003.png"]
FIRST_NS = 1_479_425_441_182_877_835
PICTURE = cv2.imencode(".png", np.full((48, 96, 3), (10, 10, 200), np.uint8))[1].tobytes()  # a PNG


def color_of(index):
    return (40 + 8 * (index % 25), 120, 200 - 8 * (index % 25))


def picture(index, size=SIZE):
    """Return an RGB picture of one colour, uint8 (height, width, 3)."""
    width, height = size
    return np.full((height, width, 3), color_of(index), np.uint8)


def imported(source, target, **settings):
    return import_recording(ImportSettings(source, target, **settings))


def imported_frames(source, **settings):
    """Import frames that are 50 ms apart."""
    target = source.parent / "new" / "out"
    return imported(source, target, **({"frame_rate": 20} | settings))


def refusal_of(source, **settings):
    """Import a source that does not state all; return the refusal, and check that nothing was
    written.
    """
    target = source.parent / "refused" / "out"
    with pytest.raises(NotStated) as refused:
        imported(source, target, **settings)
    assert not target.parent.exists()
    assert refused.value.exit_code == 2
    assert all(line.isprintable() for line in str(refused.value).splitlines())
    return refused.value


def asked(source, **settings):
    """Import a source that does not state all; return the kinds of what is asked for, by option.

    What has to be changed in the source has the option None; what may be left out is not returned.
    """
    missing = refusal_of(source, **settings).facts["missing"]
    return {one["option"]: one["kind"] for one in missing if not one["optional"]}


def rows_of(folder):
    return read_log(folder / "driving_log.csv").rows


def color_shown(folder, index):
    """Return the colour in the middle of a row's image."""
    image = folder / "IMG" / rows_of(folder)["center"][index]
    return decode_jpeg(image.read_bytes())[80, 160].tolist()


def write_image(path, index, size=SIZE):
    path.parent.mkdir(parents=True, exist_ok=True)
    bgr = picture(index, size)[:, :, ::-1]
    _, content = cv2.imencode(path.suffix, bgr)
    path.write_bytes(content.tobytes())


def spoil(path, old, new):
    """Replace a text of a file, which must be there, by another."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def make_frames(folder, names, table=None, name="labels.csv"):
    """Write images of these names, and a table of rows of cells, the header first."""
    for index, image in enumerate(names):
        write_image(folder / image, index)
    if table is not None:
        (folder / name).write_text("".join(",".join(map(str, row)) + "\n" for row in table))
    return folder


def make_car(folder, count=8):
    """Write a folder like a challenge's.

    Its frames are called by their nanoseconds; its table has the angle of the steering wheel in
    rad.
    """
    times = [FIRST_NS + 50_000_000 * index for index in range(count)]
    table = [("frame_id", "steering_angle")]
    table += [(time, 0.1 * (index - 3)) for index, time in enumerate(times)]
    return make_frames(folder, [f"frames/{time}.jpg" for time in times], table)


def make_video(path, count=20, size=SIZE, rate=20, codec="libx264"):
    """Write a video whose frame N has color_of(N)."""
    av = pytest.importorskip("av", reason="pip install 'bcclone[video]'")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(picture(index, size), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _at(index, values):
    """Return the values of a record, of which some are functions of its index."""
    return {key: value(index) if callable(value) else value for key, value in values.items()}


def make_tub(folder, deleted=(), rows=4, pictures=None, **record):
    """Write a tub as donkeycar does, with its own inputs only.

    pictures: function of the index; by default grey pictures of 160x120 pixels
    record: further values, or functions of the index
    """
    (folder / "images").mkdir(parents=True)
    values = {"user/angle": lambda index: 0.1 * index, "user/throttle": -0.5, "user/mode": "user"}
    values |= record
    lines = []
    for index in range(rows):
        name = f"{index}_cam_image_array_.jpg"
        pixels = np.full((120, 160, 3), 90, np.uint8)
        if pictures:
            pixels = pictures(index)
        cv2.imwrite(str(folder / "images" / name), pixels)
        entry = {
            "_index": index,
            "_session_id": "26-01-01_0",
            "_timestamp_ms": 1_767_225_600_000 + 50 * index,
            "cam/image_array": name,
        }
        lines.append(json.dumps(entry | _at(index, values)) + "\n")
    (folder / "catalog_0.catalog").write_text("".join(lines))
    catalogs = {
        "paths": ["catalog_0.catalog"],
        "current_index": rows,
        "max_len": 1000,
        "deleted_indexes": list(deleted),
    }
    manifest = (["cam/image_array"], ["image_array"], {}, {"created_at": 1.0}, catalogs)
    (folder / "manifest.json").write_text("".join(json.dumps(line) + "\n" for line in manifest))
    return folder


def make_tub_of_files(folder, numbers=(1, 2, 10), start=1_600_000_000.5, **record):
    """Write a tub as donkeycar 2 and 3 do: a file for each record, 50 ms apart.

    record: further values, or functions of the number; None leaves a value out
    """
    folder.mkdir()
    values = {"user/angle": lambda number: 0.01 * number, "user/throttle": 0.3, "user/mode": "user"}
    values |= {"milliseconds": lambda number: 50 * number} | record
    for number in numbers:
        image = f"{number}_cam-image_array_.jpg"
        write_image(folder / image, number)
        entry = {"cam/image_array": image} | _at(number, values)
        written = {key: value for key, value in entry.items() if value is not None}
        (folder / f"record_{number}.json").write_text(json.dumps(written))
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
    start=0.0,
    step=0.25,
    rate=10,
    info=None,
    **others,
):
    """Write a data set of another program, with an action and perhaps other features.

    camera: content of the picture in each frame; None: the camera is a video, which is not written
    start, step: the first steering of an episode, and how it changes from frame to frame
    info: further values of info.json
    others: name of a feature -> the names of its values
    """
    pyarrow = pytest.importorskip("pyarrow", reason="pip install 'bcclone[lerobot]'")
    from pyarrow import parquet

    info = info or {}
    key = "observation.images.front"
    episodes_a_chunk = info.get("chunks_size", 1000)
    for episode, count in enumerate(episodes):
        rows = []
        for frame in range(count):
            row = {
                "action": [start + step * frame, 0.5],
                "frame_index": frame,
                "episode_index": episode,
            }
            row["timestamp"] = frame / rate
            for feature, names_of_values in others.items():
                row[feature] = [0.1] * len(names_of_values)
            if camera:
                row[key] = {"bytes": camera, "path": None}
            rows.append(row)
        chunk = episode // episodes_a_chunk
        path = folder / f"data/chunk-{chunk:03d}/episode_{episode:06d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:  # pyarrow itself refuses a name that is not UTF-8
            parquet.write_table(pyarrow.Table.from_pylist(rows), file)

    camera_kind = "image" if camera else "video"
    features = {
        key: {"dtype": camera_kind, "shape": [48, 96, 3], "names": None},
        "action": {"dtype": "float32", "shape": [2], "names": {"motors": list(names)}},
    }
    for feature, names_of_values in others.items():
        shape = [len(names_of_values)]
        features[feature] = {"dtype": "float32", "shape": shape, "names": names_of_values}
    video = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
    about = {
        "codebase_version": "v2.1",
        "fps": rate,
        "features": features,
        "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "video_path": video,
    }
    (folder / "meta").mkdir()
    (folder / "meta" / "info.json").write_text(json.dumps(about | info))
    return folder
