"""Write the files of a score, of one drive, of a suite or of a replay: pictures, tables, figures, events, report."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bcclone.dataset.images import Image
from bcclone.evaluate.evaluate_settings import EvaluateSettings
from bcclone.evaluate.evaluation import Evaluation
from bcclone.evaluate.prediction_score import FITTED_SMOOTHED, SMOOTHED, PredictionScore
from bcclone.evaluate.replay_result import CONTROLS, Replayed
from bcclone.evaluate.scenarios import Scenario
from bcclone.evaluate.suite_result import SuiteResult, suite_table
from bcclone.evaluate.watched import WatchedFrame, watched_table
from bcclone.pictures.plots.curves import plot_curves
from bcclone.pictures.plots.drives import (
    plot_deviations,
    plot_drives,
    plot_frames,
    plot_scores,
)
from bcclone.pictures.report import REPORT_NAME, Report, write_report
from bcclone.pictures.score_reports import drive_report, prediction_report, replay_report, suite_report
from bcclone.recording.files import find_log
from bcclone.simulator.car import start_on
from bcclone.simulator.render import Renderer
from bcclone.simulator.score import event_lines
from bcclone.simulator.track import load_track
from bcclone.system.atomic import write_text
from bcclone.system.json_values import json_text

_PICTURE_AT_M = 95.0  # where a low sun throws shadows of trees across the lake's road


def write_evaluation(folder: Path, evaluation: Evaluation, settings: EvaluateSettings, model: Path) -> list[Path]:
    """Write the driven line on a map, views along the way, figures, events and a report into a folder.

    Return their paths, the report's last.
    """
    paths = [folder / name for name in ("map.png", "views.png", "figures.json", "events.jsonl")]
    score, track = evaluation.score, load_track(settings.track, settings.reverse)
    title = (
        f"{settings.track}{' reversed' if settings.reverse else ''}, {settings.speed.speed_mph:g} mph: "
        f"autonomy {score.autonomy_percent:.1f} %, {score.interventions} interventions"
    )
    plot_drives("", (track.edge(-1), track.edge(1)), {title: evaluation}, paths[0])
    plot_frames([("", view) for view in evaluation.views], paths[1])
    write_text(paths[2], json_text(evaluation.figures(), indent=2))
    write_text(paths[3], event_lines(evaluation.events))
    paths += _write_watched(folder / "uncertainty.csv", evaluation.watched)
    report = drive_report(model, settings, evaluation, track, (paths[0], paths[1]))
    return [*paths, _write_report(folder, report)]


def write_replay(folder: Path, recording: str, replayed: Replayed) -> list[Path]:
    """Write a picture of each driver's deviation, above that without steering, the figures and a report.

    The picture of a recording without speeds shows the steering. Return their paths, the report's last. recording: its
    folder or its log.
    """
    first, name = replayed.first, find_log(recording).parent.name
    drivers = {**replayed.results, CONTROLS["zero"]: first.controls["zero"]}
    rollouts = {name: one.rollout for name, one in drivers.items() if one.rollout}
    seconds = np.cumsum(first.reference.seconds)
    if rollouts:
        shown, picture = "deviation from the recorded path", folder / "deviation.png"
        shown += f"; a person takes over at {first.limit_m:g} {first.reference.unit}"
        plot_deviations(f"{name}: {shown}", seconds, rollouts, first.limit_m, picture)
    else:
        shown, picture = "steering on the recording's own frames", folder / "steering.png"
        steering = {CONTROLS["human"]: np.array(first.reference.steering)}
        steering |= {driver: one.steering for driver, one in replayed.results.items()}
        plot_curves(f"{name}: {shown}", ("seconds", seconds), steering, picture)
    paths = [picture, folder / "figures.json"]
    write_text(paths[1], json_text(replayed.figures(), indent=2))
    paths += _write_watched(folder / "uncertainty.csv", first.watched)
    return [*paths, _write_report(folder, replay_report(name, replayed, {shown.capitalize(): picture}))]


def write_prediction_score(folder: Path, name: str, score: PredictionScore) -> list[Path]:
    """Write a picture of labels and predictions, the figures and a report; return their paths, the report's last.

    name: of the predictions.
    """
    matched = score.matched
    paths = [folder / "score.png", folder / "figures.json"]
    shown = [score.shown, FITTED_SMOOTHED if score.fit else SMOOTHED]
    steering = {"labels": matched.labels, **{name.replace("_", ", "): score.steering[name] for name in shown}}
    axis = "frames", np.arange(len(matched.labels), dtype=np.float64)
    if matched.seconds is not None:
        axis = "seconds", matched.seconds
    fitted = score.fit.seconds if score.fit else 0.0
    plot_curves(f"{name}: {score.headline}", axis, steering, paths[0], fitted)
    write_text(paths[1], json_text(score.figures(), indent=2))
    return [*paths, _write_report(folder, prediction_report(name, score, paths[0]))]


def write_suite(folder: Path, result: SuiteResult) -> list[Path]:
    """Write all pictures, the tables, the figures and a report into a folder; return their paths, the report's last.

    maps/ROW.png: the driven lines of all models; appearances.png, models.png, table.txt, figures.json, events.jsonl,
    report.html; with a monitor, uncertainty/ROW.csv.
    """
    maps, uncertainty = folder / "maps", folder / "uncertainty"
    maps.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in ("table.txt", "figures.json", "appearances.png", "models.png", "events.jsonl")]
    write_text(paths[0], "\n".join(suite_table(result)) + "\n")
    write_text(paths[1], json_text(result.figures(), indent=2))
    plot_frames(appearances_of(result.scenarios), paths[2])
    scores = {model: _scores(result, model) for model in result.models}
    plot_scores([*result.drives, *result.replays], scores, paths[3])
    lines = [
        event_lines(drive.events, row=name, model=model)
        for name, drives in result.drives.items()
        for model, drive in drives.items()
    ]
    write_text(paths[4], "".join(lines))
    for one in result.scenarios:
        track = load_track(one.settings.track, one.settings.reverse)
        titled = {f"{model}: {_title(drive)}": drive for model, drive in result.drives[one.name].items()}
        title, edges = f"{one.name}: {one.description}", (track.edge(-1), track.edge(1))
        plot_drives(title, edges, titled, maps / f"{one.name}.png")
        for drive in result.drives[one.name].values():
            _write_watched(uncertainty / f"{one.name}.csv", drive.watched)
    drawn = {"The models side by side": paths[3], "A view of each row": paths[2]}
    report = _write_report(folder, suite_report(result, drawn, maps))
    return [*paths, maps, *([uncertainty] if uncertainty.exists() else []), report]


def _write_report(folder: Path, report: Report) -> Path:
    path = folder / REPORT_NAME
    write_report(path, report)
    return path


def appearances_of(scenarios: Sequence[Scenario]) -> list[tuple[str, Image]]:
    """Return a frame of each scenario from the same position, with its name: RGB uint8 (160, 320, 3).

    Scenarios that look the same share a frame.
    """
    names: dict[str, list[str]] = {}
    first: dict[str, Scenario] = {}
    for one in scenarios:
        settings, world = one.settings, one.settings.world
        start = (world.start_offset_m, world.start_turn, world.perturbation_m)
        key = repr((settings.track, settings.reverse, settings.conditions, start))
        first.setdefault(key, one)
        names.setdefault(key, []).append(one.name)
    return [(", ".join(names[key]), _frame(one)) for key, one in first.items()]


def _frame(scenario: Scenario) -> Image:
    """Return the camera's frame at the start of a drive, or after a perturbation."""
    settings, world = scenario.settings, scenario.settings.world
    track = load_track(settings.track, settings.reverse)
    along = track.length_m - _PICTURE_AT_M if settings.reverse else _PICTURE_AT_M
    car = start_on(track, world.start_offset_m + world.perturbation_m, along)
    car.heading += math.radians(world.start_turn)
    conditions = settings.conditions
    return Renderer(settings.track, conditions).frame(car, seconds=conditions.night_cycle / 2)  # at its darkest


def _scores(result: SuiteResult, model: str) -> list[tuple[float, float, float]]:
    """Return autonomy, mean and greatest distance of each drive, and of each replay, NaN for one without speeds."""
    drives = [drives[model].score for drives in result.drives.values()]
    replays = [replays[model] for replays in result.replays.values()]
    away = [(its.autonomy_percent, its.rms_cross_track_m) for its in replays]
    return [
        *((its.autonomy_percent, its.mean_abs_cross_track_m, its.max_abs_cross_track_m) for its in drives),
        *((math.nan,) * 3 if percent is None or rms is None else (percent, rms, rms) for percent, rms in away),
    ]


def _title(drive: Evaluation) -> str:
    return f"{drive.score.autonomy_percent:.1f} %, {drive.score.interventions} interventions"


def _write_watched(path: Path, watched: Sequence[WatchedFrame]) -> list[Path]:
    """Write what a watch said of each frame; return the path, nothing without a watch."""
    if not watched:
        return []
    path.parent.mkdir(exist_ok=True)
    write_text(path, watched_table(watched).csv())
    return [path]
