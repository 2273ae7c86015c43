"""Run the whole workflow without the simulator: record, preprocess, train, drive and score a lap, make the clips.

Each step is a command, as a user would run it, in a process of its own; two run at once where neither needs the other.
Steps that an earlier demo has completed are skipped; steps that it did not complete run again.
"""

import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

from bcclone.drive.controller import SpeedSettings
from bcclone.evaluate.evaluate_settings import EvaluateSettings
from bcclone.simulator.world_settings import WorldSettings
from bcclone.system.atomic import make_folder
from bcclone.system.errors import UserError
from bcclone.system.finished_steps import FinishedSteps
from bcclone.system.hardware import usable_cores
from bcclone.system.json_values import from_json
from bcclone.system.progress import StatusLine
from bcclone.system.reading import MOST_JSON, parse_json, read_limited
from bcclone.system.settings import check_settings, setting
from bcclone.train.train_settings import TrainSettings

if TYPE_CHECKING:  # it loads NumPy, which --help need not wait for
    from bcclone.simulator.score import Score

_STEPS = "steps"
_FIRST_PICTURE = "clip of the recording"
_DRIVE, _FIGURES = "drive and score", "figures.json"
_FIRST_LAPS = 0.1  # enough for a clip of ten seconds
# Each lap looks different, so that the model does not learn one look by heart: docs/lab-log/2026-11.md, 2026-11-23.
_LOOKS: Mapping[str, tuple[object, ...]] = {
    "forward": ("--seed", 1, "--texture-seed", 1),
    "fog": ("--seed", 2, "--texture-seed", 2, "--light", 1.2, "--fog", 2, "--sun-azimuth", 200),
    "reverse": ("--seed", 3, "--texture-seed", 3, "--light", 0.8, "--sun-elevation", 30, "--reverse"),
}
_EXPERT = ("--wander-m", 0.2, "--recoveries", 0)  # it keeps to the middle; the side cameras show the way back
_DROPOUT = 0.15  # so few passes do not suffice for the usual 0.5: docs/lab-log/2026-11.md, 2026-11-25
_AT_ONCE, _END_SECONDS, _LOOK_SECONDS = 2, 30, 0.1


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
    size: int = setting(
        64,
        "width and height of the stored images: 64 trains four times as fast, 128 is the network's usual input",
        choices=(64, 128),
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

    makes: the file or folder that it makes; command: the words after `bcclone`; after: names of the steps that it
    needs; side_products: other files and folders that it makes.
    """

    name: str
    makes: Path
    command: tuple[str, ...]
    after: tuple[str, ...] = ()
    side_products: tuple[Path, ...] = ()

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
    """A completed step: how long it took, and when it ended, in seconds from the demo's start.

    Both are 0 if an earlier demo had completed it.
    """

    step: DemoStep
    seconds: float = 0.0
    ended: float = 0.0


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
        (ended,) = (timed.ended for timed in self.steps if timed.step.name == name)
        return ended if all(timed.ended for timed in self.steps if timed.ended <= ended) else None

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


def run_demo(settings: DemoSettings, notify: Callable[[str], None]) -> DemoResult:
    """Run every step that is not complete; raises UserError when one fails."""
    kept = settings.folder / _STEPS
    if not kept.is_dir() and settings.folder.is_dir() and any(settings.folder.iterdir()):
        raise UserError(f"{settings.folder} holds other files than those of a demo; choose another with --folder")
    make_folder(settings.folder, "another --folder")
    steps = _steps(settings)
    with _Schedule(steps, States(kept, StepState), notify) as schedule:
        schedule.run()
    (drive,) = (step for step in steps if step.name == _DRIVE)
    from bcclone.simulator.score import Score

    figures = parse_json(read_limited(drive.proof, MOST_JSON))
    timed = tuple(schedule.timed[step.name] for step in steps)
    return DemoResult(timed, from_json(Score, figures, unknown="ignore"), figures)


def _steps(settings: DemoSettings) -> list[DemoStep]:
    """Return the steps; each stands after those that it needs."""
    folder = settings.folder
    store, model, drive, run = (folder / name for name in ("data.h5", "model.h5", "drive", "run1"))
    first, laps = folder / "first", {name: folder / name for name in _LOOKS}
    way = ("--laps", settings.laps, "--speed", settings.speed_mph)
    video, record, length = ("video", "--overlay"), ("simulate", "record"), ("--laps", settings.record_laps / 2)
    recordings = [
        _step(f"record {name}", lap, *record, lap, *length, *_LOOKS[name], *_EXPERT) for name, lap in laps.items()
    ]
    recorded = tuple(step.name for step in recordings)
    learning = ("--epochs", settings.epochs, "--dropout", _DROPOUT, "--runs", folder / "runs")
    return [
        _step("first look", first, *record, first, "--laps", min(_FIRST_LAPS, settings.record_laps), *_EXPERT),
        _step(_FIRST_PICTURE, folder / "first.mp4", *video, first, "-o", folder / "first.mp4", after=("first look",)),
        *recordings,
        _step("preprocess", store, "preprocess", *laps.values(), "-o", store, "--size", settings.size, after=recorded),
        _step("train", model, "model", store, "-o", model, *learning, after=("preprocess",)),
        replace(
            _step(_DRIVE, drive, "evaluate", model, *way, "--run", run, "--output", drive, after=("train",)),
            side_products=(run,),
        ),
        _step("clip of the lap", folder / "run1.mp4", *video, run, "-o", folder / "run1.mp4", after=(_DRIVE,)),
    ]


def _step(name: str, makes: Path, *command: object, after: tuple[str, ...] = ()) -> DemoStep:
    return DemoStep(name, makes, tuple(map(_argument, command)), after)


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


class _Schedule:
    """Runs the steps that are not complete, and those that need them, two at once; a context manager.

    timed: the steps that are complete, by name.
    """

    def __init__(self, steps: Sequence[DemoStep], states: States, notify: Callable[[str], None]) -> None:
        self._states, self._notify, self._start = states, notify, time.monotonic()
        self._count, self._waiting, self._running = len(steps), list(steps), list[_RunningStep]()
        self._status = StatusLine("demo")
        self.timed: dict[str, TimedStep] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._running:
            one.end()
        self._status.close()

    def run(self) -> None:
        """Run all steps; raises UserError when one fails."""
        while self._waiting or self._running:
            self._begin()
            for one in [each for each in self._running if each.has_ended()]:
                self._complete(one)
            names = ", ".join(each.step.name for each in self._running)
            self._status.show(f"step {len(self.timed) + 1} of {self._count}: {names}")
            time.sleep(_LOOK_SECONDS if self._running else 0)

    def _begin(self) -> None:
        """Begin the steps that may begin, in their order, and skip those that are complete."""
        for step in [each for each in self._waiting if all(name in self.timed for name in each.after)]:
            is_new = any(self.timed[name].seconds for name in step.after)
            if not is_new and _is_complete(step, self._states):
                self.timed[step.name] = TimedStep(step)
                self._say(f"{step.name}: {step.makes} is complete already")
            elif len(self._running) < min(usable_cores(), _AT_ONCE):
                _clear(step, self._states)
                self._running.append(_RunningStep(step))
            else:
                return
            self._waiting.remove(step)

    def _complete(self, one: "_RunningStep") -> None:
        self._running.remove(one)
        one.end()
        self._states.keep(one.step.name, StepState(one.step.command, complete=True))
        now = time.monotonic()
        self.timed[one.step.name] = TimedStep(one.step, now - one.start, now - self._start)
        self._say(f"{one.step.name}: {one.step.makes}, {now - one.start:.0f} s: {one.step.shown}")

    def _say(self, line: str) -> None:
        with self._status.above():
            self._notify(line)


class _RunningStep:
    """A step whose command runs. What it prints on standard error is kept for the case that it fails."""

    def __init__(self, step: DemoStep) -> None:
        self.step, self.start = step, time.monotonic()
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 closed by end()
        command = [sys.executable, "-m", "bcclone", *step.command, "--quiet"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=self._errors)

    def has_ended(self) -> bool:
        """Return whether the command has ended; raises UserError when it failed."""
        code = self._process.poll()
        if code:
            self._errors.seek(0)
            printed = self._errors.read().decode(errors="replace").strip()
            raise UserError(
                f"the demo ends here: `{self.step.shown}` failed (exit code {code}); fix this error, and run the demo "
                f"again:\n{printed}"
            )
        return code is not None

    def end(self) -> None:
        """End the command, with the processes that it may have started."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(_END_SECONDS)
        self._errors.close()


def show_result(result: DemoResult) -> Sequence[str]:
    """Return the lines of the final table."""
    lines = [f"{'step':<22}{'seconds':>8}  what it made"]
    lines += [f"{timed.step.name:<22}{timed.seconds:>8.1f}  {timed.step.makes}" for timed in result.steps]
    lines.append(f"{'in all, two at once':<22}{max(timed.ended for timed in result.steps):>8.1f}")
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
