"""Servers of drives and plays, as child processes or in threads; clients: the Unity client, sockets
that send texts.
"""

import base64
import json
import logging
import re
import signal
import subprocess
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from bcclone.camera.images import encode_jpeg
from bcclone.dataset.answer import Answer
from bcclone.drive.drive import serve, serve_policy
from bcclone.drive.drive_settings import ASYNC_MODES, DriveSettings
from bcclone.game.play import play
from bcclone.game.play_settings import PlaySettings
from bcclone.simulator.unity_client import UnityClient, connected
from bcclone.simulator.world import CarState
from tests.processes import KILL, on_a_full_disk, wait_for
from tests.running import command

# test_server.py alone runs in both modes each time
MODES = (ASYNC_MODES[0], pytest.param(ASYNC_MODES[1], marks=pytest.mark.slow))
FRAME = encode_jpeg(np.random.default_rng(0).integers(0, 256, (160, 320, 3), dtype=np.uint8))


class Clock:
    """Seconds that pass when a test says so."""

    seconds = 0.0

    def __call__(self):
        return self.seconds


def port_in(text):
    """Return the port in the line of a server that listens, None without one."""
    listening = re.search(r"listening on \S+:(\d+);", text)
    return int(listening[1]) if listening else None


class Server:
    """A server as a child process. full_at: size that a file can have; output: what it printed,
    complete at the end.
    """

    def __init__(self, *line, full_at=None, **options):
        line = command(*line)
        if full_at is not None:
            line = on_a_full_disk(line, full_at)
        self.process = subprocess.Popen(
            line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
        )
        self.output = ""
        for text in self.process.stdout:
            self.output += text
            if port := port_in(text):
                self.port = port
                return
        raise AssertionError(self.output)

    def end(self, how=signal.SIGINT):
        """Send a signal, wait, and return the exit code."""
        self.process.send_signal(how)
        self.output += self.process.communicate(timeout=120)[0]
        return self.process.returncode


@contextmanager
def serving(*arguments, script="drive.py", port=0, **options):
    server = Server(script, *arguments, "--port", port, **options)
    try:
        yield server
    finally:
        if server.process.returncode is None:
            server.end(KILL)


@dataclass
class ThreadServer:
    """A server in a thread, which starts faster than a process. lines: what it printed; result:
    there at the end.
    """

    lines: list[str]
    ended: Future
    result: Any = None

    @property
    def port(self):
        return port_in("\n".join(self.lines))


@contextmanager
def in_a_thread(serve, *arguments, until="listening"):
    """Run serve(*arguments, notify, stop) within the block, and yield it once it has printed a line
    that begins so.
    """
    lines = []
    begun = threading.Event()
    stop = threading.Event()

    def notify(line):
        lines.append(line)
        if line.startswith(until):
            begun.set()

    with ThreadPoolExecutor(1) as pool:
        server = ThreadServer(lines, pool.submit(serve, *arguments, notify, stop))
        try:
            while not begun.wait(0.05):
                assert not server.ended.done(), server.ended.result()
            yield server
        finally:
            stop.set()
        server.result = server.ended.result(20)


@contextmanager
def held_at(line, serve, settings):
    """Run serve(settings, notify, stop) in a thread, which waits at a line that it prints until
    `goes_on` is set.

    line: how it begins
    """
    goes_on = threading.Event()

    def start(notify, stop):
        def notify_and_wait(printed):
            notify(printed)
            if printed.startswith(line):
                assert goes_on.wait(120)

        return serve(settings, notify_and_wait, stop)

    with in_a_thread(start, until=line) as server:
        server.goes_on = goes_on
        try:
            yield server
        finally:
            goes_on.set()


def playing_once_read(model, **settings):
    """A play that listens, and loads its model once `goes_on` is set; it may fail."""
    return held_at("listening", play, PlaySettings(model, browser=False, port=0, **settings))


def serving_in_a_thread(model, run_folder=None, port=0, **settings):
    """Serve a model's file, or a policy that is open already."""
    is_file = isinstance(model, Path)
    path = model if is_file else Path("model.h5")
    settings = DriveSettings(path, run_folder, port=port, **settings)
    if is_file:
        return in_a_thread(serve, settings)
    return in_a_thread(serve_policy, model, settings)


def playing(port=0, **settings):
    """Serve bcclone play in a thread."""
    return in_a_thread(play, PlaySettings(port=port, browser=False, **settings))


class Constant:
    """A policy that always steers alike."""

    def __init__(self, steering=0.25):
        self.steering = steering
        self.forgotten = 0

    def answer(self, frame):
        return Answer(self.steering)

    def forget(self):
        self.forgotten += 1


@contextmanager
def errors_logged():
    """Yield the list of what bcclone logs as an error within the block."""
    records = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: records.append(record.getMessage())
    logging.getLogger("bcclone").addHandler(handler)
    try:
        yield records
    finally:
        logging.getLogger("bcclone").removeHandler(handler)


class Still:
    """A world that shows these frames in turns. manual: numbers of the frames with a driving key
    held.
    """

    def __init__(self, frames, manual=(), jpegs=(FRAME,)):
        self.left = frames
        self.manual = manual
        self.jpegs = jpegs
        self.shown = 0
        self.controls = []

    def observe(self):
        if self.shown == self.left:
            return None
        self.shown += 1
        jpeg = self.jpegs[(self.shown - 1) % len(self.jpegs)]
        return CarState(-3.75, 0.3, 12.5, jpeg, manual=self.shown in self.manual)

    def steer(self, steering, throttle):
        self.controls.append((steering, throttle))


def drive(port, world, **options):
    with connected("127.0.0.1", port) as connection:
        return UnityClient(connection, world, **options).drive()


@contextmanager
def raw(port):
    """A simulator's socket, after the handshake and the server's OPEN packet."""
    with connected("127.0.0.1", port) as connection:
        assert json.loads(connection.receive(60)[1:])["sid"]
        yield connection


def telemetry_text(jpeg=FRAME, speed="12.5000", number="0.3000"):
    image = base64.b64encode(jpeg).decode()
    fields = {"steering_angle": number, "throttle": number, "speed": speed, "image": image}
    return f'42["telemetry",{json.dumps(fields, separators=(",", ":"))}]'


def next_event(connection, seconds=60):
    """Return the name and object of the next event; other packets are skipped."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        message = connection.receive(seconds)
        if message and message.startswith("42"):
            return json.loads(message[2:])
    return None


def events_until(connection, name, seconds=60):
    """Return the names of the next events, up to the first with this name."""
    names = []
    until = time.monotonic() + seconds
    while not names or names[-1] != name:
        assert time.monotonic() < until, names
        if (event := next_event(connection, 0.5)) is not None:
            names.append(event[0])
    return names


def state_of(port):
    return requests.get(f"http://127.0.0.1:{port}/state", timeout=60).json()


def wait_for_state(port, **values):
    """Wait until the server's state has these values."""
    wait_for(lambda: values.items() <= state_of(port).items())
