"""Run the whole workflow without the simulator: record, preprocess, train, drive and score a lap, make the clips.

Each step is a command, as a user would run it, in a process of its own. Steps that an earlier demo has completed are
skipped; steps that it did not complete run again.
"""

import json
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bcclone.drive.controller import SpeedSettings
from bcclone.evaluate.evaluate_settings import EvaluateSettings
from bcclone.simulator.world_settings import WorldSettings
from bcclone.system.atomic import make_folder
from bcclone.system.errors import UserError
from bcclone.system.finished_steps import FinishedSteps
from bcclone.system.json_values import from_json
from bcclone.system.settings import check_settings, setting
from bcclone.train.train_settings import TrainSettings

if TYPE_CHECKING:  # it loads NumPy, which --help need not wait for
    from bcclone.simulator.score import Score

_STEPS = "steps"
_FIRST_PICTURE = "clip of the recording"
_DRIVE, _FIGURES = "drive and score", "figures.json"
# Each lap looks different, so that the model does not learn one look by heart: docs/lab-log/2026-11.md, 2026-11-23.
_LOOKS: Mapping[str, tuple[object, ...]] = {
    "forward": ("--seed", 1, "--texture-seed", 1),
    "fog": ("--seed", 2, "--texture-seed", 2, "--light", 1.2, "--fog", 2, "--sun-azimuth", 200),
    "reverse": ("--seed", 3, "--texture-seed", 3, "--light", 0.8, "--sun-elevation", 30, "--reverse"),
}
_END_SECONDS = 30


@dataclass(frozen=True)
class DemoSettings:
    """How much the demo records and trains, and how far and how fast the model then drives."""

    folder: Path = setting(
        Path("demo"), "folder for all results; steps that are complete there are skipped", unit="DIR"
    )
    record_laps: float = setting(
        2.0,
        "laps to record, half of them in another weather; half as many are recorded in reverse, too",
        unit="LAPS",
        minimum=0,
        above_minimum=True,
        maximum=1000,
    )
    epochs: int = setting(8, "epochs to train", minimum=1)
    laps: float = setting(1.0, "laps that the model drives", unit="LAPS", minimum=0, above_minimum=True)
    speed_mph: float = setting(
        25.0, "speed that the model holds, in mph", unit="MPH", minimum=0, above_minimum=True, option="speed"
    )

    def __post_init__(self) -> None:
        check_settings(self)
        TrainSettings(epochs=self.epochs)  # refuse at once what a step would refuse
        EvaluateSettings(speed=SpeedSettings(self.speed_mph), world=WorldSettings(laps=self.laps))


@dataclass(frozen=True)
class DemoStep:
    """A command.

    makes: the file or folder that it makes; side_products: others that it makes; shown_only: no later step uses it.
    """

    name: str
    makes: Path
    command: tuple[str, ...]
    side_products: tuple[Path, ...]
    shown_only: bool

    @property
    def shown(self) -> str:
        """Return the command as a user types it."""
        return f"bcclone {shlex.join(self.command)}"

    @property
    def proof(self) -> Path:
        """Return a file that exists when the step is complete."""
        return self.makes / _FIGURES if self.name == _DRIVE else self.makes


@dataclass(frozen=True)
class StepState:
    """What the demo's folder says of a step: the command that began, and whether it is complete."""

    command: tuple[str, ...]
    complete: bool


States = FinishedSteps[StepState]  # by the name of the step


@dataclass(frozen=True)
class TimedStep:
    """A completed step and its duration, 0 if an earlier demo had completed it."""

    step: DemoStep
    seconds: float


@dataclass(frozen=True)
class DemoResult:
    """The steps, the score of the drive, and all of its figures as JSON values."""

    steps: tuple[TimedStep, ...]
    score: "Score"
    figures: Mapping[str, Any]

    @property
    def on_the_road(self) -> bool:
        """Return whether the model completed its drive without an intervention."""
        return self.score.complete and not self.score.interventions

    @property
    def seconds_to_first_picture(self) -> float | None:
        """Return the seconds to the first clip; None if an earlier demo had completed some of the steps."""
        return self._seconds_to(_FIRST_PICTURE)

    @property
    def seconds_to_trained_lap(self) -> float | None:
        """Return the seconds to the end of the drive; None if an earlier demo had completed some of the steps."""
        return self._seconds_to(_DRIVE)

    def _seconds_to(self, name: str) -> float | None:
        names = [timed.step.name for timed in self.steps]
        seconds = [timed.seconds for timed in self.steps[: names.index(name) + 1]]
        return sum(seconds) if all(seconds) else None

    def as_json(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        steps = [
            {"step": timed.step.name, "made": str(timed.step.makes), "seconds": round(timed.seconds, 2)}
            for timed in self.steps
        ]
        return {
            "steps": steps,
            "seconds_to_first_picture": self.seconds_to_first_picture,
            "seconds_to_trained_lap": self.seconds_to_trained_lap,
            "drive": self.figures,
        }


def run_demo(settings: DemoSettings, notify: Callable[[str], None], quiet: bool = False) -> DemoResult:
    """Run every step that is not complete; raises UserError when one fails.

    quiet: the steps print errors only.
    """
    kept = settings.folder / _STEPS
    if not kept.is_dir() and settings.folder.is_dir() and any(settings.folder.iterdir()):
        raise UserError(f"{settings.folder} holds other files than those of a demo; choose another with --folder")
    make_folder(settings.folder, "another --folder")
    states, steps, timed, rerun = States(kept, StepState), _steps(settings), [], False
    for number, step in enumerate(steps, start=1):
        notify(f"\nstep {number} of {len(steps)}, {step.name}:")
        missing = rerun or not _is_complete(step, states)
        start = time.monotonic()
        if missing:
            _clear(step, states)
            notify(f"$ {step.shown}")
            _run(step, states, quiet)
        else:
            notify(f"{step.makes} is complete already")
        rerun = rerun or (missing and not step.shown_only)
        timed.append(TimedStep(step, time.monotonic() - start if missing else 0.0))
    (drive,) = (step for step in steps if step.name == _DRIVE)
    from bcclone.simulator.score import Score

    figures = json.loads(drive.proof.read_text(encoding="utf-8"))
    return DemoResult(tuple(timed), from_json(Score, figures, unknown="ignore"), figures)


def _steps(settings: DemoSettings) -> list[DemoStep]:
    folder = settings.folder
    store, model, drive, run = (folder / name for name in ("data.h5", "model.h5", "drive", "run1"))
    laps = {name: folder / name for name in _LOOKS}
    expert_clip, clip = folder / "forward.mp4", folder / "run1.mp4"
    way = ("--laps", settings.laps, "--speed", settings.speed_mph)
    video, record, length = ("video", "--overlay"), ("simulate", "record"), ("--laps", settings.record_laps / 2)
    recorded = {name: _step(f"record {name}", lap, *record, lap, *length, *_LOOKS[name]) for name, lap in laps.items()}
    first = laps["forward"]
    return [
        recorded.pop("forward"),
        _step(_FIRST_PICTURE, expert_clip, *video, first, "-o", expert_clip, "--range", "0:30", shown_only=True),
        *recorded.values(),
        _step("preprocess", store, "preprocess", *laps.values(), "-o", store),
        _step("train", model, "model", store, "-o", model, "--runs", folder / "runs", "--epochs", settings.epochs),
        _step(_DRIVE, drive, "evaluate", model, *way, "--run", run, "--output", drive, side_products=(run,)),
        _step("clip of the lap", clip, *video, run, "-o", clip, shown_only=True),
    ]


def _step(
    name: str, makes: Path, *command: object, side_products: tuple[Path, ...] = (), shown_only: bool = False
) -> DemoStep:
    return DemoStep(name, makes, tuple(map(_argument, command)), side_products, shown_only)


def _argument(value: object) -> str:
    """Return an argument of a command; ./ keeps a path with a leading dash from being read as an option."""
    return f"./{value}" if isinstance(value, Path) and str(value).startswith("-") else str(value)


def _is_complete(step: DemoStep, states: States) -> bool:
    """Return whether an earlier demo has completed exactly this command."""
    return states.find(step.name) == StepState(step.command, complete=True) and step.proof.exists()


def _clear(step: DemoStep, states: States) -> None:
    """Remove what an earlier demo left of a step; refuse to remove anything else."""
    for leftover in (step.makes, *step.side_products):
        if leftover.exists() and states.find(step.name) is None:
            raise UserError(f"{leftover} exists, but not from a demo; choose another folder with --folder")
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink(missing_ok=True)
    states.keep(step.name, StepState(step.command, complete=False))


def _run(step: DemoStep, states: States, quiet: bool) -> None:
    """Run a step; raises UserError when it fails."""
    command = [sys.executable, "-m", "bcclone", *step.command, *(["--quiet"] if quiet else [])]
    with subprocess.Popen(command, stdout=sys.stderr) as process:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGTERM)  # it may have to end processes of its own
            process.wait(_END_SECONDS)
            raise
    if code:
        raise UserError(
            f"the demo ends here: `{step.shown}` failed (exit code {code}); fix the error above, and run the demo again"
        )
    states.keep(step.name, StepState(step.command, complete=True))


def show_result(result: DemoResult) -> Sequence[str]:
    """Return the lines of the final table."""
    lines = [f"{'step':<22}{'seconds':>8}  what it made"]
    lines += [f"{timed.step.name:<22}{timed.seconds:>8.1f}  {timed.step.makes}" for timed in result.steps]
    lines.append(f"{'total':<22}{sum(timed.seconds for timed in result.steps):>8.1f}")
    picture, lap, score = result.seconds_to_first_picture, result.seconds_to_trained_lap, result.score
    if picture is not None and lap is not None:
        lines += ["", f"first moving picture after {picture:.0f} s, trained and driven after {lap:.0f} s"]
    latency = result.figures["request_to_steer_ms"]
    end = "The car stayed on the road." if result.on_the_road else f"The car left the road: {score.ended}."
    return [
        *lines,
        "",
        f"autonomy {score.autonomy_percent:.1f} %, {score.interventions} interventions in "
        f"{score.laps:.2f} laps over the simulator's protocol at {score.mean_speed_mph:.1f} mph",
        f"{score.mean_abs_cross_track_m:.2f} m from the centre line on average, "
        f"{score.max_abs_cross_track_m:.2f} m at most; request to steer p50 {latency['p50']} ms",
        end,
    ]
