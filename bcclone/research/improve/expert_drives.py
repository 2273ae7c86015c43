"""Let a model drive a track, and record at each row how the expert would steer there.

In: an `ExpertDriveTask`. Out: a recording in the task's folder, and an `ExpertDrive`, which counts
its rows, rescues and metres.

This is DAgger: S. Ross, G. Gordon and D. Bagnell, https://arxiv.org/abs/1011.0686. The model
drives, so the recording shows the states into which the model gets. The expert labels them, and
drives the car only to take it back to the road when the model has left it.
"""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bcclone.drive.driver import Driver, SteeringPolicy
from bcclone.drive.protocol import Telemetry
from bcclone.evaluation.evaluate_settings import EvaluateSettings
from bcclone.evaluation.worker_model import InputFile, load_on_one_core
from bcclone.simulator.expert import Expert
from bcclone.simulator.record import BETWEEN_ROWS_SECONDS, CarRecording
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import Track, TrackPosition, load_track
from bcclone.simulator.unity_client import CarState
from bcclone.simulator.world import Perturbations, SimulatedWorld
from bcclone.simulator.world_settings import TOP_SPEED_MPH, Conditions, ExpertSettings
from bcclone.system.numbers import Random


@dataclass(frozen=True)
class ExpertDrive:
    """A drive that was recorded with the expert's steering."""

    rows: int
    rescues: int  # how often the expert took the car back to the road
    distance_m: float


@dataclass(frozen=True)
class ExpertDriveTask:
    """A drive to record."""

    model: InputFile
    folder: Path  # folder to write the recording into
    number: int  # number of the drive, from 0
    settings: EvaluateSettings
    push_m: float  # distance by which each push moves the car sideways
    push_every_m: float  # distance along the road between two pushes

    @property
    def key(self) -> str:
        """Return where the drive's figures are kept: in the folder of the recording.

        A recording with figures is complete.
        """
        return f"{self.folder.name}/drive"

    @property
    def size(self) -> float:
        """Return the length of the drive in metres, for the progress."""
        return load_track(self.settings.track).goal_m(self.settings.laps)

    def __str__(self) -> str:
        return f"the drive {self.folder} with {self.model.path}"


@dataclass(frozen=True)
class DriveChoice:
    """The ranges of values from which draw_drive() chooses at random."""

    offset_m: float = 1.5  # largest distance of the start from the centre line, to either side
    turn_degrees: float = 10.0  # largest turn of the car at the start, to either side
    latency_ms: float = 300.0  # longest latency
    push_m: tuple[float, float] = (0.4, 1.3)  # distance by which a push moves the car
    push_every_m: tuple[float, float] = (50.0, 110.0)  # distance between two pushes


_DRIVES = DriveChoice()
# track -> slowest and fastest speed of a drive
_SPEEDS_MPH = {"lake": (12.0, TOP_SPEED_MPH), "mountain": (9.0, 16.0)}


def draw_drive(
    track: str, laps: float, seed: int, number: int
) -> tuple[EvaluateSettings, float, float]:
    """Return a random drive: its settings, push_m and push_every_m, as in ExpertDriveTask.

    The same seed and number give the same drive; odd numbers drive in reverse. Speed, start,
    latency, light, weather and textures are random.
    """
    random = np.random.default_rng([seed, number])
    # the order in which these are drawn decides which drive a seed gives
    start_offset_m = random.uniform(-_DRIVES.offset_m, _DRIVES.offset_m)
    start_turn = random.uniform(-_DRIVES.turn_degrees, _DRIVES.turn_degrees)
    latency_ms = random.choice([0.0, random.uniform(0.0, _DRIVES.latency_ms)])
    speed_mph = random.uniform(*_SPEEDS_MPH[track])
    push_m = random.uniform(*_DRIVES.push_m)
    push_every_m = random.uniform(*_DRIVES.push_every_m)
    conditions = _draw_conditions(random)
    settings = EvaluateSettings(
        track,
        reverse=bool(number % 2),
        speed_mph=speed_mph,
        laps=laps,
        set_back=False,
        start_offset_m=start_offset_m,
        start_turn=start_turn,
        latency_ms=latency_ms,
        **vars(conditions),
    )
    return settings, push_m, push_every_m


def _draw_conditions(random: Random) -> Conditions:
    """Return random textures, and in most drives random light, weather and camera mounting."""
    conditions = Conditions(texture_seed=int(random.integers(1, 1 << 20)))
    if random.random() < 0.25:
        return conditions
    return replace(
        conditions,
        light=random.uniform(0.5, 1.5),
        fog=random.choice([1.0, random.uniform(0.0, 5.0)]),
        sun_elevation=_draw_sun(random),
        sun_azimuth=random.uniform(-180.0, 180.0),
        line_visibility=random.choice([1.0, 0.0], p=[0.7, 0.3]),
        camera_shift_m=random.uniform(-0.2, 0.2),
        camera_pitch=random.uniform(-1.0, 1.0),
    )


def _draw_sun(random: Random) -> float:
    """Return the sun's elevation in degrees: often low, where shadows are longest."""
    return 10.0 + 60.0 * random.random() ** 2


def run_drive(task: ExpertDriveTask) -> ExpertDrive:
    """Record a drive in a worker; first delete what an interrupted drive has left in the folder.

    Raises UserError, also for a model that this worker does not find.
    """
    task.model.check()
    policy = load_on_one_core(task.model, None)
    shutil.rmtree(task.folder, ignore_errors=True)
    return record_drive(policy, task)


# How far ahead the expert aims. With the default of 0.45 s, an expert whose steering takes effect
# 400 ms late swings off the road.
LOOKAHEAD_SECONDS = 0.8
_ON_THE_ROAD_M = 1.0  # a rescue ends when the car is this near to the centre line
# Drives start this far apart, so that their images, which are named by time, have different names
_BETWEEN_DRIVES_SECONDS = 100_000.0
# Pause in the recorded times that begins a new episode; readers of the log ignore shorter pauses
_BETWEEN_EPISODES_SECONDS = 2.0


def record_drive(policy: SteeringPolicy, task: ExpertDriveTask) -> ExpertDrive:
    """Let a policy drive, and record it with the expert's steering.

    When the model leaves the road, the expert takes the car back to the road's middle. A new
    episode begins after each push, because a push moves the car at once.
    """
    settings = task.settings
    track = load_track(settings.track, settings.reverse)
    renderer = Renderer(settings.track, settings)
    world = SimulatedWorld(renderer, track, settings)
    tracked = world.tracked
    expert = _expert_on(track, settings.speed_mph)
    pushes = Perturbations(task.push_m, task.push_every_m)
    driver = Driver(policy, settings)
    rescue = _Rescue()
    clock = task.number * _BETWEEN_DRIVES_SECONDS
    next_row = 0.0
    with CarRecording(task.folder) as writer:
        while (state := world.observe()) is not None:
            # the model drives, or the expert until it has taken a lost car back
            steering, throttle = expert.control(tracked.car, tracked.position)
            if rescue.update(tracked.position):
                driver.forget()  # the rescue has ended: what the model saw before does not count
            if rescue.active:
                world.steer(steering, throttle)
            else:
                control = driver.decide(_telemetry(state)).control
                world.steer(control.steering, control.throttle)

            # a row has the expert's steering, whoever drives
            if tracked.seconds >= next_row:
                next_row += BETWEEN_ROWS_SECONDS
                labelled = replace(tracked.car, steering=steering)
                frames = renderer.frames(labelled, tracked.seconds)
                writer.record(clock + tracked.seconds, labelled, frames)
            if right_m := pushes.due(tracked.progress_m, tracked.position):
                tracked.push(right_m)
                clock += _BETWEEN_EPISODES_SECONDS
    return ExpertDrive(writer.rows, rescue.count, round(tracked.distance_m, 1))


class _Rescue:
    """Whether the expert drives: from where the car leaves the road until it is back on it."""

    def __init__(self) -> None:
        self.active = False
        self.count = 0

    def update(self, position: TrackPosition) -> bool:
        """Begin or end a rescue by the car's position; return whether a rescue ends now."""
        off_m = abs(position.cross_track_m)
        if not self.active and off_m > position.limit_m:
            self.active = True
            self.count += 1
        elif self.active and off_m < _ON_THE_ROAD_M:
            self.active = False
            return True
        return False


def _expert_on(track: Track, speed_mph: float) -> Expert:
    """Return an expert that keeps to the middle of the road, without wander and recoveries."""
    settings = ExpertSettings(
        speed_mph=speed_mph, wander_m=0.0, recoveries=0.0, lookahead_seconds=LOOKAHEAD_SECONDS
    )
    return Expert(track, settings, seed=0)


def _telemetry(state: CarState) -> Telemetry:
    return Telemetry(state.steering_degrees, state.throttle, state.speed_mph, state.jpeg)
