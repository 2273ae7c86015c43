"""The command demo: run the whole workflow without the simulator, and show the results on a page.

A demo is a list of steps, each a command of bcclone. A step that an earlier demo has completed in
the same folder is skipped; a step that it did not complete runs again. At the end, the folder holds
recordings, a store, a model, its drive, clips and the page.
"""

import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import redirect_stderr
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bcclone.commands import load_command, split_line
from bcclone.commands.command import BROWSER, Command, Result, command, notify, parse
from bcclone.pictures.report import write_report
from bcclone.simulator.score import LAPS_DRIVEN
from bcclone.simulator.world_settings import TOP_SPEED_MPH
from bcclone.system.codec import read_json
from bcclone.system.errors import Table, TableColumn, UserError, shown_command, typed
from bcclone.system.files import RESULTS, writing
from bcclone.system.hardware import usable_cores
from bcclone.system.pool import FinishedSteps, process_pool
from bcclone.system.settings import Checked, Count, Laps, Mph, setting

# What earlier demos have done: name of a step -> its command line once it was complete, () if it
# was begun and not completed, None if it was not begun.
States = FinishedSteps[tuple[str, ...]]


@dataclass(frozen=True)
class DemoSettings(Checked):
    """How much the demo records and trains, and how far and how fast the model then drives."""

    folder: Path = setting(
        Path("demo"),
        "folder for all results; steps that are complete there are skipped",
        unit="DIR",
    )
    record_laps: Laps = setting(
        6.0,
        "laps to record: a sixth of them in each of six kinds of light and weather, half of them "
        "in reverse",
    )
    size: int = setting(
        64,
        "width and height of the stored images: 64 trains four times as fast, 128 is the network's "
        "usual input",
        choices=(64, 128),
    )
    epochs: Count = setting(3, "epochs to train")
    laps: Laps = setting(1.0)
    speed_mph: Mph = setting(
        25.0, "speed that the model holds", above=0, maximum=TOP_SPEED_MPH, option="speed"
    )


@command(
    after_interrupt="completed steps are kept; the same command continues with the next one",
)
def demo(settings: DemoSettings, browser: bool = BROWSER) -> Result:
    """Run the whole workflow without the simulator: record laps, preprocess, train, drive and score
    a lap, make clips.

    Steps that are complete in the folder are skipped; remove the folder to start again. The exit
    code is 1 when the car needed an intervention.
    """
    folder = settings.folder
    drive = folder / "drive"
    page = folder / "index.html"
    with writing(folder, RESULTS):
        done = list(_complete(_steps(settings), folder))
        remedy = f"remove {drive}, and begin again"
        figures = read_json(
            drive / "figures.json", dict[str, Any], "the figures of a drive", remedy
        )
        _write_page(page, done, figures, settings)
    # None if an earlier demo had completed some of the steps
    ended = {step.name: after for step, _, after in done}
    first_picture = ended[_FIRST_CLIP] if all(ended.values()) else None
    trained_lap = ended[_DRIVE] if all(ended.values()) else None
    value = {
        "steps": [
            {"step": step.name, "made": step.makes[0], "seconds": round(seconds, 2)}
            for step, seconds, _ in done
        ],
        "seconds_to_first_picture": first_picture,
        "seconds_to_trained_lap": trained_lap,
        "page": page,
        "drive": figures,
    }

    columns = [
        TableColumn("step"),
        TableColumn("seconds", "{:.1f}".format),
        TableColumn("what it made"),
    ]
    rows = [(step.name, seconds, str(step.makes[0])) for step, seconds, _ in done]
    rows.append(("in all", max(ended.values()), ""))
    lines = ["", str(Table(columns, rows)), ""]
    if first_picture is not None:
        lines += [
            f"first moving picture after {first_picture:.0f} s, "
            f"trained and driven after {trained_lap:.0f} s",
            "",
        ]
    lines += [*_sentences(figures), outcome(figures)]
    stayed = figures["ended"] == LAPS_DRIVEN and not figures["interventions"]
    return Result(
        value,
        "\n".join(lines),
        wrote=[page],
        opens=page if browser else None,
        code=int(not stayed),
    )


# The recipe is that of the lab log, 2026-11-28: the least that teaches as much as three whole laps
# and twelve passes had taught.
# The expert stays near the middle: the side cameras already show how to come back to it.
EXPERT = "--wander-m 0.2 --recoveries 0"
# Neighbouring rows are nearly the same, so a fifth of them is enough. Each lap has a weather, a
# light and textures of its own, so that the model learns none of them by heart.
ROWS = "--rows-per-second 3"
LOOKS = (
    "--seed 1 --texture-seed 1",
    "--seed 2 --texture-seed 2 --light 1.2 --fog 2 --sun-azimuth 200",
    "--seed 3 --texture-seed 3 --light 0.8 --sun-elevation 30 --reverse",
    "--seed 4 --texture-seed 4 --sun-elevation 20 --sun-azimuth 300 --reverse",
    "--seed 5 --texture-seed 5 --light 0.7 --sun-elevation 20 --sun-azimuth 30",
    "--seed 6 --texture-seed 6 --light 1.3 --fog 3 --sun-azimuth 150 --reverse",
)
STORE = "--validation 0.1"
# with the usual dropout of 0.5, it would need more epochs
TRAINING = "--batch-size 64 --dropout 0.15 --appearance 1 --patches 0.4"


_FIRST_CLIP = "clip of the recording"
_DRIVE = "drive and score"


@dataclass(frozen=True)
class DemoStep:
    """A step of the demo: a command, and what it makes."""

    name: str  # what the step does, for the user
    words: tuple[str, ...]  # the command line, as a user would type it after `bcclone`
    makes: tuple[Path, ...]  # files and folders that it makes; the result of the step comes first


def _steps(settings: DemoSettings) -> list[list[DemoStep]]:
    """Return groups of steps, in their order; the steps of a group run side by side."""
    folder = settings.folder
    first = folder / "first"
    laps = [folder / f"lap{number}" for number in range(1, len(LOOKS) + 1)]
    store = folder / "data.h5"
    model = folder / "model.h5"
    runs = folder / "runs"
    drive = folder / "drive"
    clip_of_lap = folder / "run1.mp4"

    record = f"simulate record {EXPERT}"
    each = settings.record_laps / len(LOOKS)
    recordings = [
        _step(f"record {lap.name}", f"{record} {ROWS} --laps {each:g} {look}", lap)
        for lap, look in zip(laps, LOOKS, strict=True)
    ]
    # a tenth of a lap is enough for a clip of ten seconds
    look = f"{record} --laps {min(0.1, settings.record_laps)}"
    preprocess = f"preprocess --size {settings.size} {STORE} -o"
    train = f"model --epochs {settings.epochs} {TRAINING} --name demo -o"
    evaluate = f"evaluate --laps {settings.laps} --speed {settings.speed_mph} -o"
    also_driven = (clip_of_lap, drive / "figures.json")
    return [
        [_step("first look", look, first)],
        [_step(_FIRST_CLIP, "video --overlay -o", folder / "first.mp4", first)],
        recordings,
        [_step("preprocess", preprocess, store, *laps)],
        [_step("train", train, model, "--runs", runs, store, also=(runs,))],
        [_step(_DRIVE, evaluate, drive, "--clip", clip_of_lap, model, also=also_driven)],
    ]


def _step(
    name: str, line: str, result: Path, *others: object, also: tuple[Path, ...] = ()
) -> DemoStep:
    """Return a step.

    line: first words of its command line
    result: what the step makes; the next word of the command line
    others: the last words of the command line
    also: what else the step makes
    """
    words = (*line.split(), *map(typed, (result, *others)))
    return DemoStep(name, words, (result, *also))


def _complete(
    groups: list[list[DemoStep]], folder: Path
) -> Iterator[tuple[DemoStep, float, float]]:
    """Run the steps that are not complete; yield all steps.

    With each come the seconds that it took, and those from the demo's start to its end; both are 0
    for a step that was complete. A step is also run again if it reads what another one has made
    again.
    """
    start = time.monotonic()
    states = FinishedSteps(folder / "steps", tuple[str, ...])
    anew: set[str] = set()  # paths that this demo has made, as they stand in command lines
    for group in groups:
        # steps that have to run; an earlier demo may have left a part of their results
        left = []
        for step in group:
            is_complete = states.find(step.name) == step.words and all(map(Path.exists, step.makes))
            if is_complete and anew.isdisjoint(step.words):
                notify(f"{step.name}: {step.makes[0]} is complete already")
                yield step, 0.0, 0.0
            else:
                _remove_leftovers(step, states)
                notify(f"{step.name}: {shown_command(*step.words)}")
                left.append(step)

        # run them, and report each as soon as it has ended
        for step, seconds in zip(left, _run_side_by_side(left, states), strict=True):
            notify(f"{step.name}: {step.makes[0]}, {seconds:.0f} s")
            yield step, seconds, time.monotonic() - start
            anew.update(map(typed, step.makes))


def _remove_leftovers(step: DemoStep, states: States) -> None:
    """Remove what an earlier demo has made in a step.

    Raises UserError if something is there although no demo has begun the step.
    """
    has_begun = states.find(step.name) is not None
    for path in step.makes:
        if os.path.lexists(path) and not has_begun:
            raise UserError(
                f"{path} exists, but not from a demo; choose another folder with --folder"
            )
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _run_side_by_side(steps: list[DemoStep], states: States) -> Iterator[float]:
    """Run steps; yield how many seconds each took, in the order of the steps.

    A single step runs in this process, several run in other processes, one on each core.
    """
    run = partial(_run, states)
    if len(steps) < 2:
        yield from map(run, steps)
        return
    try:
        with process_pool(min(len(steps), usable_cores())) as pool:
            yield from pool.map(run, steps)
    except BrokenExecutor:
        raise UserError(
            "a process ended unexpectedly; see whether memory ran out, and begin again"
        ) from None


def _run(states: States, step: DemoStep) -> float:
    """Run a step without showing its progress, and return how many seconds it took."""
    states.keep(step.name, ())  # the step is begun
    start = time.monotonic()
    name, words = split_line(step.words)
    command = load_command(name)
    try:
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stderr(nowhere):
            command.run(parse(command, f"bcclone {name}", words))
    except UserError as error:
        remedy = "fix this error, and begin again, which keeps what is complete"
        raise UserError(f"`{shown_command(*step.words)}` failed; {remedy}:\n{error}") from None
    except KeyboardInterrupt:
        # Leave out the message, which says what the command keeps: a demo begins the step again.
        raise KeyboardInterrupt from None
    states.keep(step.name, step.words)
    return time.monotonic() - start


# ---- what it says of the drive


def _sentences(drive: Mapping[str, Any]) -> list[str]:
    return [
        f"Its score: autonomy {drive['autonomy_percent']:.1f} %, {drive['interventions']} "
        f"interventions in {drive['laps']:.2f} laps at {drive['mean_speed_mph']:.1f} mph.",
        f"It was {drive['mean_abs_cross_track_m']:.2f} m from the middle of the road on average, "
        f"and {drive['max_abs_cross_track_m']:.2f} m at most; half of its answers took less than "
        f"{drive['request_to_steer_ms']['p50']} ms.",
    ]


def outcome(drive: Mapping[str, Any]) -> str:
    """Return whether the car stayed on the road. drive: the figures of evaluate, as JSON values"""
    if drive["ended"] != LAPS_DRIVEN:
        return f"The car did not complete its drive: {drive['ended']}."
    if drive["interventions"]:
        return "The car left the road on the way, and was set back."
    return "The car stayed on the road."


def _write_page(
    page: Path,
    done: Sequence[tuple[DemoStep, float, float]],
    drive: Mapping[str, Any],
    settings: DemoSettings,
) -> None:
    sentences = [
        f"An expert drove {settings.record_laps:g} laps of a simulated lake in six kinds of light "
        "and weather, and three cameras recorded what it saw and how it steered.",
        "A network that knew nothing was trained on these frames "
        f"{settings.epochs} times over, on this machine.",
        "Then it drove alone.",
        *_sentences(drive),
        "The four commands at the end of this page do the same with a recording of your own.",
    ]
    folder = settings.folder
    pictures = {
        "The road from above, and the line that the network drove": "drive/map.png",
        "The views from the car along the way": "drive/views.png",
        "The errors on samples that it learned from, and on others, after each pass": (
            "runs/demo/plots/history.png"
        ),
        "What the network saw: the pixels that its steering depends on most": (
            "runs/demo/plots/saliency.png"
        ),
    }
    times = [("step", "seconds")]
    times += [(step.name, f"{seconds:.0f}" if seconds else "earlier") for step, seconds, _ in done]
    write_report(
        page,
        "A network drives",
        sentences,
        clip=folder / "drive" / "clip.mp4",
        # a picture for which the data did not suffice is absent
        pictures={
            caption: folder / name
            for caption, name in pictures.items()
            if (folder / name).is_file()
        },
        figures=times,
        commands={
            "Make training data of your recordings": shown_command(
                "preprocess", "RECORDING", "-o", "data.h5"
            ),
            "Train the network": shown_command("model", "data.h5", "-o", "model.h5"),
            "Let it drive the simulator": shown_command("drive", "model.h5", "run1"),
            "Make a clip of the drive": shown_command("video", "run1"),
        },
    )


COMMANDS: dict[str, Command] = {"demo": demo}
