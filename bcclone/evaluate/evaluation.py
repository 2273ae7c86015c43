"""Score a model by one drive: autonomy, interventions, distance from the centre line.

The model drives through a separate drive server, over the simulator's protocol, or in this process, which is faster but
does not test the protocol.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from bcclone.dataset.images import Image
from bcclone.drive.controller import SpeedSettings
from bcclone.drive.driver import Decision, Driver, SteeringPolicy
from bcclone.drive.process import server_process
from bcclone.drive.protocol import Telemetry
from bcclone.evaluate.evaluate_settings import EvaluateSettings
from bcclone.lab.monitor.doubt import DoubtWatch, FrameScorer
from bcclone.lab.monitor.points import DoubtPoint, doubt_figures, doubts_csv
from bcclone.pictures.plots.drives import plot_drive, plot_views
from bcclone.recording.run_tables import write_trace
from bcclone.simulator.score import DriveEvent, Intervention, LinePoint, Score, event_lines
from bcclone.simulator.track import Track, load_track
from bcclone.simulator.unity_client import drive_by_server
from bcclone.simulator.world import LAPS_DRIVEN, SimulatedWorld, open_world
from bcclone.simulator.world_settings import ServerSettings
from bcclone.system.atomic import write_text
from bcclone.system.errors import UserError

IN_DOUBT = "in doubt"  # cause of the event where a monitor begins to doubt


@dataclass(frozen=True)
class Supervision:
    """A monitor, and what the car does while it doubts: one of bcclone.lab.monitor.monitor_settings.ON_DOUBT."""

    monitor: FrameScorer
    on_doubt: str = "ignore"


@dataclass(frozen=True)
class DriveFigures:
    """The figures of a drive.

    laps: laps driven; ended: why it ended; latency_p50_ms, latency_p99_ms: milliseconds from a frame to its steering.
    """

    score: Score
    laps: float
    ended: str
    latency_p50_ms: float
    latency_p99_ms: float

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the figures that as_json() gave."""
        score = Score(**{field.name: values[field.name] for field in fields(Score) if field.name in values})
        latency = values["request_to_steer_ms"]
        return cls(score, values["laps"], values["ended"], latency["p50"], latency["p99"])

    @property
    def complete(self) -> bool:
        """Return whether the drive ended because all laps were driven."""
        return self.ended == LAPS_DRIVEN

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return self.score.as_json() | {
            "laps": self.laps,
            "ended": self.ended,
            "request_to_steer_ms": {"p50": self.latency_p50_ms, "p99": self.latency_p99_ms},
        }


@dataclass(frozen=True)
class Evaluation(DriveFigures):
    """The result of a simulated drive: its figures, the driven line, and some of its frames, uint8 (160, 320, 3).

    doubts: what the monitor said of each frame, () without one.
    """

    track: Track
    trace: Sequence[LinePoint]
    interventions: Sequence[Intervention]
    events: Sequence[DriveEvent]
    views: Sequence[Image]
    doubts: Sequence[DoubtPoint] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON values, with those of a monitor, if there was one."""
        return super().as_json() | ({"doubt": doubt_figures(self.doubts)} if self.doubts else {})


def evaluate(model: Path | str, settings: EvaluateSettings | None = None) -> Evaluation:
    """Score a model file by one simulated drive; raises UserError."""
    model, settings = Path(model), settings or EvaluateSettings()
    if not (settings.in_process or settings.monitor):
        return _evaluate_served(model, settings)
    from bcclone.system.tensorflow_quietly import load_tensorflow

    load_tensorflow()
    from bcclone.model.policy import load_policy

    supervision = None
    if settings.monitor is not None:
        from bcclone.lab.monitor.monitor import load_monitor

        supervision = Supervision(load_monitor(settings.monitor, model), settings.on_doubt)
    return evaluate_policy(load_policy(model, settings.preprocess), settings, supervision)


def evaluate_policy(
    policy: SteeringPolicy, settings: EvaluateSettings, supervision: Supervision | None = None
) -> Evaluation:
    """Score a policy by one simulated drive in this process; raises UserError if it never gave a usable steering.

    supervision: a monitor and what to do on its doubt, instead of those of the settings.
    """
    track = load_track(settings.track, settings.reverse)
    with open_world(track, settings.world, settings.conditions) as world:
        return drive_policy(policy, world, settings, supervision)


def drive_policy(
    policy: SteeringPolicy,
    world: SimulatedWorld,
    settings: EvaluateSettings,
    supervision: Supervision | None = None,
    on_decision: Callable[[Decision], None] = lambda decision: None,
) -> Evaluation:
    """Let a policy drive in a world to the end of the drive; raises UserError if it never steered.

    settings: how fast it drives; the world has been opened with the others; supervision: a monitor and what to do on
    its doubt; on_decision: called with each decision.
    """
    on_doubt, watch = supervision.on_doubt if supervision else "ignore", None
    speed = SpeedSettings(settings.speed_mph, learned_speed=settings.learned_speed, on_doubt=on_doubt)
    if supervision is not None:
        watch = DoubtWatch(supervision.monitor, lambda: world.tracked.seconds)
    driver = Driver(policy, speed, on_decision, watch=watch)
    latencies_ms, interventions = [], 0
    doubts: list[DoubtPoint] = []
    driver.forget()
    while (state := world.observe()) is not None:
        if len(world.scorer.interventions) > interventions:  # the car has been set back
            interventions = len(world.scorer.interventions)
            driver.forget_frames()
        begun = time.perf_counter()
        telemetry = Telemetry(state.steering_degrees, state.throttle, state.speed_mph, state.jpeg)
        decision = driver.decide(telemetry)
        latencies_ms.append((time.perf_counter() - begun) * 1000)
        if decision.doubt is not None:
            if decision.doubt.in_doubt and not (doubts and doubts[-1].in_doubt):
                world.scorer.add_event(IN_DOUBT)
            doubts.append(DoubtPoint.of(world.tracked.seconds, decision.doubt))
        world.steer(decision.control.steering, decision.control.throttle)
    if driver.faults == driver.answered:
        raise UserError("the model gave no usable steering for any frame; is it trained, and is its input complete?")
    return replace(_evaluation(world, latencies_ms), doubts=tuple(doubts))


def write_pictures(folder: Path, evaluation: Evaluation, settings: EvaluateSettings) -> list[Path]:
    """Write the driven line on a map, views along the way, figures and events into a folder; return their paths."""
    paths = [folder / name for name in ("map.png", "views.png", "figures.json", "events.jsonl")]
    score, track = evaluation.score, evaluation.track
    title = (
        f"{settings.track}{' reversed' if settings.reverse else ''}, {settings.speed_mph:g} mph: "
        f"autonomy {score.autonomy_percent:.1f} %, {score.interventions} interventions"
    )
    plot_drive(title, (track.edge(-1), track.edge(1)), evaluation.trace, evaluation.interventions, paths[0])
    plot_views(evaluation.views, paths[1])
    write_text(paths[2], json.dumps(evaluation.as_json(), indent=2) + "\n")
    write_text(paths[3], event_lines(evaluation.events))
    if evaluation.doubts:
        paths.append(folder / "doubts.csv")
        write_text(paths[-1], doubts_csv(evaluation.doubts))
    return paths


def _evaluate_served(model: Path, settings: EvaluateSettings) -> Evaluation:
    """Let a model file drive through a drive server, over the simulator's protocol; raises UserError."""
    run_folder = settings.run_folder
    if run_folder is not None and run_folder.exists():
        raise UserError(f"{run_folder} exists already; choose a new folder for the run")
    track = load_track(settings.track, settings.reverse)
    options = ["--speed", settings.speed_mph, *(["--preprocess", settings.preprocess] if settings.preprocess else [])]
    options += ["--learned-speed"] if settings.learned_speed else []
    with (
        server_process([model, *([run_folder] if run_folder else []), *options]) as server,
        open_world(track, settings.world, settings.conditions) as world,
    ):
        report = drive_by_server(world, ServerSettings(port=server.port))
    if run_folder is not None:
        write_trace(run_folder, world.shown)
    return _evaluation(world, report.latencies_ms)


def _evaluation(world: SimulatedWorld, latencies_ms: Sequence[float]) -> Evaluation:
    """Return the result of a drive that has ended."""
    p50, p99 = np.percentile(latencies_ms, [50, 99]) if latencies_ms else (0.0, 0.0)
    return Evaluation(
        score=world.scorer.score(),
        laps=round(world.laps, 3),
        ended=world.ended,
        latency_p50_ms=round(float(p50), 3),
        latency_p99_ms=round(float(p99), 3),
        track=world.track,
        trace=tuple(world.scorer.trace),
        interventions=tuple(world.scorer.interventions),
        events=tuple(world.scorer.events),
        views=tuple(world.views),
    )
