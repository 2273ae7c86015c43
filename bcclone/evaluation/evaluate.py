"""A model and a simulated road -> the score of one drive, in this process.

A frame passes through JPEG, as on the wire, so that a policy sees here what it sees in a drive.
`bcclone simulate drive` scores a drive server over the simulator's protocol.
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.camera.images import Image
from bcclone.drive.controller import SpeedSettings
from bcclone.drive.driver import Decision, Driver, SteeringPolicy
from bcclone.drive.protocol import Telemetry
from bcclone.drive.run_writer import record_decision, run_recorder
from bcclone.evaluation.settings import EvaluateSettings
from bcclone.model.model_path import is_onnx
from bcclone.model.policy import load_policy, not_finite
from bcclone.recording.run_folder import check_free, locked_run
from bcclone.recording.run_tables import TracePoint, write_trace
from bcclone.simulator.car import STEP_SECONDS, Car
from bcclone.simulator.scene import build_scene
from bcclone.simulator.score import Intervention, LinePoint, Score, autonomy_text
from bcclone.simulator.track import TrackPosition, load_track
from bcclone.simulator.world import SimulatedWorld, open_world
from bcclone.system.table import Table, TableColumn
from bcclone.system.tensorflow_quietly import load_tensorflow
from bcclone.system.values import to_json

# takes each frame of a drive as soon as it is answered: the decision, the seconds that it took, and
# where the car was
Watch = Callable[[Decision, float, TracePoint], object]


@dataclass(frozen=True)
class Evaluation:
    """The result of one simulated drive."""

    score: Score
    # {"p50": median, "p99": 99th percentile} of the milliseconds from a frame to its steering; None
    # in a suite, so that its results are the same on each machine
    latency_ms: dict[str, float] | None
    trace: tuple[LinePoint, ...]  # the driven line, in the order of driving
    interventions: tuple[Intervention, ...]
    views: tuple[Image, ...] = ()  # some frames, uint8 (160, 320, 3); none in a suite
    notes: tuple[str, ...] = ()  # warnings for a person, such as a model always at full steering

    def figures(self) -> dict[str, Any]:
        figures = dict(to_json(self.score))
        if self.latency_ms:
            figures["request_to_steer_ms"] = self.latency_ms
        if self.notes:
            figures["notes"] = list(self.notes)
        return figures

    def table(self) -> Table:
        """Return the figures in words."""
        score = self.score
        rows = [
            ("autonomy", autonomy_text(score.autonomy_percent)),
            ("interventions", f"{score.interventions}"),
            ("left the centre line, times", score.describe_departures()),
            (
                "from the centre line",
                f"{score.mean_abs_cross_track_m:.2f} m on average, "
                f"{score.max_abs_cross_track_m:.2f} m at most",
            ),
            (
                "driven",
                f"{score.laps:.2f} laps, {score.distance_m:,.0f} m in {score.seconds:.0f} s",
            ),
            ("speed", f"{score.mean_speed_mph:.1f} mph"),
            ("change of the steering", f"{score.steering_smoothness:.2f} per second"),
        ]
        if self.latency_ms:
            rows.append(("time of an answer", describe_latency(self.latency_ms)))
        rows.append(("ended", score.ended))
        return Table([TableColumn("figure"), TableColumn("value")], rows)

    def sentences(self) -> list[str]:
        return list(self.notes)


def describe_latency(milliseconds: Mapping[str, float | None]) -> str:
    """Return in words how long answers took; milliseconds: as Evaluation.latency_ms."""
    half, most = milliseconds["p50"], milliseconds["p99"]
    if half is None or most is None:
        return "none was answered"
    return f"half within {half:.1f} ms, 99 of 100 within {most:.1f} ms"


def evaluate(
    model: Path | str,
    settings: EvaluateSettings | None = None,
    watch: Watch | None = None,
    run_folder: Path | None = None,
) -> Evaluation:
    """Score a model file by one simulated drive.

    Raises UserError, also for a run folder that is not new or empty.

    run_folder: to record the drive into, with the car's position at each frame; None for none
    """
    model = Path(model)
    settings = settings or EvaluateSettings()
    if run_folder is not None:
        check_free(run_folder)
    # the scene is built while TensorFlow loads, on another core; the world then finds it in a cache
    with ThreadPoolExecutor(1, "build-scene") as meanwhile:
        meanwhile.submit(_build_scene, settings)
        if not is_onnx(model) and "tensorflow" not in sys.modules:
            load_tensorflow(threads=1)  # a fifth faster than two for single frames
        # the simulator gives frames, so no framing is needed
        policy = load_policy(model, settings.preprocess).without_framing()
    return evaluate_policy(policy, settings, str(model), watch, run_folder)


def _build_scene(settings: EvaluateSettings) -> None:
    """Build the scene of a drive ahead of it; opening the world raises its errors again."""
    build_scene(load_track(settings.track, settings.reverse).road.name, settings)


def evaluate_policy(
    policy: SteeringPolicy,
    settings: EvaluateSettings,
    name: str = "the policy",
    watch: Watch | None = None,
    run_folder: Path | None = None,
) -> Evaluation:
    """Score a policy as evaluate() does a model; raises as drive_policy() does."""
    track = load_track(settings.track, settings.reverse)
    with ExitStack() as opened:
        watches = [watch] if watch else []
        if run_folder is not None:
            opened.enter_context(locked_run(run_folder))
            recorder = opened.enter_context(run_recorder(run_folder))
            watches.append(
                lambda decision, seconds, _: record_decision(recorder, decision, seconds)
            )
        # the settings are both kinds: see EvaluateSettings
        world = opened.enter_context(open_world(track, settings=settings, conditions=settings))
        evaluation = drive_policy(policy, world, settings, name, watches)
    if run_folder is None:
        return evaluation
    if recorder.recorded:
        write_trace(run_folder, world.shown)
    if recorder.failure:
        failure = f"the recording has ended: {recorder.failure}"
        evaluation = replace(evaluation, notes=(*evaluation.notes, failure))
    return evaluation


# fraction of the answers at full steering; with more, the frames are probably prepared wrongly
_USUAL_FULL_STEERING = 0.5


def drive_policy(
    policy: SteeringPolicy,
    world: SimulatedWorld,
    speed: SpeedSettings,
    name: str = "the policy",
    watches: Sequence[Watch] = (),
) -> Evaluation:
    """Let a policy drive in a world to the end of the drive.

    Raises UserError when the policy has given no usable steering for any frame.

    speed: the speed to hold, and how
    name: the policy's name in the error
    watches: called for each frame, as soon as it is answered
    """
    driver = Driver(policy, speed)
    scorer = world.scorer
    latencies_ms: list[float] = []
    interventions_before = 0
    driver.forget()
    while (state := world.observe()) is not None:
        interventions = len(scorer.interventions)
        if interventions > interventions_before:  # the car was set back onto the road
            interventions_before = interventions
            driver.forget_frames()
        start = time.perf_counter()
        telemetry = Telemetry(state.steering_degrees, state.throttle, state.speed_mph, state.jpeg)
        decision = driver.decide(telemetry)
        seconds = time.perf_counter() - start
        latencies_ms.append(seconds * 1000)
        world.steer(decision.control.steering, decision.control.throttle)
        for watch in watches:
            watch(decision, seconds, world.shown[-1].point)
    if driver.faults == driver.answered:
        raise not_finite(name, f"for any of {driver.answered} frames")
    return _evaluation_of(world, latencies_ms)


# steering and throttle, -1 to 1, of a car that is at a position of its track
BlindControl = Callable[[Car, TrackPosition], tuple[float, float]]


def drive_blind(control: BlindControl, world: SimulatedWorld) -> Evaluation:
    """Drive to the end of the drive by what is known of the car; no picture is rendered."""
    while not world.ended:
        world.steer(*control(world.tracked.car, world.tracked.position))
        world.advance(STEP_SECONDS)
    return _evaluation_of(world)


def _evaluation_of(world: SimulatedWorld, latencies_ms: Sequence[float] = ()) -> Evaluation:
    """Return the result of a drive that has ended.

    latencies_ms: from each frame to its steering; none for a driver who answers no frame
    """
    scorer = world.scorer
    notes: tuple[str, ...] = ()
    if scorer.full_steering > _USUAL_FULL_STEERING:
        notes = (
            f"full steering in {100 * scorer.full_steering:.0f} % of the answers, as no model that "
            "drives gives; are its frames prepared as in its training, such as pixels / 255 "
            "(0..1 in --preprocess)?",
        )
    latency_ms = None
    if latencies_ms:
        p50, p99 = np.percentile(latencies_ms, [50, 99]).round(3).tolist()
        latency_ms = {"p50": p50, "p99": p99}
    return Evaluation(
        score=world.score(),
        latency_ms=latency_ms,
        trace=tuple(scorer.trace),
        interventions=tuple(scorer.interventions),
        views=tuple(world.views),
        notes=notes,
    )
