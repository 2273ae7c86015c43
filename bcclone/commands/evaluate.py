"""Score a model by driving it around a simulated track: autonomy, interventions, distance from the centre line.

The autonomy is (1 - interventions x 6 s / elapsed seconds) x 100. An intervention happens when a wheel leaves the
asphalt; the car is then set back on the centre line. The model drives through a drive server of its own, over the
simulator's protocol; with --in-process it drives without one. The exit code is 0 whatever the score is.

`bcclone suite` drives many scenarios with several models.
"""

from dataclasses import dataclass
from pathlib import Path

from bcclone.commands.options import Browser, Command, Given, Output, Result, find_watch
from bcclone.drive.controller import SpeedSettings
from bcclone.evaluate.evaluate_settings import EvaluateSettings, check_simulated_speed
from bcclone.lab.monitor.monitor_settings import WatchSettings
from bcclone.system.settings import argument


@dataclass(frozen=True)
class Model:
    """The model to score."""

    model: Path = argument("a model file")


COMMAND = Command(
    "score a model by a simulated drive",
    (Model, EvaluateSettings, WatchSettings, Output, Browser),
    without=("real_time",),
)


def run(given: Given) -> Result:
    """Drive and score."""
    if speed := given.of(SpeedSettings).get("speed_mph"):  # before SpeedSettings, which allows those of other cars
        check_simulated_speed(speed)
    model, settings, output = given.make(Model).model, given.make(EvaluateSettings), given.make(Output).output
    watch = find_watch(given)
    from bcclone.evaluate.evaluation import evaluate

    result = evaluate(model, settings, watch)
    figures, text = result.figures(), result.as_text(settings)
    if output is None:
        return Result(figures, text)
    from bcclone.pictures.score_files import write_evaluation

    wrote = write_evaluation(output, result, settings, model)
    return Result(figures, text, wrote, report=wrote[-1])


def interrupted(given: Given) -> str:
    """Return what is left after Ctrl-C."""
    run_folder = given.of(EvaluateSettings).get("run_folder")
    if run_folder and run_folder.exists():
        return f"{run_folder} keeps what was recorded; there is no score"
    return "nothing was written"
