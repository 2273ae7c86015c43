"""Run the whole workflow without the simulator: each step is a command, as a user would run it, two
at once.

Steps that an earlier demo has completed are skipped; steps that it did not complete run again. At
the end a page shows it all.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bcclone.commands.options import Browser, Result, command, notify
from bcclone.pictures.report import Report, write_report
from bcclone.simulator.world_settings import TOP_SPEED_MPH
from bcclone.system.codec import read_json
from bcclone.system.errors import UserError, shown_command, typed
from bcclone.system.hardware import usable_cores
from bcclone.system.output import RESULTS, UNFINISHED, writing
from bcclone.system.progress import Notify
from bcclone.system.settings import Checked, Count, Laps, Mph, setting
from bcclone.system.table import Table, TableColumn
from bcclone.system.task_pool import FinishedSteps

_AT_ONCE = 2
*_, _STEPS = UNFINISHED
_FIRST_PICTURE, _DRIVE, _FIGURES = "clip of the recording", "drive and score", "figures.json"
_FIRST_LAPS = 0.1  # enough for a clip of ten seconds
# Each lap looks different, so that the model does not learn one look by heart: lab log, 2026-11-23.
_LOOKS = {
    "forward": "--seed 1 --texture-seed 1",
    "fog": "--seed 2 --texture-seed 2 --light 1.2 --fog 2 --set sun-azimuth=200",
    "reverse": "--seed 3 --texture-seed 3 --light 0.8 --sun-elevation 30 --reverse",
}
# it keeps to the middle; the side cameras show the way back
_RECORD = "simulate record --wander-m 0.2 --recoveries 0"
# so few passes do not suffice for the usual 0.5: benchmarks/lab-log/2026-11.md, 2026-11-25
_DROPOUT = 0.15


@dataclass(frozen=True)
class DemoSettings(Checked):
    """How much the demo records and trains, and how far and how fast the model then drives."""

    folder: Path = setting(
        Path("demo"),
        "folder for all results; steps that are complete there are skipped",
        unit="DIR",
    )
    record_laps: Laps = setting(
        2.0,
        "laps to record, half of them in another weather; half as many are recorded in reverse, too",
    )
    size: int = setting(
        64,
        "width and height of the stored images: 64 trains four times as fast, 128 is the network's usual input",
        choices=(64, 128),
    )
    epochs: Count = setting(12, "epochs to train")
    laps: Laps = setting(1.0)
    speed_mph: Mph = setting(
        25.0, "speed that the model holds", above=0, maximum=TOP_SPEED_MPH, option="speed"
    )


@dataclass(frozen=True)
class DemoStep:
    """A command: the words after `bcclone`, all that it makes, the result first, and the steps that
    it needs.
    """

    name: str
    words: tuple[str, ...]
    makes: tuple[Path, ...]
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class TimedStep:
    """A completed step: how long it took, and when it ended, in seconds from the start.

    Both are 0 if an earlier demo had completed it.
    """

    step: str
    made: Path
    seconds: float = 0.0
    ended: float = 0.0


@dataclass(frozen=True)
class DemoResult:
    """The steps, all figures of the drive as JSON values, and the page that shows them."""

    steps: tuple[TimedStep, ...]
    drive: Mapping[str, Any]
    page: Path

    @property
    def on_the_road(self) -> bool:
        """Return whether the model completed its drive without an intervention."""
        return self.drive["ended"] == "laps driven" and not self.drive["interventions"]

    def seconds_to(self, name: str) -> float | None:
        """Return the seconds to the end of a step; None if an earlier demo had completed some of
        the steps.
        """
        (ended,) = (one.ended for one in self.steps if one.step == name)
        return ended if all(one.ended for one in self.steps if one.ended <= ended) else None

    def as_json(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {
            "steps": [
                {"step": one.step, "made": one.made, "seconds": round(one.seconds, 2)}
                for one in self.steps
            ],
            "seconds_to_first_picture": self.seconds_to(_FIRST_PICTURE),
            "seconds_to_trained_lap": self.seconds_to(_DRIVE),
            "page": self.page,
            "drive": self.drive,
        }

    def as_text(self) -> str:
        """Return the table of the steps, and the figures of the drive."""
        columns = (
            TableColumn("step"),
            TableColumn("seconds", "{:.1f}".format),
            TableColumn("what it made"),
        )
        rows = [(one.step, one.seconds, str(one.made)) for one in self.steps]
        rows.append(("in all, two at once", max(one.ended for one in self.steps), ""))
        lines, picture, lap = (
            ["", str(Table(columns, rows))],
            self.seconds_to(_FIRST_PICTURE),
            self.seconds_to(_DRIVE),
        )
        if picture is not None and lap is not None:
            lines += [
                "",
                f"first moving picture after {picture:.0f} s, trained and driven after {lap:.0f} s",
            ]
        score = SimpleNamespace(**self.drive)
        lines += [
            "",
            f"autonomy {score.autonomy_percent:.1f} %, {score.interventions} interventions in "
            f"{score.laps:.2f} laps over the simulator's protocol at {score.mean_speed_mph:.1f} mph",
            f"{score.mean_abs_cross_track_m:.2f} m from the centre line on average, {score.max_abs_cross_track_m:.2f} "
            f"m at most; request to steer p50 {score.request_to_steer_ms['p50']} ms",
            "The car stayed on the road."
            if self.on_the_road
            else f"The car left the road: {score.ended}.",
        ]
        return "\n".join(lines)


@command(
    "record, train and drive, without the simulator",
    Browser,
    left="completed steps are kept; the same command continues with the next one",
)
def demo(settings: DemoSettings) -> Result:
    """Run the whole workflow without the simulator: record laps, preprocess, train, drive and score
    a lap, make clips.

    Steps that are complete in the folder are skipped; remove the folder to start again. The exit
    code is 1 when the car needed an intervention.
    """
    folder, path = settings.folder, settings.folder / "drive" / _FIGURES
    with writing(folder, RESULTS):
        steps = _Run(FinishedSteps(folder / _STEPS, tuple[str, ...]), notify).complete(
            _steps(settings)
        )
        figures = read_json(
            path, dict[str, Any], "the figures of a drive", f"remove {path.parent}, and begin again"
        )
        result = DemoResult(steps, figures, folder / "index.html")
        _write_page(settings, result)
    return Result.of(result, wrote=[result.page], code=int(not result.on_the_road))


def _steps(settings: DemoSettings) -> list[DemoStep]:
    """Return the steps in the order in which they start; each stands after those that it needs."""
    names = (
        "first",
        "first.mp4",
        "data.h5",
        "model.h5",
        "runs",
        "drive",
        "run1",
        "run1.mp4",
        "page.mp4",
    )
    first, first_clip, store, model, runs, drive, run, clip, page = (
        settings.folder / name for name in names
    )
    laps, recordings = (
        settings.record_laps,
        {f"record {name}": settings.folder / name for name in _LOOKS},
    )

    def step(
        line: str, makes: Path, *others: object, after: str = "", also: tuple[Path, ...] = ()
    ) -> DemoStep:
        """Return a step of a name and a command, which are separated by a colon."""
        name, _, words = line.partition(": ")
        needed = tuple(filter(None, after.split(",")))
        return DemoStep(
            name, (*words.split(), *map(typed, (makes, *others))), (makes, *also), needed
        )

    forward, *more = (
        step(f"{name}: {_RECORD} --laps {laps / 2} {look}", folder)
        for (name, folder), look in zip(recordings.items(), _LOOKS.values(), strict=True)
    )
    learn = f"train: model --epochs {settings.epochs} --dropout {_DROPOUT} --name demo -o"
    way = f"{_DRIVE}: evaluate --laps {settings.laps} --speed {settings.speed_mph} -o"
    clips = "video --overlay -o"
    return [
        step(f"first look: {_RECORD} --laps {min(_FIRST_LAPS, laps)}", first),
        forward,
        step(f"{_FIRST_PICTURE}: {clips}", first_clip, first, after="first look"),
        *more,
        step(
            f"preprocess: preprocess --size {settings.size} -o",
            store,
            *recordings.values(),
            after=",".join(recordings),
        ),
        step(learn, model, "--runs", runs, store, after="preprocess", also=(runs,)),
        step(way, drive, "--run", run, model, after="train", also=(drive / _FIGURES, run)),
        step(f"clip of the lap: {clips}", clip, run, after=_DRIVE),
        step(
            "clip for the page: video --overlay --range 0:20 --set width=480 -o",
            page,
            run,
            after=_DRIVE,
        ),
    ]


class _Run:
    """Runs the steps that are not complete, and those that need them.

    states: of each step that an earlier demo began, its words once it was complete, and none
    before.
    """

    def __init__(self, states: FinishedSteps[tuple[str, ...]], notify: Notify) -> None:
        self._states, self._notify, self._start = states, notify, time.monotonic()
        self._running: list[subprocess.Popen[str]] = []

    def complete(self, steps: list[DemoStep]) -> tuple[TimedStep, ...]:
        """Run the steps, two at once; raises UserError when one fails."""
        futures: dict[str, Future[TimedStep]] = {}
        with ThreadPoolExecutor(min(usable_cores(), _AT_ONCE)) as pool:
            try:
                for step in steps:  # a step is started after those that it waits for
                    futures[step.name] = pool.submit(
                        self._complete, step, [futures[name] for name in step.after]
                    )
                wait(futures.values(), return_when=FIRST_EXCEPTION)
                return tuple(future.result() for future in futures.values() if future.done())
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
                for process in self._running:
                    process.terminate()

    def _complete(self, step: DemoStep, needed: "list[Future[TimedStep]]") -> TimedStep:
        is_new = any(seconds for seconds in [one.result().seconds for one in needed])
        state = self._states.find(step.name)
        if not is_new and state == step.words and all(path.exists() for path in step.makes):
            self._notify(f"{step.name}: {step.makes[0]} is complete already")
            return TimedStep(step.name, step.makes[0])
        for leftover in step.makes:
            if os.path.lexists(leftover) and state is None:
                raise UserError(
                    f"{leftover} exists, but not from a demo; choose another folder with --folder"
                )
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover)
            else:
                leftover.unlink(missing_ok=True)
        self._states.keep(step.name, ())
        start, shown = time.monotonic(), shown_command(*step.words)
        self._notify(f"{step.name}: {shown}")
        run = [
            sys.executable,
            "-P",
            "-m",
            "bcclone",
            *step.words,
            "--quiet",
        ]  # no bcclone.py of this folder
        with subprocess.Popen(
            run, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:
            self._running.append(process)
            printed = process.communicate()[1].strip()
            self._running.remove(process)
        if process.returncode:
            raise UserError(
                f"`{shown}` failed (exit code {process.returncode}); fix this error, and begin again, which keeps what "
                f"is complete:\n{printed}"
            )
        self._states.keep(step.name, step.words)
        now = time.monotonic()
        self._notify(f"{step.name}: {step.makes[0]}, {now - start:.0f} s")
        return TimedStep(step.name, step.makes[0], now - start, now - self._start)


def _write_page(settings: DemoSettings, result: DemoResult) -> None:
    folder, score, drawn = (
        settings.folder,
        SimpleNamespace(**result.drive),
        settings.folder / "runs" / "demo" / "plots",
    )
    pictures = {
        "The road from above, and the line that the network drove": folder / "drive" / "map.png",
        "The views from the car along the way": folder / "drive" / "views.png",
        "The errors on samples that it learned from, and on others, after each pass": drawn
        / "history.png",
        "What the network saw: the pixels that its steering depends on most": drawn
        / "saliency.png",
    }
    sentences = [
        f"An expert drove {1.5 * settings.record_laps:g} laps of a simulated lake in three kinds of weather, and three "
        "cameras recorded what it saw and how it steered.",
        f"A network that knew nothing was trained on these frames {settings.epochs} times over, on this machine.",
        f"Then it drove {score.laps:.2f} laps alone at {score.mean_speed_mph:.1f} mph, over the protocol of Udacity's "
        f"simulator: {score.interventions} interventions, {score.autonomy_percent:.1f} % autonomy.",
        f"It was {score.mean_abs_cross_track_m:.2f} m from the middle of the road on average, and "
        f"{score.max_abs_cross_track_m:.2f} m at most; half of its answers took less than "
        f"{score.request_to_steer_ms['p50']} ms.",
        "The four commands at the end of this page do the same with a recording of your own.",
    ]
    commands = {
        "Make training data of your recordings": shown_command(
            "preprocess", "RECORDING", "-o", "data.h5"
        ),
        "Train the network": shown_command("model", "data.h5", "-o", "model.h5"),
        "Let it drive the simulator": shown_command("drive", "model.h5", "run1"),
        "Make a clip of the drive": shown_command("video", "run1"),
    }
    figures = [
        ("step", "seconds"),
        *((one.step, f"{one.seconds:.0f}" if one.seconds else "earlier") for one in result.steps),
    ]
    shown = {caption: path for caption, path in pictures.items() if path.is_file()}
    write_report(
        result.page,
        Report("A network drives", sentences, folder / "page.mp4", shown, figures, commands),
    )
