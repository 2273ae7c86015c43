"""The readers of files and messages of others that are fuzzed: for each, valid ones to change, and
how they are read.

A reader raises UserError or returns for any content of its files. What the commands catch counts as
held; see fuzzing.py.
"""

import base64
import contextlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from bcclone.cli import run
from bcclone.simulator.expert import record
from bcclone.simulator.world_settings import RecordSettings
from tests.exchange.foreign_sources import make_lerobot

_ROWS = 12
_MORE_ROWS = 100


@dataclass(frozen=True)
class Reader:
    """make(folder) writes valid files; files: patterns of those to change; read(folder, out) reads
    them.

    out: an empty folder for what is written.
    """

    name: str
    files: tuple[str, ...]
    make: Callable[[Path], None]
    read: Callable[[Path, Path], None]


class Failed(Exception):
    """A command ended with a code that no input may cause."""


def _command(name, *arguments):
    code = run(name, ["bcclone", *name.split()], [str(argument) for argument in arguments])
    if code not in (0, 1, 2):
        raise Failed(f"{name} ended with exit code {code}")


def _make_recording(folder, count=_ROWS):
    whole = folder.with_name(folder.name + "-whole")
    record(whole, RecordSettings(laps=count / 1000, recoveries=0))
    lines = (whole / "driving_log.csv").read_text().splitlines(keepends=True)[:count]
    (folder / "IMG").mkdir(parents=True, exist_ok=True)
    for line in lines:
        for image in line.split(",")[:3]:
            shutil.copy(image, folder / "IMG" / Path(image).name)
    (folder / "driving_log.csv").write_text("".join(lines))
    for sidecar in ("trace.csv", "drivers.csv"):
        if (whole / sidecar).is_file():
            rows = (whole / sidecar).read_text().splitlines(keepends=True)[: count + 1]
            (folder / sidecar).write_text("".join(rows))
    names = [Path(line.split(",")[0]).name for line in lines]
    if not (folder / "drivers.csv").is_file():
        (folder / "drivers.csv").write_text(
            "image,driver,take_over\n" + "".join(f"{name},human,\n" for name in names)
        )
    _command("edit", folder, "--delete", 3, 4, "--quiet")
    shutil.rmtree(whole)


def _read_recording(folder, out):
    _command("preprocess", folder, "-o", out / "data.h5", "--quiet")


def _make_exported(format):
    def make(folder):
        _make_recording(folder / "rec")
        _command("export", folder / "rec", "--to", format, "-o", folder / "set", "--quiet")
        shutil.rmtree(folder / "rec")

    return make


def _make_lerobot(folder):
    picture = cv2.imencode(".jpg", np.full((160, 320, 3), 90, np.uint8))[1].tobytes()
    make_lerobot(folder / "set", camera=picture, start=-0.25)


def _read_exported(folder, out):
    _command("import", folder / "set", "-o", out / "recording", "--quiet")


def _make_model(folder):
    _make_recording(folder / "rec", _MORE_ROWS)
    _command("preprocess", folder / "rec", "-o", folder / "data.h5", "--quiet")
    into = ("-o", folder / "model.h5", "--runs", folder / "runs", "--name", "a")
    _command(
        "model",
        folder / "data.h5",
        *into,
        "--epochs",
        1,
        "--batch-size",
        8,
        "--no-plots",
        "--quiet",
    )
    for made in ("rec", "runs"):
        shutil.rmtree(folder / made)


def _read_model(folder, out):
    from bcclone.model.model_file import open_model

    open_model(folder / "model.h5")


def _make_onnx(folder):
    _make_model(folder)
    _command("export", folder / "model.h5", "--to", "onnx", "-o", folder / "model.onnx", "--quiet")


def _read_onnx(folder, out):
    from bcclone.model.onnx_model import OnnxModel

    OnnxModel(folder / "model.onnx").run({"frame": np.zeros((1, 160, 320, 3), np.uint8)})


def _make_road(folder):
    points = [[0, 0, 8], [120, 10, 8], [200, 90, 9, 1.5], [150, 200, 8], [20, 180, 8], [-60, 80, 8]]
    (folder / "road.json").write_text(json.dumps({"points": points, "closed": True, "look": {}}))


def _read_road(folder, out):
    from bcclone.simulator.track import load_track

    load_track(str(folder / "road.json"))


def _make_packets(folder):
    _make_recording(folder / "rec")
    image = base64.b64encode(next((folder / "rec" / "IMG").glob("center*")).read_bytes()).decode()
    shutil.rmtree(folder / "rec")
    telemetry = {"steering_angle": "0.1", "throttle": "0.5", "speed": "12,5", "image": image}
    event = '42["telemetry",' + json.dumps(telemetry) + "]"
    texts = (event, "40", "41", '420["manual",{}]', "2probe", "5", "3", "40/admin,", "451-[]")
    for number, text in enumerate(texts):
        (folder / f"{number}.packet").write_text(text)
    (folder / "arguments.json").write_text(json.dumps(["telemetry", telemetry]))


def _read_packets(folder, out):
    from bcclone.drive.protocol import RefusedPacket, SocketIOConnection

    texts = [path.read_bytes().decode(errors="replace") for path in sorted(folder.glob("*.packet"))]
    texts.append("42" + (folder / "arguments.json").read_bytes().decode(errors="replace"))
    for text in texts:
        with contextlib.suppress(RefusedPacket):
            SocketIOConnection().receive(text)


def _make_page(folder):
    hands = {"steering": 0.1, "throttle": None, "steering_key": 1, "throttle_key": 0}
    (folder / "input.json").write_text(json.dumps({"hands": hands}))
    (folder / "set.json").write_text(json.dumps({"set": {"set_speed_mph": 9, "recording": True}}))


def _read_page(folder, out):
    from bcclone.drive.hands import HandInput
    from bcclone.drive.live_page import parse_controls
    from bcclone.system.codec import parse_json
    from bcclone.system.errors import UserError

    try:
        HandInput.parse(parse_json((folder / "input.json").read_bytes()).get("hands"))
        parse_controls(
            parse_json((folder / "set.json").read_bytes())["set"],
            ("set_speed_mph", "recording", "paused"),
        )
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise UserError(str(error)) from None


READERS = {
    reader.name: reader
    for reader in (
        Reader("recording", ("*.csv", "*.json", "IMG/*"), _make_recording, _read_recording),
        Reader("csv", ("set/table.csv", "set/images/*/*"), _make_exported("csv"), _read_exported),
        Reader(
            "tub",
            ("set/*.json", "set/*.catalog", "set/images/*"),
            _make_exported("tub"),
            _read_exported,
        ),
        Reader("lerobot", ("set/**/*.json*", "set/**/*.parquet"), _make_lerobot, _read_exported),
        Reader("model", ("model.h5",), _make_model, _read_model),
        Reader("onnx", ("model.onnx",), _make_onnx, _read_onnx),
        Reader("road", ("road.json",), _make_road, _read_road),
        Reader("packets", ("*.packet", "*.json"), _make_packets, _read_packets),
        Reader("page", ("*.json",), _make_page, _read_page),
    )
}
