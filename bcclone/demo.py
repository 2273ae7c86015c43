"""Run the whole workflow without the simulator: record, preprocess, train, drive and score a lap, make the clips.

Each step is a command, as a user would run it. Steps that an earlier demo has completed are skipped; steps that it did
not complete run again. At the end a page shows it all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bcclone.drive.controller import SpeedSettings
from bcclone.evaluate.evaluate_settings import EvaluateSettings
from bcclone.pictures.report import Report, shown_command, typed, write_report
from bcclone.simulator.world_settings import WorldSettings
from bcclone.system.atomic import make_folder
from bcclone.system.codec import explained, parse_json, read_bytes
from bcclone.system.errors import UserError
from bcclone.system.json_values import from_json
from bcclone.system.settings import Count, Laps, Mph, check_settings, setting
from bcclone.system.step_schedule import Schedule, Step, TimedStep
from bcclone.train.train_settings import TrainSettings

if TYPE_CHECKING:  # it loads NumPy, which --help need not wait for
    from bcclone.simulator.score import Score

_STEPS = "steps"
_FIRST_PICTURE = "clip of the recording"
_TRAIN, _DRIVE, _FIGURES = "train", "drive and score", "figures.json"
_PAGE_CLIP, _SHORT = "clip for the page", ("--range", "0:20", "--set", "width=480")
_FIRST_LAPS = 0.1  # enough for a clip of ten seconds
# Each lap looks different, so that the model does not learn one look by heart: lab log, 2026-11-23.
_LOOKS: Mapping[str, tuple[object, ...]] = {
    "forward": ("--seed", 1, "--texture-seed", 1),
    "fog": ("--seed", 2, "--texture-seed", 2, "--light", 1.2, "--fog", 2, "--set", "sun-azimuth=200"),
    "reverse": ("--seed", 3, "--texture-seed", 3, "--light", 0.8, "--sun-elevation", 30, "--reverse"),
}
_EXPERT = ("--wander-m", 0.2, "--recoveries", 0)  # it keeps to the middle; the side cameras show the way back
_DROPOUT = 0.15  # so few passes do not suffice for the usual 0.5: benchmarks/lab-log/2026-11.md, 2026-11-25


@dataclass(frozen=True)
class DemoSettings:
    """How much the demo records and trains, and how far and how fast the model then drives."""

    folder: Path = setting(
        Path("demo"), "folder for all results; steps that are complete there are skipped", unit="DIR"
    )
    record_laps: Laps = setting(
        2.0, "laps to record, half of them in another weather; half as many are recorded in reverse, too"
    )
    size: int = setting(
        64,
        "width and height of the stored images: 64 trains four times as fast, 128 is the network's usual input",
        choices=(64, 128),
    )
    epochs: Count = setting(12, "epochs to train")
    laps: Laps = setting(1.0, "laps that the model drives")
    speed_mph: Mph = setting(25.0, "speed that the model holds", above=0, option="speed")

    def __post_init__(self) -> None:
        check_settings(self)
        TrainSettings(epochs=self.epochs)  # refuse at once what a step would refuse
        EvaluateSettings(speed=SpeedSettings(self.speed_mph), world=WorldSettings(laps=self.laps))


@dataclass(frozen=True)
class DemoResult:
    """The steps, the score of the drive, all of its figures as JSON values, and the page that shows them.

    answer_ms: the median time from request to steer, in milliseconds.
    """

    steps: tuple[TimedStep, ...]
    score: "Score"
    figures: Mapping[str, Any]
    answer_ms: float
    page: Path

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
            "page": str(self.page),
            "drive": self.figures,
        }


def run_demo(settings: DemoSettings, notify: Callable[[str], None]) -> DemoResult:
    """Run every step that is not complete; raises UserError when one fails."""
    kept = settings.folder / _STEPS
    is_demo = kept.is_dir() and not kept.is_symlink()
    if not is_demo and settings.folder.is_dir() and any(settings.folder.iterdir()):
        raise UserError(f"{settings.folder} holds other files than those of a demo; choose another with --folder")
    make_folder(settings.folder, "another --folder")
    steps = _steps(settings)
    timed = Schedule("demo", steps, kept, notify).run()
    (drive,) = (step for step in steps if step.name == _DRIVE)
    from bcclone.simulator.score import Score

    path = drive.makes / _FIGURES
    with explained(path, "the figures of a drive", f"remove {drive.makes}, and begin again"):
        figures = parse_json(read_bytes(path, "json"))
        score = from_json(Score, {each.name: figures[each.name] for each in fields(Score)})
        answer_ms = float(figures["request_to_steer_ms"]["p50"])
    result = DemoResult(timed, score, figures, answer_ms, settings.folder / "index.html")
    _write_page(settings, result)
    return result


def _steps(settings: DemoSettings) -> list[Step]:
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
    learning = ("--epochs", settings.epochs, "--dropout", _DROPOUT, "--runs", folder / "runs", "--name", "demo")
    return [
        _step("first look", first, *record, first, "--laps", min(_FIRST_LAPS, settings.record_laps), *_EXPERT),
        _step(_FIRST_PICTURE, folder / "first.mp4", *video, first, "-o", folder / "first.mp4", after=("first look",)),
        *recordings,
        _step("preprocess", store, "preprocess", *laps.values(), "-o", store, "--size", settings.size, after=recorded),
        replace(
            _step(_TRAIN, model, "model", store, "-o", model, *learning, after=("preprocess",)),
            side_products=(folder / "runs",),
        ),
        replace(
            _step(_DRIVE, drive, "evaluate", model, *way, "--run", run, "--output", drive, after=(_TRAIN,)),
            side_products=(run,),
            proof=_FIGURES,
        ),
        _step("clip of the lap", folder / "run1.mp4", *video, run, "-o", folder / "run1.mp4", after=(_DRIVE,)),
        _step(_PAGE_CLIP, folder / "page.mp4", *video, run, "-o", folder / "page.mp4", *_SHORT, after=(_DRIVE,)),
    ]


def _step(name: str, makes: Path, *command: object, after: tuple[str, ...] = ()) -> Step:
    return Step(name, makes, tuple(map(typed, command)), after)


def _write_page(settings: DemoSettings, result: DemoResult) -> None:
    folder, score, drawn = settings.folder, result.score, settings.folder / "runs" / "demo" / "plots"
    pictures = {
        "The road from above, and the line that the network drove": folder / "drive" / "map.png",
        "The views from the car along the way": folder / "drive" / "views.png",
        "The errors on samples that it learned from, and on others, after each pass": drawn / "history.png",
        "What the network saw: the pixels that its steering depends on most": drawn / "saliency.png",
    }
    sentences = [
        f"An expert drove {1.5 * settings.record_laps:g} laps of a simulated lake in three kinds of weather, and three "
        "cameras recorded what it saw and how it steered.",
        f"A network that knew nothing was trained on these frames {settings.epochs} times over, on this machine.",
        f"Then it drove {score.laps:.2f} laps alone at {score.mean_speed_mph:.1f} mph, over the protocol of Udacity's "
        f"simulator: {score.interventions} interventions, {score.autonomy_percent:.1f} % autonomy.",
        f"It was {score.mean_abs_cross_track_m:.2f} m from the middle of the road on average, and "
        f"{score.max_abs_cross_track_m:.2f} m at most; half of its answers took less than "
        f"{result.answer_ms:.0f} ms.",
        "The four commands at the end of this page do the same with a recording of your own.",
    ]
    commands = {
        "Make training data of your recordings": shown_command("preprocess", "RECORDING", "-o", "data.h5"),
        "Train the network": shown_command("model", "data.h5", "-o", "model.h5"),
        "Let it drive the simulator": shown_command("drive", "model.h5", "run1"),
        "Make a clip of the drive": shown_command("video", "run1"),
    }
    figures = [
        ("step", "seconds"),
        *((timed.step.name, f"{timed.seconds:.0f}" if timed.seconds else "earlier") for timed in result.steps),
    ]
    shown = {caption: path for caption, path in pictures.items() if path.is_file()}
    write_report(result.page, Report("A network drives", sentences, folder / "page.mp4", shown, figures, commands))


def show_result(result: DemoResult) -> Sequence[str]:
    """Return the lines of the final table."""
    lines = [f"{'step':<22}{'seconds':>8}  what it made"]
    lines += [f"{timed.step.name:<22}{timed.seconds:>8.1f}  {timed.step.makes}" for timed in result.steps]
    lines.append(f"{'in all, two at once':<22}{max(timed.ended for timed in result.steps):>8.1f}")
    picture, lap, score = result.seconds_to_first_picture, result.seconds_to_trained_lap, result.score
    if picture is not None and lap is not None:
        lines += ["", f"first moving picture after {picture:.0f} s, trained and driven after {lap:.0f} s"]
    end = "The car stayed on the road." if result.on_the_road else f"The car left the road: {score.ended}."
    return [
        *lines,
        "",
        f"autonomy {score.autonomy_percent:.1f} %, {score.interventions} interventions in "
        f"{score.laps:.2f} laps over the simulator's protocol at {score.mean_speed_mph:.1f} mph",
        f"{score.mean_abs_cross_track_m:.2f} m from the centre line on average, "
        f"{score.max_abs_cross_track_m:.2f} m at most; request to steer p50 {result.answer_ms} ms",
        end,
    ]
