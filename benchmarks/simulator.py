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
    SpeedSettings,
    SteeringPolicy,
    WorldSettings,
    evaluate_policy,
)
from bcclone.camera.images import encode_jpeg
from bcclone.camera.vehicle import MOUNTS
from bcclone.simulator.car import Car, start_on
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import Track, load_track
from bcclone.system.progress import Notify
from bcclone.system.settings import Checked, Count, setting
from benchmarks.driving import model_or_untrained
from benchmarks.measures import Measure, Report

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


@dataclass(frozen=True)
class Settings(Checked):
    """How fast the simulator renders and drives."""

    frames: Count = setting(200, "number of frames to render for each measurement")


def measure(settings: Settings, notify: Notify) -> Report:
    """Return the simulator's measures."""
    from bcclone import load_policy

    with model_or_untrained(None) as model:
        policy = load_policy(model)
    renderer, track = Renderer("lake", Conditions()), load_track("lake")
    renderer.frame(start_on(track))
    return Report(
        [*_compile_times(), *_frame_rates(renderer, track, settings.frames), _closed_loop(policy)]
    )


def _compile_times() -> list[Measure]:
    """Start twice with an empty compiler cache: the first compiles, the second uses its cache."""
    with tempfile.TemporaryDirectory() as cache:
        line, environment = (
            [sys.executable, "-c", _FIRST_FRAME],
            os.environ | {"NUMBA_CACHE_DIR": cache},
        )
        first, second = (
            json.loads(subprocess.check_output(line, env=environment)) for _ in range(2)
        )
    return [
        Measure("scene built", first["scene"], "s"),
        Measure("first frame, compiling", first["frame"], "s", 10, least=False),
        Measure("first frame, compiled before", second["frame"], "s"),
    ]


def _frame_rates(renderer: Renderer, track: Track, frames: int) -> Iterator[Measure]:
    cars = [
        start_on(track, along_m=along)
        for along in np.linspace(0, track.length_m, frames, endpoint=False)
    ]
    draws: dict[str, tuple[Callable[[Car], object], float | None]] = {
        "centre frames, one thread": (renderer.frame, 60),
        "centre frames as JPEG, one thread": (lambda car: encode_jpeg(renderer.frame(car)), None),
        "three-camera frames as JPEG, one thread": (
            lambda car: [encode_jpeg(renderer.frame(car, camera)) for camera in MOUNTS],
            25,
        ),
        "three-camera frames, all cores": (renderer.frames, None),
    }
    for name, (draw, bar) in draws.items():
        since = time.perf_counter()
        for car in cars:
            draw(car)
        yield Measure(name, len(cars) / (time.perf_counter() - since), "frames/s", bar)


def _closed_loop(policy: SteeringPolicy) -> Measure:
    settings = EvaluateSettings(world=WorldSettings(laps=0.2), speed=SpeedSettings(20.0))
    since = time.perf_counter()
    result = evaluate_policy(policy, settings)
    ratio = result.score.seconds / (time.perf_counter() - since)
    return Measure("closed loop, network in process", ratio, "x real time", 3)
