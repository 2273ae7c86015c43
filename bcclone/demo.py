"""The whole main job without the simulator: record, preprocess, train, drive and score a lap, make the clips.

Runs the same commands as a user would, each as a process of its own. What an earlier demo has finished is used
again; what it had only begun is done anew.
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
from typing import Any

from bcclone.atomic import write_text
from bcclone.errors import UserError
from bcclone.evaluate import EvaluateSettings
from bcclone.simulator.settings import RecordSettings, WorldSettings
from bcclone.train.settings import TrainSettings

_NOTES = "steps.json"
_FULL_AUTONOMY = 100.0
_FIRST_PICTURE = "clip of the recording"
_DRIVE, _FIGURES = "drive and score", "figures.json"
_END_SECONDS = 30


@dataclass(frozen=True)
class DemoSettings:
    """Where the demo writes; how much it records, one way and half as much the other way; how long it trains;
    how far and how fast the model then drives."""

    folder: Path = Path("demo")
    record_laps: float = 2.0
    epochs: int = 8
    laps: float = 1.0
    speed_mph: float = 25.0

    def __post_init__(self) -> None:
        RecordSettings(laps=self.record_laps)  # what a step would refuse is refused before the first
        TrainSettings(epochs=self.epochs)
        EvaluateSettings(speed_mph=self.speed_mph, world=WorldSettings(laps=self.laps))


@dataclass(frozen=True)
class Step:
    """A command, the file or folder that it makes, and others that it makes beside it.

    shown_only: no later step is made from it.
    """

    name: str
    makes: Path
    command: tuple[str, ...]
    beside: tuple[Path, ...]
    shown_only: bool

    @property
    def shown(self) -> str:
        """Return the command as a person types it."""
        return f"bcclone {shlex.join(self.command)}"

    @property
    def proof(self) -> Path:
        """Return a file that is there when the step has been done."""
        return self.makes / _FIGURES if self.name == _DRIVE else self.makes


@dataclass(frozen=True)
class DoneStep:
    """A step that was done, and how many seconds it took: 0 when it had been done before."""

    step: Step
    seconds: float


@dataclass(frozen=True)
class DemoResult:
    """What was done, and the score of the drive at its end."""

    steps: tuple[DoneStep, ...]
    drive: Mapping[str, Any]

    @property
    def on_the_road(self) -> bool:
        """Return whether the model drove all of its way without an intervention."""
        return bool(self.drive["autonomy_percent"] == _FULL_AUTONOMY and self.drive["ended"] == "laps driven")

    @property
    def seconds_to_first_picture(self) -> float | None:
        """Return when the first clip could be looked at; None where an earlier demo had made something of it."""
        return self._seconds_to(_FIRST_PICTURE)

    @property
    def seconds_to_trained_lap(self) -> float | None:
        """Return when the trained model had driven its way; None where an earlier demo had made something of it."""
        return self._seconds_to(_DRIVE)

    def _seconds_to(self, name: str) -> float | None:
        names = [done.step.name for done in self.steps]
        taken = [done.seconds for done in self.steps[: names.index(name) + 1]]
        return sum(taken) if all(taken) else None


def run_demo(settings: DemoSettings, notify: Callable[[str], None], quiet: bool = False) -> DemoResult:
    """Run every step that has not been run, in a folder that is there; raises UserError when one fails.

    notify: is told what a person should know; quiet: the steps print errors only.
    """
    notes = _Notes(settings.folder / _NOTES)
    steps, done, anew = _steps(settings), [], False
    for number, step in enumerate(steps, start=1):
        notify(f"\nstep {number} of {len(steps)}, {step.name}:")
        missing = anew or not (notes.finished(step) and step.proof.exists())
        begun = time.monotonic()
        if missing:
            _clear(step, notes)
            notify(f"$ {step.shown}")
            _run(step, notes, quiet)
        else:
            notify(f"{step.makes} is there already")
        anew = anew or (missing and not step.shown_only)
        done.append(DoneStep(step, time.monotonic() - begun if missing else 0.0))
    (drive,) = (step for step in steps if step.name == _DRIVE)
    figures = json.loads(drive.proof.read_text(encoding="utf-8"))
    return DemoResult(tuple(done), figures)


def _steps(settings: DemoSettings) -> list[Step]:
    place = settings.folder
    forward, back, store, model = place / "forward", place / "reverse", place / "data.h5", place / "model.h5"
    drive, run = place / "drive", place / "run1"
    expert_clip, clip = place / "forward.mp4", place / "run1.mp4"
    way = ("--laps", settings.laps, "--speed", settings.speed_mph)
    record, look, back_laps = ("simulate", "record"), ("video", "--overlay"), settings.record_laps / 2
    return [
        _step("record", forward, *record, forward, "--laps", settings.record_laps, "--seed", 0),
        _step(_FIRST_PICTURE, expert_clip, *look, forward, "-o", expert_clip, "--range", "0:30", shown_only=True),
        _step("record the other way", back, *record, back, "--laps", back_laps, "--reverse", "--seed", 1),
        _step("preprocess", store, "preprocess", forward, back, "-o", store),
        _step("train", model, "model", store, "-o", model, "--runs", place / "runs", "--epochs", settings.epochs),
        _step(_DRIVE, drive, "evaluate", model, *way, "--run", run, "--output", drive, beside=(run,)),
        _step("clip of the lap", clip, *look, run, "-o", clip, shown_only=True),
    ]


def _step(name: str, makes: Path, *command: object, beside: tuple[Path, ...] = (), shown_only: bool = False) -> Step:
    return Step(name, makes, tuple(map(_word, command)), beside, shown_only)


def _word(part: object) -> str:
    """Return a part of a command as it is given; a path that begins with a dash would be taken for an option."""
    return f"./{part}" if isinstance(part, Path) and str(part).startswith("-") else str(part)


class _Notes:
    """Which steps have been begun and finished, by the commands that did it, in a file of the demo's folder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._commands: dict[str, dict[str, Any]] = {}
        if path.exists():
            try:
                self._commands = dict(json.loads(path.read_text(encoding="utf-8")))
            except (OSError, ValueError, TypeError):
                raise UserError(
                    f"{path} is no demo's notes; remove the folder, or choose another with --folder"
                ) from None

    def finished(self, step: Step) -> bool:
        """Return whether this very command has been run to its end."""
        return self._commands.get(step.name) == {"command": list(step.command), "finished": True}

    def note(self, step: Step, finished: bool) -> None:
        """Note that a step begins or has finished."""
        self._commands[step.name] = {"command": list(step.command), "finished": finished}
        write_text(self._path, json.dumps(self._commands, indent=2) + "\n")

    def known(self, step: Step) -> bool:
        """Return whether an earlier demo made, or began to make, what the step makes."""
        return step.name in self._commands


def _clear(step: Step, notes: _Notes) -> None:
    """Remove what an earlier demo left of a step, and nothing else."""
    for leftover in (step.makes, *step.beside):
        if leftover.exists() and not notes.known(step):
            raise UserError(f"{leftover} is there, but not from a demo; choose another folder with --folder")
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink(missing_ok=True)
    notes.note(step, finished=False)


def _run(step: Step, notes: _Notes, quiet: bool) -> None:
    """Run a step anew; raises UserError when it fails."""
    command = [sys.executable, "-m", "bcclone", *step.command, *(["--quiet"] if quiet else [])]
    with subprocess.Popen(command, stdout=sys.stderr) as process:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGTERM)  # it may have processes of its own to end
            process.wait(_END_SECONDS)
            raise
    if code:
        raise UserError(
            f"the demo ends here: `{step.shown}` failed (exit code {code}); mend what it says, and run the demo again"
        )
    notes.note(step, finished=True)


def show_result(result: DemoResult) -> Sequence[str]:
    """Return the table at the end, line by line."""
    lines = [f"{'step':<22}{'seconds':>8}  what it made"]
    lines += [f"{done.step.name:<22}{done.seconds:>8.1f}  {done.step.makes}" for done in result.steps]
    lines.append(f"{'altogether':<22}{sum(done.seconds for done in result.steps):>8.1f}")
    picture, lap, drive = result.seconds_to_first_picture, result.seconds_to_trained_lap, result.drive
    if picture is not None and lap is not None:
        lines += ["", f"first moving picture after {picture:.0f} s, trained and driven after {lap:.0f} s"]
    end = (
        "It kept to the road all the way." if result.on_the_road else f"It did NOT keep to the road: {drive['ended']}."
    )
    lines += [
        "",
        f"autonomy {drive['autonomy_percent']:.1f} %, {drive['interventions']} interventions in "
        f"{drive['laps']:.2f} laps over the simulator's protocol at {drive['mean_speed_mph']:.1f} mph",
        f"{drive['mean_abs_cross_track_m']:.2f} m from the centre line on average, "
        f"{drive['max_abs_cross_track_m']:.2f} m at most; "
        f"request to steer p50 {drive['request_to_steer_ms']['p50']} ms",
        end,
    ]
    return lines
