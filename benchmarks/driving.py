"""Drive a server as a benchmark needs it: a model and frames -> the latency of each answer, with
pages that watch.

The latency is the time from each telemetry message to its answer, over the simulator's protocol.
"""

import base64
import itertools
import json
import math
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from bcclone import Conditions, Preprocessing, UserError
from bcclone.camera.images import encode_jpeg
from bcclone.simulator.car import start_on
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import load_track
from bcclone.simulator.unity_client import connected
from bcclone.simulator.unity_websocket import UnitySocket, text_frames
from bcclone.system.tensorflow_quietly import load_tensorflow

_SILENCE_SECONDS = 10.0
_FRAMES = 60
FRAMES_PER_SECOND = 30.0
_WATCH = """
import json, sys
from websocket import create_connection
page = create_connection(sys.argv[1])
while True:
    frame = page.recv()
    number = json.loads(frame[4:4 + int.from_bytes(frame[:4], "big")])["number"]
    page.send(json.dumps({"drawn": number}))
    if number == 1:
        print("watching", flush=True)
"""


@contextmanager
def model_or_untrained(path: Path | None) -> Iterator[Path]:
    """Yield a model file: the given one, or an untrained network in a temporary folder."""
    load_tensorflow(threads=1)  # as drive.py does
    from bcclone.model.model_file import save_model
    from bcclone.model.network import build_network

    if path is not None:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        untrained = Path(folder) / "untrained.h5"
        save_model(untrained, build_network(), Preprocessing(), {})
        yield untrained


def rendered_frames() -> list[bytes]:
    """Return 60 camera frames along the lake track as JPEG."""
    renderer, track = Renderer("lake", Conditions()), load_track("lake")
    positions = np.linspace(0, track.length_m, _FRAMES, endpoint=False)
    return [encode_jpeg(renderer.frame(start_on(track, along_m=along))) for along in positions]


def telemetry_texts(jpegs: Sequence[bytes]) -> list[str]:
    """Return telemetry as the simulator sends it, one for each frame."""
    fields = {"steering_angle": "0.0000", "throttle": "0.3000", "speed": "20.0000"}
    return [
        "42"
        + json.dumps(
            ["telemetry", fields | {"image": base64.b64encode(jpeg).decode()}],
            separators=(",", ":"),
        )
        for jpeg in jpegs
    ]


def measure_round_trips(
    port: int, texts: Sequence[str], count: int, loops: int = 1, rate: float = math.inf
) -> list[float]:
    """Return the milliseconds from each telemetry to its answer; raises UserError if the server
    does not answer.

    count: of telemetries, with an answer each; loops: telemetries under way at a time; the
    simulator has 2. rate: round trips per second.
    """
    telemetry = itertools.cycle(
        [text_frames(text) for text in texts]
    )  # masked before the measurement
    try:
        with connected("127.0.0.1", port) as connection:
            return list(_round_trips(connection, telemetry, count, loops, rate))
    except OSError as error:  # ServerGone is one
        raise UserError(
            f"the drive server ended the connection: {error.strerror or error}; measure again"
        ) from None


def _round_trips(
    connection: UnitySocket, telemetry: Iterator[list[bytes]], count: int, loops: int, rate: float
) -> Iterator[float]:
    asked, since = deque[float](), time.monotonic()
    for number in range(count + loops - 1):
        time.sleep(max(since + number / rate - time.monotonic(), 0.0))
        asked.append(time.perf_counter())
        connection.send_frames(next(telemetry))
        if len(asked) == loops:
            _await_steer(connection)
            yield (time.perf_counter() - asked.popleft()) * 1000
    for _ in asked:
        _await_steer(connection)


def _await_steer(connection: UnitySocket) -> None:
    until = time.monotonic() + _SILENCE_SECONDS
    while (message := connection.receive(until - time.monotonic())) is not None:
        if message.startswith('42["steer"'):
            return
        if message == "2":
            connection.send_text("3")
    raise UserError(
        f"the drive server has not answered for {_SILENCE_SECONDS:.0f} s; measure again with fewer "
        "programs running"
    )


@contextmanager
def watching(port: int, pages: int, saliency: bool) -> Iterator[None]:
    """Open pages, each read by a process of its own, for the time of the `with` block.

    saliency: with the saliency overlay, which is turned off at the end. Raises UserError at the end
    if a page is gone.
    """
    _control(port, saliency)
    command = [sys.executable, "-c", _WATCH, f"ws://127.0.0.1:{port}/socket"]
    readers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(pages)]
    try:
        for reader in readers:
            if reader.stdout is not None:
                reader.stdout.readline()
        yield
        if gone := sum(reader.poll() is not None for reader in readers):
            raise UserError(f"the drive server closed {gone} of {pages} pages; measure again")
    finally:
        for reader in readers:
            reader.kill()
            reader.communicate()
        _control(port, False)


def _control(port: int, saliency: bool) -> None:
    """Switch the saliency overlay as the page does."""
    body, headers = (
        json.dumps({"saliency": saliency}).encode(),
        {"Content-Type": "application/json"},
    )
    urllib.request.urlopen(
        urllib.request.Request(f"http://127.0.0.1:{port}/control", body, headers)
    ).close()
