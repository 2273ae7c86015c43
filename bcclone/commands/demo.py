"""The command demo: run the whole workflow without the simulator, and show the results on a page.

A demo is a list of steps, each a command of bcclone. At the end, the folder holds recordings, a
store, a model, its drive, clips and the page.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bcclone.commands import load_command, split_line
from bcclone.commands.command import Command, Result, command, list_of, notify, parse
from bcclone.simulator.world_settings import LAPS_DRIVEN, TOP_SPEED_MPH
from bcclone.system.codec import read_json
from bcclone.system.errors import UserError, number_of, shown_command, typed
from bcclone.system.files import NEW_FOLDER, make_folder, writing
from bcclone.system.hardware import usable_cores
from bcclone.system.location import free_name
from bcclone.system.pool import open_pool
from bcclone.system.program import program_words
from bcclone.system.settings import Checked, Count, Laps, Mph, setting


@dataclass(frozen=True)
class DemoSettings(Checked):
    """How much the demo records and trains, and how far and how fast the model then drives."""

    folder: Path = setting(
        Path("demo"), "folder for all results; must be new or empty", unit="DIR", writes=True
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


@dataclass(frozen=True)
class DemoStep:
    """A step of the demo: a command, and what it makes."""

    name: str  # what the step does, for the user
    words: tuple[str, ...]  # the command line, as a user would type it after `bcclone`
    made: Path  # the file or folder that is its result


@command(after_interrupt="the folder keeps what was made; remove it, or name another --folder")
def demo(settings: DemoSettings) -> Result:
    """Run the whole workflow without the simulator: record laps, preprocess, train, drive and score
    a lap, make clips.

    The exit code is 1 when the car needed an intervention.
    """
    folder = settings.folder
    page = folder / "index.html"
    start = time.monotonic()
    took: dict[DemoStep, float] = {}  # a step -> its seconds
    first_picture = 0.0  # seconds from the start
    with writing(folder, NEW_FOLDER):
        make_folder(folder)
        for group in _steps(settings):
            for step in group:
                notify(f"{step.name}: {shown_command(*step.words)}")
            for step, seconds in zip(group, _run_side_by_side(group), strict=True):
                notify(f"{step.name}: {step.made}, {seconds:.0f} s")
                took[step] = seconds
                if step.name == _FIRST_CLIP:
                    first_picture = time.monotonic() - start
        trained_lap = time.monotonic() - start
        path = folder / "drive" / "figures.json"
        figures = read_json(path, dict[str, Any], "the figures of a drive", "begin again")
        _write_page(page, took, figures, settings)
    value = {
        "steps": [
            {"step": step.name, "made": step.made, "seconds": round(seconds, 2)}
            for step, seconds in took.items()
        ],
        "seconds_to_first_picture": first_picture,
        "seconds_to_trained_lap": trained_lap,
        "page": page,
        "drive": figures,
    }
    lines = [
        "",
        list_of({step.name: f"{took[step]:6.1f} s  {step.made}" for step in took}),
        "",
        f"first moving picture after {first_picture:.0f} s, "
        f"trained and driven after {trained_lap:.0f} s",
        "",
        *_sentences(figures),
    ]
    stayed = figures["ended"] == LAPS_DRIVEN and not figures["interventions"]
    return Result(value, "\n".join(lines), wrote=[page], code=int(not stayed))


def _steps(settings: DemoSettings) -> list[list[DemoStep]]:
    """Return groups of steps, in their order; the steps of a group run side by side."""
    folder = settings.folder
    first = folder / "first"
    laps = [folder / f"lap{number}" for number in range(1, len(LOOKS) + 1)]
    store = folder / "data.h5"
    model = folder / "model.h5"

    def step(name: str, line: str, made: Path, *others: object) -> DemoStep:
        """line: first words of the command line; made and others are its last words"""
        return DemoStep(name, (*line.split(), *map(typed, (made, *others))), made)

    record = f"simulate record {EXPERT}"
    each = settings.record_laps / len(LOOKS)
    recordings = [
        step(f"record {lap.name}", f"{record} {ROWS} --laps {each:g} {look}", lap)
        for lap, look in zip(laps, LOOKS, strict=True)
    ]
    # a tenth of a lap is enough for a clip of ten seconds
    look = f"{record} --laps {min(0.1, settings.record_laps)}"
    preprocess = f"preprocess --size {settings.size} {STORE} -o"
    train = f"model --epochs {settings.epochs} {TRAINING} --name demo -o"
    evaluate = f"evaluate --laps {settings.laps} --speed {settings.speed_mph} -o"
    return [
        [step("first look", look, first)],
        [step(_FIRST_CLIP, "video --overlay -o", folder / "first.mp4", first)],
        recordings,
        [step("preprocess", preprocess, store, *laps)],
        [step("train", train, model, "--runs", folder / "runs", store)],
        [step("drive and score", evaluate, folder / "drive", model)],
    ]


def _run_side_by_side(steps: list[DemoStep]) -> Iterator[float]:
    """Run steps; yield how many seconds each took, in the order of the steps.

    A single step runs in this process, several run in other processes, one on each core.
    """
    if len(steps) < 2:
        yield from map(_run, steps)
        return
    with open_pool(min(len(steps), usable_cores())) as pool:
        yield from pool.map(_run, steps)


def _run(step: DemoStep) -> float:
    """Run a step without showing its progress, and return how many seconds it took."""
    start = time.monotonic()
    name, words = split_line(step.words)
    command = load_command(name)
    try:
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stderr(nowhere):
            command.run(parse(command, program_words(name), words))
    except UserError as error:
        raise UserError(f"`{shown_command(*step.words)}` failed:\n{error}") from None
    except KeyboardInterrupt:
        # leave out the message, which says what the step's command keeps
        raise KeyboardInterrupt from None
    return time.monotonic() - start


def _sentences(drive: Mapping[str, Any]) -> list[str]:
    """Return what to say of the drive. drive: the figures of evaluate, as JSON values"""
    from bcclone.simulator.score import autonomy_text

    outcome = "The car stayed on the road."
    if drive["ended"] != LAPS_DRIVEN:
        outcome = f"The car did not complete its drive: {drive['ended']}."
    elif drive["interventions"]:
        outcome = "The car left the road on the way, and was set back."
    return [
        f"Its score: autonomy {autonomy_text(drive['autonomy_percent'])}, {drive['interventions']} "
        f"interventions in {drive['laps']:.2f} laps at {drive['mean_speed_mph']:.1f} mph.",
        f"It was {drive['mean_abs_cross_track_m']:.2f} m from the middle of the road on average, "
        f"and {drive['max_abs_cross_track_m']:.2f} m at most; half of its answers took less than "
        f"{drive['request_to_steer_ms']['p50']} ms.",
        outcome,
    ]


def _write_page(
    page: Path, took: Mapping[DemoStep, float], drive: Mapping[str, Any], settings: DemoSettings
) -> None:
    from bcclone.pictures.plots.style import words_of
    from bcclone.pictures.report_page import Section, write_report
    from bcclone.pictures.reports import BEGIN_NAME, drive_figures
    from bcclone.pictures.road_map import road_map
    from bcclone.simulator.track import load_track

    folder = settings.folder
    model = folder / "model.h5"
    plots = folder / "runs" / "demo" / "plots"
    history = plots / "history.png"
    looks = [plots / f"saliency-{look}.png" for look in ("straight", "bend", "shadow")]
    trained_s = next(seconds for step, seconds in took.items() if step.made == model)
    write_report(
        page,
        _headline(drive, settings),
        [
            f"An expert drove {settings.record_laps:g} laps of a simulated lake, in six kinds of "
            "light and weather. A network watched, learned to steer as it did, and then drove this "
            "lap alone."
        ],
        [
            Section(
                "What it saw",
                ["What is lit decided its steering"],
                {words_of(look): look for look in looks if look.is_file()},
            ),
            Section(
                "How it learned",
                [
                    f"It went {number_of(settings.epochs, 'time')} through the pictures. After "
                    "each, its error was measured on pictures from which it does not learn"
                ],
                {"The error after each time": history} if history.is_file() else {},
            ),
            Section(
                "What to do now",
                commands={
                    "Take the wheel: the network drives in your browser, until you steer": (
                        shown_command("play", model)
                    ),
                    "Let it drive in the Udacity simulator": (
                        shown_command("drive", model, free_name("run1"))
                    ),
                    "Cut a recording on a page": shown_command("edit", folder / "lap1"),
                    "Train on a recording of your own": shown_command(
                        "preprocess", "RECORDING", "-o", free_name("data.h5")
                    ),
                    "Drive a real car: begin with what it recorded": shown_command(
                        "import", "TUB", "-o", free_name("recordings/mine")
                    ),
                },
            ),
            Section(
                "How long each step took",
                table=[("step", "seconds"), *((step.name, f"{took[step]:.0f}") for step in took)],
                folded=True,
            ),
        ],
        [
            *drive_figures(drive)[:2],
            (f"{trained_s:.0f}", "s", "for the training on your machine"),
        ],
        folder / "drive" / BEGIN_NAME,
        road_map(load_track("lake"), drive["driven_line"], drive["left_road_at"]),
    )


def _headline(drive: Mapping[str, Any], settings: DemoSettings) -> str:
    network = f"A network that learned from {settings.record_laps:g} laps"
    if drive["ended"] != LAPS_DRIVEN:
        return f"{network} did not complete its drive: {drive['ended']}"
    if times := drive["interventions"]:
        return f"{network} drove around the lake, and left the road {number_of(times, 'time')}"
    return f"{network} drives around the lake by itself"


COMMANDS: dict[str, Command] = {"demo": demo}
