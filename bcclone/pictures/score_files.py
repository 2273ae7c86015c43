"""Write the files of one drive, of a suite or of a replay: pictures, tables, figures, events,
report.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.camera.images import Image
from bcclone.evaluation.evaluate import Evaluation
from bcclone.evaluation.evaluate_settings import EvaluateSettings
from bcclone.evaluation.replay_result import CONTROLS, Replayed
from bcclone.evaluation.scenarios import Scenario
from bcclone.evaluation.suite import SuiteResult
from bcclone.pictures.plots.drive_pictures import (
    plot_curves,
    plot_deviations,
    plot_drives,
    plot_frames,
    plot_scores,
)
from bcclone.pictures.report import REPORT_NAME, Report, next_commands, write_report
from bcclone.recording.files import find_log
from bcclone.simulator.car import start_on
from bcclone.simulator.render import Renderer
from bcclone.simulator.score import event_lines
from bcclone.simulator.track import Track, load_track
from bcclone.simulator.world_settings import WorldSettings
from bcclone.system.atomic import write_text
from bcclone.system.errors import shown_command
from bcclone.system.json_values import json_text
from bcclone.system.settings import option_words

_PICTURE_AT_M = 95.0  # where a low sun throws shadows of trees across the lake's road
_MAX_MAPS = 6  # in the report of a suite


def _write(
    folder: Path, pictures: Sequence[Path], figures: dict[str, Any], report: Report
) -> list[Path]:
    """Write the figures and the report; its sentences get a capital and a full stop.

    Return the paths, also of the pictures that are there, the report's last.
    """
    figures_path = folder / "figures.json"
    write_text(figures_path, json_text(figures, indent=2))
    sentences = [
        f"{text[0].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"
        for text in report.sentences
    ]
    write_report(folder / REPORT_NAME, replace(report, sentences=sentences))
    return [*pictures, figures_path, folder / REPORT_NAME]


def write_evaluation(
    folder: Path, evaluation: Evaluation, settings: EvaluateSettings, model: Path
) -> list[Path]:
    """Write the driven line on a map, views along the way, figures, events and a report into a
    folder.

    Return their paths, the report's last.
    """
    map_path, views, events = (folder / name for name in ("map.png", "views.png", "events.jsonl"))
    track, way = (
        load_track(settings.track, settings.reverse),
        f"{settings.track}{' reversed' * settings.reverse}",
    )
    scored = f"autonomy {_title(evaluation)}"
    plot_drives(
        "", track, {f"{way}, {settings.speed.speed_mph:g} mph: {scored}": evaluation}, map_path
    )
    plot_frames([("", view) for view in evaluation.views], views)
    write_text(events, event_lines(evaluation.events))
    sentences = [_describe_takeovers(evaluation), _describe_worst(evaluation, track)]
    disturbed = replace(settings.world, laps=WorldSettings.laps)
    if changed := [*option_words(disturbed), *option_words(settings.conditions)]:
        sentences.append(f"The simulated world was changed by {' '.join(changed)}")
    pictures = {
        "The driven line, coloured by its distance from the centre line": map_path,
        "What the camera saw on the way": views,
    }
    then = "drive play suite" if settings.run_folder else "drive play suite replay"
    commands = next_commands(model, then, settings.preprocess)
    if settings.run_folder:
        commands["Make a clip of this drive"] = shown_command(
            "video", settings.run_folder, "--overlay"
        )
    cells = evaluation.table(settings).cells()
    report = Report(f"{model.name} on {way}: {scored}", sentences, None, pictures, cells, commands)
    return _write(folder, [map_path, views, events], evaluation.figures(), report)


def _title(drive: Evaluation) -> str:
    return f"{drive.score.autonomy_percent:.1f} %, {drive.score.interventions} interventions"


def _describe_takeovers(evaluation: Evaluation) -> str:
    score, places = evaluation.score, evaluation.interventions
    ended = "" if score.complete else f". The drive ended before its goal: {score.ended}"
    if not places:
        return f"It needed no intervention{ended}"
    times = "once" if len(places) == 1 else f"{len(places)} times"
    return f"A person would have had to take over {times}, first after {places[0].after_m:,.0f} m{ended}"


def _describe_worst(evaluation: Evaluation, track: Track) -> str:
    point = max(evaluation.trace, key=lambda point: abs(point.cross_track_m))
    away = track.line[:, [0, 2]] - (point.x, point.z)
    along_m = float(np.argmin((away * away).sum(axis=1))) / track.points_a_metre - track.start_m
    side = "right" if point.cross_track_m > 0 else "left"
    return (
        f"It was farthest from the centre line of the road, which is {track.road.width_m:g} m wide, to the {side}, "
        f"{along_m:,.0f} m along it, at ({point.x:.0f}, {point.z:.0f}) on the map"
    )


def write_replay(
    folder: Path, recording: str, replayed: Replayed, preprocess: str | None = None
) -> list[Path]:
    """Write a picture of each driver's deviation, above that without steering, the figures and a
    report.

    The picture of a recording without speeds shows the steering. Return their paths, the report's
    last. recording: its folder or its log; preprocess: of the models, for the commands in the
    report.
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
        plot_curves(f"{name}: {shown}", seconds, steering, picture)
    ranks = {
        driver: rank for driver, its in replayed.results.items() if (rank := its.figures().rank)
    }
    best = min(ranks, key=lambda driver: ranks[driver], default="")
    commands = (
        next_commands(best, "evaluate drive", preprocess) if best and not replayed.client else {}
    )
    sentences = [*replayed.explanations(), *replayed.notices]
    title, cells = (
        f"{' and '.join(replayed.results)} on the recording {name}",
        replayed.table().cells(),
    )
    report = Report(title, sentences, None, {shown.capitalize(): picture}, cells, commands)
    return _write(folder, [picture], replayed.figures(), report)


def write_suite(folder: Path, result: SuiteResult, preprocess: str | None = None) -> list[Path]:
    """Write all pictures, the tables, the figures and a report into a folder; return their paths,
    the report's last.

    maps/ROW.png: the driven lines of all models; appearances.png, models.png, table.txt,
    figures.json, events.jsonl, report.html. preprocess: of the models, for the commands in the
    report.
    """
    maps = folder / "maps"
    maps.mkdir(parents=True, exist_ok=True)
    table, looks, scores, events = (
        folder / name for name in ("table.txt", "appearances.png", "models.png", "events.jsonl")
    )
    write_text(table, result.as_text() + "\n")
    plot_frames(appearances_of(result.scenarios), looks)
    plot_scores(
        [*result.drives, *result.replays],
        {model: _scores(result, model) for model in result.models},
        scores,
    )
    lines = [
        event_lines(drive.events, row=name, model=model)
        for name, drives in result.drives.items()
        for model, drive in drives.items()
    ]
    write_text(events, "".join(lines))
    off: dict[str, int] = {}
    described = {one.name: f"{one.name}: {one.description}" for one in result.scenarios}
    for one in result.scenarios:
        drives = result.drives[one.name]
        titled = {f"{model}: {_title(drive)}": drive for model, drive in drives.items()}
        track = load_track(one.settings.track, one.settings.reverse)
        plot_drives(described[one.name], track, titled, maps / f"{one.name}.png")
        off[one.name] = sum(drive.score.interventions for drive in drives.values())
    worst = sorted((name for name, count in off.items() if count), key=lambda name: -off[name])
    pictures = {"The models side by side": scores, "A view of each row": looks}
    pictures |= {
        f"Driven lines, {described[name]}": maps / f"{name}.png" for name in worst[:_MAX_MAPS]
    }
    hardest = [
        f"the hardest row was {described[name]}, with {off[name]} interventions"
        for name in worst[:1]
    ]
    best = min(
        result.models, key=lambda name: (-result.clean_rows(name), result.interventions(name))
    )
    title, cells = f"{', '.join(result.models)} in the suite", result.table().cells()
    commands = next_commands(result.models[best], "evaluate drive", preprocess)
    report = Report(title, [*hardest, *result.explanations()], None, pictures, cells, commands)
    return _write(folder, [table, looks, scores, events, maps], result.figures(), report)


def appearances_of(scenarios: Iterable[Scenario]) -> list[tuple[str, Image]]:
    """Return a frame of each scenario from the same position, with its name: RGB uint8 (160, 320,
    3).

    Scenarios that look the same share a frame: at the start of the drive, or after a perturbation.
    """
    alike: dict[str, list[Scenario]] = {}
    for one in scenarios:
        settings, world = one.settings, one.settings.world
        start = (world.start_offset_m, world.start_turn, world.perturbation_m)
        alike.setdefault(
            repr((settings.track, settings.reverse, settings.conditions, start)), []
        ).append(one)
    frames = []
    for group in alike.values():
        settings, world, conditions = (
            group[0].settings,
            group[0].settings.world,
            group[0].settings.conditions,
        )
        track = load_track(settings.track, settings.reverse)
        along = track.length_m - _PICTURE_AT_M if settings.reverse else _PICTURE_AT_M
        car = start_on(track, world.start_offset_m + world.perturbation_m, along)
        car.heading += math.radians(world.start_turn)
        renderer = Renderer(settings.track, conditions)
        frame = renderer.frame(car, seconds=conditions.night_cycle / 2)  # at its darkest
        frames.append((", ".join(one.name for one in group), frame))
    return frames


def _scores(result: SuiteResult, model: str) -> list[tuple[float | None, ...]]:
    """Return autonomy, mean and greatest distance of each drive, and of each replay, None for one
    without speeds.
    """
    drives = (drives[model].score for drives in result.drives.values())
    replays = (replays[model] for replays in result.replays.values())
    return [
        *(
            (its.autonomy_percent, its.mean_abs_cross_track_m, its.max_abs_cross_track_m)
            for its in drives
        ),
        *((its.autonomy_percent, its.rms_cross_track_m, its.rms_cross_track_m) for its in replays),
    ]
