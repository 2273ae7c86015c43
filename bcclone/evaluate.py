"""Model + simulated track -> how well it drives: autonomy, interventions, distance from the centre line.

The model drives through a drive server of its own, over the simulator's protocol, or in this process, which is
faster and leaves the wire out.
"""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.atomic import write_text
from bcclone.drive.controller import SpeedController
from bcclone.drive.driver import Driver, SteeringPolicy
from bcclone.drive.process import server_process
from bcclone.errors import UserError
from bcclone.plots.drives import plot_drive, plot_views
from bcclone.progress import ProgressBar
from bcclone.protocol import Telemetry
from bcclone.simulator.car import TOP_SPEED_MPH
from bcclone.simulator.conditions import Conditions
from bcclone.simulator.render import Renderer
from bcclone.simulator.trace import write_trace
from bcclone.simulator.track import load_track
from bcclone.simulator.unity_client import UnityClient, connected
from bcclone.simulator.world import SimulatedWorld, WorldSettings


@dataclass(frozen=True)
class EvaluateSettings:
    """Which way to drive, how fast, and in what world."""

    track: str = "lake"
    reverse: bool = False
    speed_mph: float = 30.0
    world: WorldSettings = field(default_factory=WorldSettings)
    conditions: Conditions = field(default_factory=Conditions)

    def __post_init__(self) -> None:
        if not 0 < self.speed_mph <= TOP_SPEED_MPH:
            raise ValueError(f"speed {self.speed_mph:g} mph, expected more than 0 and up to {TOP_SPEED_MPH:g}")


@dataclass(frozen=True)
class Evaluation:
    """What a drive came to: the world when it was over, and the milliseconds from each frame to its steering."""

    world: SimulatedWorld
    latencies_ms: Sequence[float]

    def figures(self) -> dict[str, Any]:
        """Return the figures by name, ready for JSON."""
        p50, p99 = np.percentile(self.latencies_ms, [50, 99]) if self.latencies_ms else (0.0, 0.0)
        return self.world.score.figures() | {
            "laps": round(self.world.laps, 3),
            "ended": self.world.over,
            "request_to_steer_ms": {"p50": round(float(p50), 3), "p99": round(float(p99), 3)},
        }


def evaluate_policy(policy: SteeringPolicy, settings: EvaluateSettings) -> Evaluation:
    """Let a policy drive in this process; raises UserError when it never steered."""
    with _driving(settings) as world:
        return drive_policy(policy, world, settings.speed_mph)


def drive_policy(policy: SteeringPolicy, world: SimulatedWorld, speed_mph: float) -> Evaluation:
    """Let a policy drive in a world until that is over; raises UserError when it never steered."""
    driver = Driver(policy, SpeedController(speed_mph))
    latencies, interventions = [], 0
    driver.forget()
    while (state := world.look()) is not None:
        if len(world.score.interventions) > interventions:  # the car has been set back
            interventions = len(world.score.interventions)
            driver.forget_frames()
        begun = time.perf_counter()
        telemetry = Telemetry(state.steering_degrees, state.throttle, state.speed_mph, state.jpeg)
        control = driver.decide(telemetry).control
        latencies.append((time.perf_counter() - begun) * 1000)
        world.steer(control.steering, control.throttle)
    if driver.faults == driver.answered:
        raise UserError("the model gave no usable steering for any frame; is it trained, and its input whole?")
    return Evaluation(world, latencies)


def evaluate_served(
    model: Path, preprocess: str | None, settings: EvaluateSettings, run_folder: Path | None = None
) -> Evaluation:
    """Let a model file drive through a drive server, over the simulator's protocol; raises UserError.

    run_folder: where the server records the drive, if anywhere; where the car was is written beside the frames.
    """
    options = ["--speed", settings.speed_mph, *(["--preprocess", preprocess] if preprocess else [])]
    with (
        server_process([model, *([run_folder] if run_folder else []), *options]) as server,
        _driving(settings) as world,
        connected("127.0.0.1", server.port) as connection,
    ):
        report = UnityClient(connection, world).drive()
    if run_folder is not None:
        write_trace(run_folder, world.shown)
    return Evaluation(world, report.latencies_ms)


@contextmanager
def _driving(settings: EvaluateSettings) -> Iterator[SimulatedWorld]:
    """Yield the world, and show how far its car has come."""
    track = load_track(settings.track, settings.reverse)
    renderer = Renderer(settings.track, settings.conditions)
    with ProgressBar("driving", round(settings.world.laps * track.length_m), "m") as progress:
        yield SimulatedWorld(renderer, track, settings.world, progress.advance)


def write_pictures(folder: Path, evaluation: Evaluation, settings: EvaluateSettings) -> list[Path]:
    """Write the driven line on the map, views along the way and the figures into a folder; return their paths."""
    paths = [folder / name for name in ("map.png", "views.png", "figures.json")]
    world, figures = evaluation.world, evaluation.figures()
    title = (
        f"{settings.track}{' reversed' if settings.reverse else ''}, {settings.speed_mph:g} mph: "
        f"autonomy {figures['autonomy_percent']:.1f} %, {figures['interventions']} interventions"
    )
    edges = (world.track.edge(-1), world.track.edge(1))
    plot_drive(title, edges, world.score.trace, world.score.interventions, paths[0])
    plot_views(world.views, paths[1])
    write_text(paths[2], json.dumps(figures, indent=2) + "\n")
    return paths
