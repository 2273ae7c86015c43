"""A model and a simulated road -> the score of one drive.

The model drives in a separate drive server, over the simulator's protocol; or in this process,
which is faster but does not test the protocol.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from bcclone.camera.images import Image
from bcclone.drive.controller import SpeedSettings
from bcclone.drive.drive_settings import DriveSettings
from bcclone.drive.driver import Driver, SteeringPolicy
from bcclone.drive.protocol import Telemetry
from bcclone.drive.server import server_process
from bcclone.evaluation.evaluate_settings import EvaluateSettings
from bcclone.evaluation.watched_world import Watch, WatchedWorld
from bcclone.evaluation.worker_model import not_finite
from bcclone.model.model_path import is_litert, is_onnx
from bcclone.model.policy import load_policy
from bcclone.recording.run_tables import write_trace
from bcclone.simulator.score import DriveEvent, Intervention, LinePoint, Score
from bcclone.simulator.track import load_track
from bcclone.simulator.unity_client import UnityClient, World, connected
from bcclone.simulator.world import SimulatedWorld, open_world
from bcclone.system.errors import Table, TableColumn, UserError
from bcclone.system.settings import option_words
from bcclone.system.values import part_of, to_json


@dataclass(frozen=True)
class Latency:
    """Milliseconds from sending a frame to receiving its steering."""

    p50: float  # median
    p99: float  # 99th percentile

    @classmethod
    def of(cls, latencies_ms: Sequence[float]) -> Self:
        p50, p99 = np.percentile(latencies_ms, [50, 99]) if latencies_ms else (0.0, 0.0)
        return cls(round(float(p50), 3), round(float(p99), 3))


@dataclass(frozen=True)
class Evaluation:
    """The result of one simulated drive."""

    score: Score
    # None in a suite, so that its results are the same on each machine
    latency: Latency | None
    trace: tuple[LinePoint, ...]  # the driven line, in the order of driving
    interventions: tuple[Intervention, ...]
    events: tuple[DriveEvent, ...] = ()
    views: tuple[Image, ...] = ()  # some frames, uint8 (160, 320, 3); none in a suite
    notes: tuple[str, ...] = ()  # warnings for a person, such as a model always at full steering

    @property
    def rank(self) -> tuple[float, ...]:
        """Return a sort key: the best drive has the smallest one.

        A complete drive is better than an incomplete one; then the drive with more autonomy is
        better; then the drive nearer to the centre line on average.
        """
        return (
            not self.score.complete,
            -self.score.autonomy_percent,
            self.score.mean_abs_cross_track_m,
        )

    @property
    def cell(self) -> str:
        """The figures as a cell of a suite's table, in columns of fixed widths."""
        score = self.score
        distances = f"{score.mean_abs_cross_track_m:6.2f}{score.max_abs_cross_track_m:7.2f}"
        return f"{score.autonomy_percent:6.1f} %{score.interventions:5d}{distances}"

    def figures(self) -> dict[str, Any]:
        figures = dict(to_json(self.score))
        if self.latency:
            figures["request_to_steer_ms"] = to_json(self.latency)
        if self.notes:
            figures["notes"] = list(self.notes)
        return figures

    def table(self, settings: EvaluateSettings) -> Table:
        """Return the figures in words.

        settings: the settings that the drive had
        """
        score = self.score
        way = f"{settings.track} track"
        if settings.reverse:
            way += " in reverse"
        rows = [
            ("autonomy", f"{score.autonomy_percent:.1f} %"),
            ("interventions", f"{score.interventions}"),
            ("departures", score.describe_departures()),
            (
                "from the centre line",
                f"{score.mean_abs_cross_track_m:.2f} m on average, "
                f"{score.max_abs_cross_track_m:.2f} m at most",
            ),
            (
                "driven",
                f"{score.laps:.2f} laps of the {way}, "
                f"{score.distance_m:,.0f} m in {score.seconds:.0f} s",
            ),
            ("speed", f"{score.mean_speed_mph:.1f} mph (to hold: {settings.speed_mph:g})"),
            ("change of the steering", f"{score.steering_smoothness:.2f} per second"),
        ]
        if self.latency:
            latency = f"p50 {self.latency.p50:.1f} ms, p99 {self.latency.p99:.1f} ms"
            rows.append(("request to steer", latency))
        rows.append(("ended", score.ended))
        rows += [("note", note) for note in self.notes]
        return Table([TableColumn("figure"), TableColumn("value")], rows)


def evaluate(
    model: Path | str, settings: EvaluateSettings | None = None, watch: Watch | None = None
) -> Evaluation:
    """Score a model file by one simulated drive; raises UserError.

    watch: called with each frame, as soon as it is answered
    """
    model = Path(model)
    settings = settings or EvaluateSettings()
    if not settings.in_process:
        _check_takes_frames(model, settings.preprocess)
        return _evaluate_served(model, settings, watch)
    policy = load_policy(model, settings.preprocess).without_framing()  # the simulator gives frames
    return evaluate_policy(policy, settings, str(model), watch)


def _check_takes_frames(model: Path, preprocess: str | None) -> None:
    """Raise UserError for an exported file that frames pictures of another camera itself.

    preprocess: as load_policy() takes it
    """
    if is_onnx(model) or is_litert(model):
        load_policy(model, preprocess).without_framing()


def evaluate_policy(
    policy: SteeringPolicy,
    settings: EvaluateSettings,
    name: str = "the policy",
    watch: Watch | None = None,
) -> Evaluation:
    """Score a policy by one simulated drive in this process; raises as drive_policy() does."""
    track = load_track(settings.track, settings.reverse)
    with open_world(track, settings, settings) as world:
        return drive_policy(policy, world, settings, name, watch)


def drive_policy(
    policy: SteeringPolicy,
    world: SimulatedWorld,
    speed: SpeedSettings,
    name: str = "the policy",
    watch: Watch | None = None,
) -> Evaluation:
    """Let a policy drive in a world to the end of the drive.

    Raises UserError when the policy has given no usable steering for any frame.

    speed: the speed to hold, and how
    name: the policy's name in the error
    watch: called with each frame, as soon as it is answered
    """
    driver = Driver(policy, speed)
    latencies_ms: list[float] = []
    car: World = world
    if watch:
        car = WatchedWorld(world, watch, lambda: latencies_ms)
    interventions_before = 0
    driver.forget()
    while (state := car.observe()) is not None:
        interventions = len(world.scorer.interventions)
        if interventions > interventions_before:  # the car was set back onto the road
            interventions_before = interventions
            driver.forget_frames()
        start = time.perf_counter()
        telemetry = Telemetry(state.steering_degrees, state.throttle, state.speed_mph, state.jpeg)
        decision = driver.decide(telemetry)
        latencies_ms.append((time.perf_counter() - start) * 1000)
        car.steer(decision.control.steering, decision.control.throttle)
    if driver.faults == driver.answered:
        raise not_finite(name, f"for any of {driver.answered} frames")
    return _evaluation(world, latencies_ms)


def _evaluate_served(
    model: Path, settings: EvaluateSettings, watch: Watch | None = None
) -> Evaluation:
    """Let a model file drive through a drive server, over the simulator's protocol."""
    run_folder = settings.run_folder
    if run_folder is not None and run_folder.exists():
        raise UserError(f"{run_folder}: exists already, expected a new folder; name another --run")
    track = load_track(settings.track, settings.reverse)
    speed = part_of(settings, SpeedSettings)
    drive = DriveSettings(model, run_folder, preprocess=settings.preprocess, **vars(speed))
    arguments: list[Path | str] = [drive.model]
    if run_folder is not None:
        arguments.append(run_folder)
    arguments += option_words(drive)
    with (
        server_process(arguments) as server,
        open_world(track, settings, settings) as world,
        connected("127.0.0.1", server.port) as connection,
    ):
        car: World = world
        if watch:
            car = WatchedWorld(world, watch, lambda: client.latencies_ms)
        client = UnityClient(connection, car)
        report = client.drive()
    if run_folder is not None:
        write_trace(run_folder, world.shown)
    return _evaluation(world, report.latencies_ms)


# fraction of the answers at full steering; with more, the frames are probably prepared wrongly
_USUAL_FULL_STEERING = 0.5


def _evaluation(world: SimulatedWorld, latencies_ms: Sequence[float]) -> Evaluation:
    notes = []
    full = world.scorer.full_steering
    if full > _USUAL_FULL_STEERING:
        notes.append(
            f"full steering in {100 * full:.0f} % of the answers, as no model that drives gives; "
            "are its frames prepared as in its training, such as pixels / 255 "
            "(0..1 in --preprocess)?"
        )
    return Evaluation(
        score=world.score(),
        latency=Latency.of(latencies_ms),
        trace=tuple(world.scorer.trace),
        interventions=tuple(world.scorer.interventions),
        events=tuple(world.scorer.events),
        views=tuple(world.views),
        notes=tuple(notes),
    )
