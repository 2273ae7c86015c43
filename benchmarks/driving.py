"""Drive a server as a benchmark needs it: a model and frames -> the latency of each answer.

The latency is the time from each telemetry message to its answer, over the simulator's protocol.
Pages can watch meanwhile.
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
from bcclone.simulator.unity_client import UnitySocket, connected, text_frames
from bcclone.system.tensorflow_quietly import load_tensorflow

FRAMES_PER_SECOND = 30.0  # that the simulator sends at most


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
        save_model(untrained, build_network(network="cnn"), Preprocessing(), {})
        yield untrained


def rendered_frames() -> list[bytes]:
    """Return 60 camera frames along the lake track as JPEG."""
    renderer = Renderer("lake", Conditions())
    track = load_track("lake")
    jpegs = []
    for along_m in np.linspace(0, track.length_m, 60, endpoint=False):
        car = start_on(track, along_m=along_m)
        jpegs.append(encode_jpeg(renderer.frame(car)))
    return jpegs


def telemetry_texts(jpegs: Sequence[bytes]) -> list[str]:
    """Return telemetry as the simulator sends it, one for each frame."""
    fields = {"steering_angle": "0.0000", "throttle": "0.3000", "speed": "20.0000"}
    texts = []
    for jpeg in jpegs:
        image = base64.b64encode(jpeg).decode()
        event = json.dumps(["telemetry", fields | {"image": image}], separators=(",", ":"))
        texts.append(f"42{event}")
    return texts


def measure_round_trips(
    port: int, texts: Sequence[str], count: int, loops: int = 1, rate: float = math.inf
) -> list[float]:
    """Return the milliseconds from each telemetry to its answer.

    Raises UserError if the server does not answer.

    count: number of answers to measure
    loops: telemetries under way at a time; the simulator has 2
    rate: round trips per second
    """
    frames = [text_frames(text) for text in texts]  # masked before the measurement
    telemetry = itertools.cycle(frames)
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
    """Yield the milliseconds of each answer, as measure_round_trips() returns them."""
    asked = deque[float]()  # when each telemetry under way was sent
    since = time.monotonic()
    for number in range(count + loops - 1):
        due = since + number / rate
        time.sleep(max(due - time.monotonic(), 0.0))
        asked.append(time.perf_counter())
        connection.send_frames(next(telemetry))
        if len(asked) == loops:
            _await_steer(connection)
            yield (time.perf_counter() - asked.popleft()) * 1000
    for _ in asked:
        _await_steer(connection)


def _await_steer(connection: UnitySocket) -> None:
    """Wait for an answer, and meanwhile reply to the pings of the protocol."""
    ping = "2"
    pong = "3"
    most_seconds = 10.0
    end = time.monotonic() + most_seconds
    while True:
        message = connection.receive(end - time.monotonic())
        if message is None:  # the time is over
            break
        if message.startswith('42["steer"'):
            return
        if message == ping:
            connection.send_text(pong)
    raise UserError(
        f"the drive server has not answered for {most_seconds:.0f} s; measure again with fewer "
        "programs running"
    )


# a page without a browser: takes each frame from the socket at sys.argv[1], as a browser would
_PAGE = """
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
def watching(port: int, pages: int, saliency: bool) -> Iterator[None]:
    """Open pages, each read by a process of its own, for the time of the `with` block.

    Raises UserError at the end if a page is gone.

    saliency: whether the pages show saliency, which is turned off at the end
    """
    _switch_saliency(port, saliency)
    command = [sys.executable, "-c", _PAGE, f"ws://127.0.0.1:{port}/socket"]
    readers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(pages)]
    try:
        for reader in readers:
            assert reader.stdout is not None
            reader.stdout.readline()  # it has drawn its first frame
        yield
        gone = sum(reader.poll() is not None for reader in readers)
        if gone:
            raise UserError(f"the drive server closed {gone} of {pages} pages; measure again")
    finally:
        for reader in readers:
            reader.kill()
            reader.communicate()
        _switch_saliency(port, False)


def _switch_saliency(port: int, is_on: bool) -> None:
    """Switch the saliency overlay as the page does."""
    body = json.dumps({"saliency": is_on}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/control", body, headers)
    urllib.request.urlopen(request).close()
