"""Let a model drive a track, and record at each row the steering that the expert would give in that
state.

DAgger: S. Ross, G. Gordon and D. Bagnell, https://arxiv.org/abs/1011.0686. The model drives, so the
states are its own; the expert labels them, and drives itself only to take a lost car back to the
road.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bcclone.drive.controller import SpeedSettings
from bcclone.drive.driver import Driver, SteeringPolicy
from bcclone.drive.protocol import Telemetry
from bcclone.evaluation.evaluate_settings import EvaluateSettings
from bcclone.evaluation.worker_model import InputFile, load_on_one_core
from bcclone.simulator.expert import Expert
from bcclone.simulator.record import BETWEEN_ROWS_SECONDS, CarRecording
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import load_track
from bcclone.simulator.world import Perturbations, SimulatedWorld
from bcclone.simulator.world_settings import (
    TOP_SPEED_MPH,
    Conditions,
    ExpertSettings,
    WorldSettings,
)
from bcclone.system.arrays import Random
from bcclone.system.task_pool import report_progress

_SPEEDS_MPH = {"lake": (12.0, TOP_SPEED_MPH), "mountain": (9.0, 16.0)}
_PUSH_M, _PUSH_EVERY_M = (0.4, 1.3), (50.0, 110.0)
_START_OFFSET_M, _START_TURN = 1.5, 10.0
_MAX_LATENCY_MS = 300
_LOWEST_SUN = 10.0  # degrees
LOOKAHEAD_SECONDS = (
    0.8  # at the default 0.45 s the expert itself swings off the road when it steers 400 ms late
)
_ON_THE_ROAD_M = 1.0  # the expert has taken the car back when it is so near to the centre line
_BETWEEN_DRIVES_SECONDS = 100_000.0  # so that images of two drives have different names
_BETWEEN_EPISODES_SECONDS = 2.0  # readers of the log ignore shorter pauses


@dataclass(frozen=True)
class ExpertDrive:
    """A drive that was recorded with the expert's steering. rescues: how often the car was taken
    back to the road.
    """

    rows: int
    rescues: int
    distance_m: float


@dataclass(frozen=True)
class ExpertDriveTask:
    """A drive to record. folder: for the recording; number: of the drive; push_m, push_every_m: of
    sideways pushes.
    """

    model: InputFile
    folder: Path
    number: int
    settings: EvaluateSettings
    push_m: float
    push_every_m: float

    @property
    def key(self) -> str:
        """Return where the figures are kept: in the recording, which is complete when they are
        there.
        """
        return f"{self.folder.name}/drive"

    @property
    def size(self) -> float:
        """Return the length of the drive in metres."""
        return load_track(self.settings.track).goal_m(self.settings.world.laps)

    def __str__(self) -> str:
        return f"the drive {self.folder} with {self.model.path}"


def draw_drive(
    track: str, laps: float, seed: int, number: int
) -> tuple[EvaluateSettings, float, float]:
    """Return a drive by its number, from 0: its settings, and the size and distance of its pushes,
    in metres.

    Every second drive is in reverse. Speed, start, latency, light, weather and textures are random.
    """
    random = np.random.default_rng([seed, number])
    world = WorldSettings(
        laps=laps,
        set_back=False,
        start_offset_m=random.uniform(-_START_OFFSET_M, _START_OFFSET_M),
        start_turn=random.uniform(-_START_TURN, _START_TURN),
        latency_ms=random.choice([0.0, random.uniform(0.0, _MAX_LATENCY_MS)]),
    )
    speed_mph = random.uniform(*_SPEEDS_MPH[track])
    push_m, every_m = random.uniform(*_PUSH_M), random.uniform(*_PUSH_EVERY_M)
    conditions = _draw_conditions(random)
    settings = EvaluateSettings(
        track, bool(number % 2), SpeedSettings(speed_mph), world, conditions
    )
    return settings, push_m, every_m


def _draw_conditions(random: Random) -> Conditions:
    """Return other textures, and in most drives another light, weather and mounting of the camera,
    too.
    """
    conditions = Conditions(texture_seed=int(random.integers(1, 1 << 20)))
    if random.random() < 0.25:
        return conditions
    return replace(
        conditions,
        light=random.uniform(0.5, 1.5),
        fog=random.choice([1.0, random.uniform(0.0, 5.0)]),
        sun_elevation=_LOWEST_SUN
        + 60.0 * random.random() ** 2,  # often low, where shadows are longest
        sun_azimuth=random.uniform(-180.0, 180.0),
        line_visibility=random.choice([1.0, 0.0], p=[0.7, 0.3]),
        camera_shift_m=random.uniform(-0.2, 0.2),
        camera_pitch=random.uniform(-1.0, 1.0),
    )


def run_drive(task: ExpertDriveTask) -> ExpertDrive:
    """Record a drive in a worker; raises UserError, and WorkerFault for a model that this worker
    does not find.

    What an interrupted drive has left in the folder is deleted first.
    """
    task.model.check()
    policy = load_on_one_core(task.model, None)
    shutil.rmtree(task.folder, ignore_errors=True)
    return record_drive(policy, task, report_progress)


def record_drive(
    policy: SteeringPolicy,
    task: ExpertDriveTask,
    on_progress: Callable[[float], None] | None = None,
) -> ExpertDrive:
    """Let a policy drive, and record it with the expert's steering.

    When the model leaves the road, the expert takes the car back to its line. A new episode begins
    after each push, because the car jumps. on_progress: called with the metres since its last call.
    """
    settings = task.settings
    track, renderer = (
        load_track(settings.track, settings.reverse),
        Renderer(settings.track, settings.conditions),
    )
    world = SimulatedWorld(renderer, track, settings.world, on_progress)
    expert = Expert(
        track,
        ExpertSettings(settings.speed.speed_mph, 0.0, 0.0, lookahead_seconds=LOOKAHEAD_SECONDS),
        seed=0,
    )
    pushes = Perturbations(task.push_m, task.push_every_m)
    driver, tracked = Driver(policy, settings.speed), world.tracked
    clock, next_row, rescuing, rescues = task.number * _BETWEEN_DRIVES_SECONDS, 0.0, False, 0
    writer = CarRecording(task.folder)
    while (state := world.observe()) is not None:
        steering, throttle = expert.control(tracked.car, tracked.position)
        off_m = abs(tracked.position.cross_track_m)
        if not rescuing and off_m > tracked.position.limit_m:
            rescuing, rescues = True, rescues + 1
        elif rescuing and off_m < _ON_THE_ROAD_M:
            rescuing = False
            driver.forget()
        if rescuing:
            world.steer(steering, throttle)
        else:
            telemetry = Telemetry(
                state.steering_degrees, state.throttle, state.speed_mph, state.jpeg
            )
            control = driver.decide(telemetry).control
            world.steer(control.steering, control.throttle)
        if tracked.seconds >= next_row:
            next_row += BETWEEN_ROWS_SECONDS
            labelled = replace(tracked.car, steering=steering)
            writer.record(
                clock + tracked.seconds, labelled, renderer.frames(labelled, tracked.seconds)
            )
        if right_m := pushes.due(tracked.progress_m, tracked.position):
            tracked.push(right_m)
            clock += _BETWEEN_EPISODES_SECONDS
    return ExpertDrive(writer.rows, rescues, round(tracked.distance_m, 1))
