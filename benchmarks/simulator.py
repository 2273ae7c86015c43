"""Measure the simulator's speed, and check that a car that sees nothing leaves the road."""

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence

import numpy as np

from bcclone.dataset.images import Image, encode_jpeg
from bcclone.dataset.vehicle import MOUNTS
from bcclone.drive.controller import SpeedSettings
from bcclone.drive.driver import SteeringPolicy
from bcclone.evaluate.evaluate_settings import EvaluateSettings
from bcclone.evaluate.evaluation import evaluate_policy
from bcclone.simulator.car import TrackedCar, start_on
from bcclone.simulator.expert import Expert
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import Track, load_track
from bcclone.simulator.world_settings import Conditions, ExpertSettings, WorldSettings
from benchmarks import Measure, given_or_untrained_model
from benchmarks.settings import SimulatorBenchSettings

_BLIND_BAR_M = 150.0
_BLIND_SPEED_MPH = 20.0
_FIRST_FRAME = """
import json, time
from bcclone.simulator.world_settings import Conditions
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import load_track
from bcclone.simulator.car import start_on
begun = time.perf_counter()
renderer = Renderer("lake", Conditions())
built = time.perf_counter()
renderer.frame(start_on(load_track("lake")))
print(json.dumps({"scene": built - begun, "frame": time.perf_counter() - built}))
"""


class Blind:
    """A policy that ignores its frames: it repeats the steering it was given."""

    def __init__(self, steering: Sequence[float]) -> None:
        self._steering = itertools.cycle(steering)

    def act(self, frame: Image) -> float:
        """Return the next steering, -1 to 1, whatever the frame."""
        return next(self._steering)

    def forget(self) -> None:
        """Do nothing: no frames are kept."""


def measure_simulator(settings: SimulatorBenchSettings) -> list[Measure]:
    """Return the simulator's measures."""
    from bcclone.model.policy import load_policy

    with given_or_untrained_model(None) as model:
        policy = load_policy(model)
    renderer, track = Renderer("lake", Conditions()), load_track("lake")
    renderer.frame(start_on(track))
    return [
        *_compile_times(),
        *_frame_rates(renderer, track, settings.frames),
        _closed_loop(policy),
        *measure_blind_drives(track),
    ]


def _compile_times() -> list[Measure]:
    """Start twice with an empty compiler cache: the first compiles, the second uses its cache."""
    with tempfile.TemporaryDirectory() as cache:
        first, second = (_first_frame(cache) for _ in range(2))
    return [
        Measure("scene built", first["scene"], "s"),
        Measure("first frame, compiling", first["frame"], "s", 10, least=False),
        Measure("first frame, compiled before", second["frame"], "s"),
    ]


def _first_frame(cache: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", _FIRST_FRAME],
        env=os.environ | {"NUMBA_CACHE_DIR": cache},
        stdout=subprocess.PIPE,
        check=True,
    )
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def _frame_rates(renderer: Renderer, track: Track, frames: int) -> list[Measure]:
    cars = [start_on(track, along_m=along) for along in np.linspace(0, track.length_m, frames, endpoint=False)]

    def rate(draw: Callable[[int], object]) -> float:
        begun = time.perf_counter()
        for number in range(len(cars)):
            draw(number)
        return len(cars) / (time.perf_counter() - begun)

    return [
        Measure("centre frames, one thread", rate(lambda n: renderer.frame(cars[n])), "frames/s", 60),
        Measure("centre frames as JPEG, one thread", rate(lambda n: encode_jpeg(renderer.frame(cars[n]))), "frames/s"),
        Measure(
            "three-camera frames as JPEG, one thread",
            rate(lambda n: [encode_jpeg(renderer.frame(cars[n], camera)) for camera in MOUNTS]),
            "frames/s",
            25,
        ),
        Measure("three-camera frames, all cores", rate(lambda n: renderer.frames(cars[n])), "frames/s"),
    ]


def _closed_loop(policy: SteeringPolicy) -> Measure:
    settings = EvaluateSettings(world=WorldSettings(laps=0.2), speed=SpeedSettings(20.0))
    begun = time.perf_counter()
    result = evaluate_policy(policy, settings)
    ratio = result.score.seconds / (time.perf_counter() - begun)
    return Measure("closed loop, network in process", ratio, "x real time", 3)


def measure_blind_drives(track: Track) -> list[Measure]:
    """Drive without looking: without steering, with an expert's mean steering, and with it in shuffled order."""
    expert = _expert_steering(track)
    shuffled = np.random.default_rng(0).permutation(expert)
    steerings = {"no steering": [0.0], "mean steering": [float(expert.mean())], "shuffled steering": shuffled.tolist()}
    settings = EvaluateSettings(world=WorldSettings(laps=0.14, set_back=False), speed=SpeedSettings(_BLIND_SPEED_MPH))
    measures = []
    for name, steering in steerings.items():
        score = evaluate_policy(Blind(steering), settings).score
        off_after = score.distance_m if score.first_off_road_m is None else score.first_off_road_m
        measures.append(Measure(f"off the road after, {name}", off_after, "m", _BLIND_BAR_M, least=False))
    return measures


def _expert_steering(track: Track) -> np.ndarray:
    """Return an expert's steering of a lap, every 0.04 s."""
    tracked, expert, steering = TrackedCar(track), Expert(track, ExpertSettings(recoveries=0), seed=0), []
    while tracked.progress_m < track.length_m:
        tracked.car.control(*expert.control(tracked.car, tracked.position))
        if tracked.steps % 2 == 0:
            steering.append(tracked.car.steering)
        tracked.step()
    return np.array(steering)
