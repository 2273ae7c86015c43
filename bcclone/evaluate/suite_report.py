"""Show the result of a suite: tables in text, pictures, and the figures as JSON."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from bcclone.dataset.images import Image
from bcclone.evaluate.scenarios import Ranked, RecordingReplay, Scenario, ScenarioDrive, SuiteResult, best_of
from bcclone.lab.monitor.points import doubts_csv
from bcclone.pictures.plots.drives import DriveScore, plot_appearances, plot_drives, plot_scores
from bcclone.simulator.car import start_on
from bcclone.simulator.render import Renderer
from bcclone.simulator.score import FAILURE_LIMITS_M, event_lines
from bcclone.simulator.track import load_track
from bcclone.system.atomic import write_text

_CELL = 25
_BEST = "*"
_DEPARTURES = f"departures beyond {', '.join(f'{limit:g}' for limit in FAILURE_LIMITS_M)} m, off the road"
_TOTALS = "rows without an intervention, all interventions"
_PICTURE_AT_M = 95.0  # where a low sun throws shadows of trees across the lake's road

_Result = TypeVar("_Result", bound=Ranked)


def suite_table(result: SuiteResult) -> list[str]:
    """Return the lines of the tables; with several models, the best of each row are marked."""
    lines = [["", "", *result.models], ["", "", *["autonomy  off  mean   most"] * len(result.models)]]
    lines += [[one.name, one.description, *_cells(result.drives[one.name], _drive_cell)] for one in result.scenarios]
    lines += [["", _TOTALS, *(_totals(result, model) for model in result.models)]]
    lines += [["", _DEPARTURES, *(_departures(result, model) for model in result.models)]]
    if result.recordings:
        lines += [[""], ["", "", *["autonomy  off   rms"] * len(result.models)]]
        for one in result.recordings:
            replays = result.replays[one.name]
            lines += [[one.name, _describe_recording(replays), *_cells(replays, _replay_cell)]]
    widths = [max(len(line[column]) for line in lines if column < len(line)) for column in range(len(lines[0]))]
    widths[2:] = [max(width, _CELL) for width in widths[2:]]
    padded = ["  ".join(f"{text:<{width}}" for text, width in zip(line, widths, strict=False)) for line in lines]
    return [line.rstrip() for line in padded] + ["", *_legend(result)]


def write_suite(folder: Path, result: SuiteResult) -> list[Path]:
    """Write all pictures, the tables and the figures into a folder; return their paths.

    maps/ROW.png: the driven lines of all models; appearances.png, models.png, table.txt, figures.json, events.jsonl;
    with a monitor, doubts/ROW.csv.
    """
    maps = folder / "maps"
    maps.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in ("table.txt", "figures.json", "appearances.png", "models.png", "events.jsonl")]
    write_text(paths[0], "\n".join(suite_table(result)) + "\n")
    write_text(paths[1], json.dumps(result.as_json(), indent=2) + "\n")
    plot_appearances(appearances_of(result.scenarios), paths[2])
    scores = {model: _scores(result, model) for model in result.models}
    plot_scores([*result.drives, *result.replays], scores, paths[3])
    lines = [
        event_lines(drive.events, row=one.name, model=model)
        for one in result.scenarios
        for model, drive in result.drives[one.name].items()
    ]
    write_text(paths[4], "".join(lines))
    for one in result.scenarios:
        track = load_track(one.settings.track, one.settings.reverse)
        titled = {f"{model}: {_title(drive)}": drive for model, drive in result.drives[one.name].items()}
        title, edges = f"{one.name}: {one.description}", (track.edge(-1), track.edge(1))
        plot_drives(title, edges, titled, maps / f"{one.name}.png")
    return [*paths, maps, *_write_doubts(folder / "doubts", result)]


def _write_doubts(folder: Path, result: SuiteResult) -> list[Path]:
    """Write what a monitor said of each frame, a table for each row; return the folder, if there was a monitor."""
    watched = [(name, drive) for name, drives in result.drives.items() for drive in drives.values() if drive.doubts]
    for name, drive in watched:
        folder.mkdir(exist_ok=True)
        write_text(folder / f"{name}.csv", doubts_csv(drive.doubts))
    return [folder] if watched else []


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


def _scores(result: SuiteResult, model: str) -> list[DriveScore]:
    scores = [result.drives[one.name][model].score for one in result.scenarios]
    replays = [result.replays[one.name][model].figures.score for one in result.recordings]
    return [
        *(DriveScore(its.autonomy_percent, its.mean_abs_cross_track_m, its.max_abs_cross_track_m) for its in scores),
        *(DriveScore(its.autonomy_percent, its.rms_cross_track_m, its.rms_cross_track_m) for its in replays),
    ]


def _title(drive: ScenarioDrive) -> str:
    return f"{drive.score.autonomy_percent:.1f} %, {drive.score.interventions} interventions"


def _cells(results: Mapping[str, _Result], text: Callable[[_Result], str]) -> list[str]:
    best = best_of(results) if len(results) > 1 else ()
    return [text(result) + (_BEST if model in best else "") for model, result in results.items()]


def _drive_cell(drive: ScenarioDrive) -> str:
    score = drive.score
    distances = f"{score.mean_abs_cross_track_m:6.2f}{score.max_abs_cross_track_m:7.2f}"
    return f"{score.autonomy_percent:6.1f} %{score.interventions:5d}{distances}"


def _replay_cell(replay: RecordingReplay) -> str:
    score = replay.figures.score
    return f"{score.autonomy_percent:6.1f} %{score.interventions:5d}{score.rms_cross_track_m:6.2f}"


def _describe_recording(replays: Mapping[str, RecordingReplay]) -> str:
    figures = next(iter(replays.values())).figures
    unsteered = figures.controls["zero"].score.autonomy_percent
    return f"a recording, {figures.distance_m / 1000:.1f} km; without steering {unsteered:.1f} %"


def _totals(result: SuiteResult, model: str) -> str:
    return f"{result.clean_rows(model)} of {len(result.scenarios)} rows, {result.interventions(model)}"


def _departures(result: SuiteResult, model: str) -> str:
    scores = [drives[model].score for drives in result.drives.values()]
    beyond = [sum(score.departures.get(f"{limit:g}", 0) for score in scores) for limit in FAILURE_LIMITS_M]
    return ", ".join(map(str, [*beyond, sum(score.interventions for score in scores)]))


def _legend(result: SuiteResult) -> list[str]:
    lines = [
        "off: interventions (wheels off the asphalt, or an incomplete drive); "
        "mean, most: distance from the centre line, m"
    ]
    if result.recordings:
        lines += ["recordings: off: interventions at the largest deviation; rms: deviation from the recorded drive, m"]
    if len(result.models) > 1:
        lines += [f"{_BEST} best of its row: complete, then more autonomy, then nearer to the line"]
    return lines
