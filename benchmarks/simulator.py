"""Measure the simulator: how fast it compiles, renders and drives -> a Report."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from bcclone import (
    Conditions,
    EvaluateSettings,
    SteeringPolicy,
    evaluate_policy,
)
from bcclone.camera.images import encode_jpeg
from bcclone.camera.vehicle import MOUNTS
from bcclone.simulator.car import Car, start_on
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import load_track
from bcclone.system.progress import Notify
from bcclone.system.settings import Checked, Count, setting
from benchmarks.driving import model_or_untrained
from benchmarks.measures import Measure, Report


@dataclass(frozen=True)
class Settings(Checked):
    """How fast the simulator renders and drives."""

    frames: Count = setting(200, "number of frames to render for each measurement")


def measure(settings: Settings, notify: Notify) -> Report:
    """Return the simulator's measures."""
    from bcclone import load_policy

    with model_or_untrained(None) as model:
        policy = load_policy(model)
    return Report([*_compile_times(), *_frame_rates(settings.frames), _closed_loop(policy)])


# prints the seconds to build the scene and to draw its first frame, as JSON
_FIRST_FRAME = """
import json, time
from bcclone import Conditions
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import load_track
from bcclone.simulator.car import start_on
since = time.perf_counter()
renderer = Renderer("lake", Conditions())
built = time.perf_counter()
renderer.frame(start_on(load_track("lake")))
print(json.dumps({"scene": built - since, "frame": time.perf_counter() - built}))
"""


def _compile_times() -> list[Measure]:
    """Draw the first frame in two processes: the first compiles, the second uses its cache."""
    line = [sys.executable, "-c", _FIRST_FRAME]
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"NUMBA_CACHE_DIR": cache}
        first = json.loads(subprocess.check_output(line, env=environment))
        second = json.loads(subprocess.check_output(line, env=environment))
    return [
        Measure("scene built", first["scene"], "s"),
        Measure("first frame, compiling", first["frame"], "s", 10, least=False),
        Measure("first frame, compiled before", second["frame"], "s"),
    ]


def _frame_rates(frames: int) -> Iterator[Measure]:
    """Draw frames from so many places of the lake in each way, and yield the rates."""
    renderer = Renderer("lake", Conditions())
    track = load_track("lake")
    renderer.frame(start_on(track))  # compiles

    def draw_jpeg(car: Car) -> None:
        encode_jpeg(renderer.frame(car))

    def draw_jpegs(car: Car) -> None:
        for camera in MOUNTS:
            encode_jpeg(renderer.frame(car, camera))

    draws: dict[str, tuple[Callable[[Car], object], float | None]] = {  # name -> way, bar
        "centre frames, one thread": (renderer.frame, 60),
        "centre frames as JPEG, one thread": (draw_jpeg, None),
        "three-camera frames as JPEG, one thread": (draw_jpegs, 25),
        "three-camera frames, all cores": (renderer.frames, None),
    }
    alongs_m = np.linspace(0, track.length_m, frames, endpoint=False)
    cars = [start_on(track, along_m=along_m) for along_m in alongs_m]
    for name, (draw, bar) in draws.items():
        since = time.perf_counter()
        for car in cars:
            draw(car)
        rate = len(cars) / (time.perf_counter() - since)
        yield Measure(name, rate, "frames/s", bar)


def _closed_loop(policy: SteeringPolicy) -> Measure:
    """Let a policy drive in the simulator, and compare the time with the drive's own."""
    settings = EvaluateSettings(laps=0.2, speed_mph=20.0)
    since = time.perf_counter()
    result = evaluate_policy(policy, settings)
    ratio = result.score.seconds / (time.perf_counter() - since)
    return Measure("closed loop, network in process", ratio, "x real time", 3)
