"""Let a model drive a track, and record at each row how the expert would steer there.

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
from bcclone.evaluation.settings import EvaluateSettings
from bcclone.evaluation.suite import load_on_one_core
from bcclone.simulator.expert import BETWEEN_ROWS_SECONDS, CarRecording, Expert
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import load_track
from bcclone.simulator.world import Perturbations, SimulatedWorld
from bcclone.simulator.world_settings import TOP_SPEED_MPH, Conditions, ExpertSettings
from bcclone.system.arrays import Random

# ---- which drives are recorded

# the ranges from which a drive is drawn
_START_OFFSET_M = 1.5  # largest distance of the start from the centre line, to either side
_START_TURN_DEGREES = 10.0  # largest turn of the car at the start, to either side
_LATENCY_MS = 300.0  # longest latency
_PUSH_M = (0.4, 1.3)  # distance by which a push moves the car
_PUSH_EVERY_M = (50.0, 110.0)  # distance between two pushes
# track -> slowest and fastest speed of a drive
_SPEEDS_MPH = {"lake": (12.0, TOP_SPEED_MPH), "mountain": (9.0, 16.0)}


@dataclass(frozen=True)
class ExpertDriveTask:
    """A drive to record."""

    folder: Path  # folder to write the recording into
    number: int  # number of the drive, from 0
    settings: EvaluateSettings
    push_m: float  # distance by which each push moves the car sideways
    push_every_m: float  # distance along the road between two pushes

    @property
    def key(self) -> str:
        """Return where the drive's figures are kept; a recording with figures is complete."""
        return f"{self.folder.name}/drive"

    @property
    def size(self) -> float:
        """Return the length in metres, the unit of the progress bar."""
        return load_track(self.settings.track).goal_m(self.settings.laps)


@dataclass(frozen=True)
class ExpertDrive:
    """A drive that was recorded with the expert's steering."""

    rows: int
    rescues: int  # how often the expert took the car back to the road
    distance_m: float


def draw_drive(folder: Path, track: str, laps: float, seed: int, number: int) -> ExpertDriveTask:
    """Return a random drive; the same seed and number give the same.

    Odd numbers drive in reverse. Speed, start, latency, pushes, light, weather and textures are
    random.
    """
    random = np.random.default_rng([seed, number])
    # the order in which these are drawn decides which drive a seed gives
    start_offset_m = random.uniform(-_START_OFFSET_M, _START_OFFSET_M)
    start_turn = random.uniform(-_START_TURN_DEGREES, _START_TURN_DEGREES)
    latency_ms = random.choice([0.0, random.uniform(0.0, _LATENCY_MS)])
    speed_mph = random.uniform(*_SPEEDS_MPH[track])
    push_m = random.uniform(*_PUSH_M)
    push_every_m = random.uniform(*_PUSH_EVERY_M)
    settings = EvaluateSettings(
        track,
        reverse=bool(number % 2),
        speed_mph=speed_mph,
        laps=laps,
        set_back=False,
        start_offset_m=start_offset_m,
        start_turn=start_turn,
        latency_ms=latency_ms,
        **vars(_draw_conditions(random)),
    )
    return ExpertDriveTask(folder, number, settings, push_m, push_every_m)


def _draw_conditions(random: Random) -> Conditions:
    """Return random textures, and in most drives random light, weather and camera mounting."""
    conditions = Conditions(texture_seed=int(random.integers(1, 1 << 20)))
    if random.random() < 0.25:
        return conditions
    return replace(
        conditions,
        light=random.uniform(0.5, 1.5),
        fog=random.choice([1.0, random.uniform(0.0, 5.0)]),
        # the sun is often low, where shadows are longest
        sun_elevation=10.0 + 60.0 * random.random() ** 2,
        sun_azimuth=random.uniform(-180.0, 180.0),
        line_visibility=random.choice([1.0, 0.0], p=[0.7, 0.3]),
        camera_shift_m=random.uniform(-0.2, 0.2),
        camera_pitch=random.uniform(-1.0, 1.0),
    )


# ---- how they are recorded

# How far ahead the expert aims. With the default of 0.45 s, an expert whose steering takes effect
# 400 ms late, a little more than the longest latency, swings off the road.
_LOOKAHEAD_SECONDS = 0.8
_ON_THE_ROAD_M = 1.0  # a rescue ends when the car is this near to the centre line
# Drives start this far apart, so that their images, which are named by time, have different names
_BETWEEN_DRIVES_SECONDS = 100_000.0
# Pause in the recorded times that begins a new episode; readers of the log ignore shorter pauses
_BETWEEN_EPISODES_SECONDS = 2.0


def run_drive(model: Path, sha256: str, task: ExpertDriveTask) -> ExpertDrive:
    """Record a drive in a worker; first delete what an interrupted drive has left in the folder.

    sha256: of the model file
    """
    policy = load_on_one_core(model, sha256, None)
    shutil.rmtree(task.folder, ignore_errors=True)
    return record_drive(policy, task)


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
    # it keeps to the middle of the road
    expert_settings = ExpertSettings(
        speed_mph=settings.speed_mph,
        wander_m=0.0,
        recoveries=0.0,
        lookahead_seconds=_LOOKAHEAD_SECONDS,
    )
    expert = Expert(track, expert_settings, seed=0)
    pushes = Perturbations(task.push_m, task.push_every_m)
    driver = Driver(policy, settings)
    rescues = 0
    is_rescued = False  # the expert drives, from where the car leaves the road until it is back
    recorded_from = task.number * _BETWEEN_DRIVES_SECONDS  # recorded time at simulated time 0
    next_row = 0.0
    with CarRecording(task.folder) as writer:
        while (state := world.observe()) is not None:
            steering, throttle = expert.control(tracked.car, tracked.position)
            off_m = abs(tracked.position.cross_track_m)
            if not is_rescued and off_m > tracked.position.limit_m:
                is_rescued = True
                rescues += 1
            elif is_rescued and off_m < _ON_THE_ROAD_M:
                is_rescued = False
                driver.forget()  # what the model saw before the rescue does not count
            if is_rescued:
                world.steer(steering, throttle)
            else:
                telemetry = Telemetry(
                    state.steering_degrees, state.throttle, state.speed_mph, state.jpeg
                )
                control = driver.decide(telemetry).control
                world.steer(control.steering, control.throttle)

            # a row has the expert's steering, whoever drives
            if tracked.seconds >= next_row:
                next_row += BETWEEN_ROWS_SECONDS
                labelled = replace(tracked.car, steering=steering)
                frames = renderer.frames(labelled, tracked.seconds)
                writer.record(recorded_from + tracked.seconds, labelled, frames)
            if right_m := pushes.due(tracked.progress_m, tracked.position):
                tracked.push(right_m)
                recorded_from += _BETWEEN_EPISODES_SECONDS
    return ExpertDrive(writer.rows, rescues, round(tracked.distance_m, 1))
