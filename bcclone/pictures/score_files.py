"""Write the files of a drive, a suite or a replay: its result -> files in a folder.

The folder gets pictures, figures.json and a report. Each function returns the paths of its files,
the report's last.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.evaluation.evaluate import Evaluation
from bcclone.evaluation.evaluate_settings import EvaluateSettings
from bcclone.evaluation.replay import CONTROLS, Replayed
from bcclone.evaluation.scenarios import Scenario
from bcclone.evaluation.suite import SuiteResult
from bcclone.pictures.clip import write_begin
from bcclone.pictures.plots.drive_pictures import (
    plot_curves,
    plot_deviations,
    plot_drives,
    plot_frames,
)
from bcclone.pictures.report import REPORT_NAME, next_commands, write_report
from bcclone.recording.files import find_log
from bcclone.simulator.track import Track, load_track
from bcclone.simulator.world_settings import Conditions, WorldSettings
from bcclone.system.errors import shown_command
from bcclone.system.files import write_text
from bcclone.system.settings import option_words
from bcclone.system.values import json_text, part_of


def _write(
    folder: Path,
    files: Sequence[Path],
    values: dict[str, Any],
    title: str,
    sentences: Iterable[str],
    **shown: Any,
) -> list[Path]:
    """Write the figures and the report, whose sentences get a capital and a full stop.

    Return the paths of all files, the report's last.

    files: files that were written before
    values: those of figures.json
    shown: what write_report() takes besides
    """
    figures_path = folder / "figures.json"
    report = folder / REPORT_NAME
    write_text(figures_path, json_text(values, indent=2))
    whole = [f"{text[0].upper()}{text[1:].removesuffix('.')}." for text in sentences]
    write_report(report, title, whole, **shown)
    return [*files, figures_path, report]


_EXCERPT_SECONDS = 15.0  # of a drive's clip, in its report, which has to be small


def write_evaluation(
    folder: Path,
    evaluation: Evaluation,
    settings: EvaluateSettings,
    model: Path,
    clip: Path | None = None,
) -> list[Path]:
    """Write the files of a drive: map of the driven line, views, figures and a report.

    Return the paths of the files; the report is the last.

    settings: the settings that the drive had
    clip: a clip of the drive, whose begin the report shows; None for none
    """
    # pictures
    map_path = folder / "map.png"
    views_path = folder / "views.png"
    track = load_track(settings.track, settings.reverse)
    way = settings.track
    if settings.reverse:
        way += " reversed"
    scored = f"autonomy {_score_words(evaluation)}"
    map_title = f"{way}, {settings.speed_mph:g} mph: {scored}"
    plot_drives("", track, {map_title: evaluation}, map_path)
    plot_frames([("", view) for view in evaluation.views], views_path)
    files = [map_path, views_path]
    excerpt = None
    if clip:
        excerpt = folder / "clip.mp4"
        write_begin(clip, excerpt, _EXCERPT_SECONDS)
        files.append(excerpt)

    # what the report says in words
    sentences = [_describe_takeovers(evaluation), _describe_worst(evaluation, track)]
    # more laps are no disturbance: at its default, option_words() leaves the option out
    disturbed = replace(part_of(settings, WorldSettings), laps=WorldSettings.laps)
    changed = [*option_words(disturbed), *option_words(part_of(settings, Conditions))]
    if changed:
        sentences.append(f"The simulated world was changed by {' '.join(changed)}")

    # what to do next: only a drive that was recorded into a run folder can become a clip
    if settings.run_folder:
        commands = next_commands(model, "drive play suite", settings.preprocess)
        line = shown_command("video", settings.run_folder, "--overlay")
        commands["Make a clip of this drive"] = line
    else:
        commands = next_commands(model, "drive play suite replay", settings.preprocess)

    pictures = {
        "The driven line, coloured by its distance from the centre line": map_path,
        "What the camera saw on the way": views_path,
    }
    return _write(
        folder,
        files,
        evaluation.figures(),
        f"{model.name} on {way}: {scored}",
        sentences,
        clip=excerpt,
        pictures=pictures,
        figures=evaluation.table(settings).cells(),
        commands=commands,
    )


def _score_words(drive: Evaluation) -> str:
    """Return the score of a drive in a few words."""
    return f"{drive.score.autonomy_percent:.1f} %, {drive.score.interventions} interventions"


def _describe_takeovers(evaluation: Evaluation) -> str:
    score = evaluation.score
    ended = "" if score.complete else f". The drive ended before its goal: {score.ended}"
    places = evaluation.interventions
    if not places:
        return f"It needed no intervention{ended}"
    times = "once" if len(places) == 1 else f"{len(places)} times"
    return (
        f"A person would have had to take over {times}, "
        f"first after {places[0].after_m:,.0f} m{ended}"
    )


def _describe_worst(evaluation: Evaluation, track: Track) -> str:
    """Say where the car was farthest from the centre line."""
    worst = max(evaluation.trace, key=lambda point: abs(point.cross_track_m))
    from_worst = track.line[:, [0, 2]] - (worst.x, worst.z)
    nearest = float(np.argmin((from_worst * from_worst).sum(axis=1)))
    along_m = nearest / track.points_a_metre - track.start_m
    side = "right" if worst.cross_track_m > 0 else "left"
    return (
        f"It was farthest from the centre line {along_m:,.0f} m along the road: "
        f"{abs(worst.cross_track_m):.1f} m to the {side}, at ({worst.x:.0f}, {worst.z:.0f}) on the "
        f"map; the road is {track.road.width_m:g} m wide"
    )


def write_replay(
    folder: Path, recording: str, replayed: Replayed, preprocess: str | None = None
) -> list[Path]:
    """Write the files of a replay: a picture, the figures and a report.

    Return the paths of the files; the report is the last. The picture shows how far each driver
    deviates from the path, and below them a car without steering. For a recording without speeds,
    it shows the steering of each driver.

    recording: folder or log of the recording
    preprocess: the models' --preprocess, for the commands in the report
    """
    name = find_log(recording).parent.name
    caption, picture = _draw_replay(folder, name, replayed)

    commands: dict[str, str] = {}
    if replayed.best:
        commands = next_commands(replayed.best, "evaluate drive", preprocess)

    return _write(
        folder,
        [picture],
        replayed.figures(),
        f"{' and '.join(replayed.results)} on the recording {name}",
        [*replayed.explanations(), *replayed.notices],
        pictures={caption.capitalize(): picture},
        figures=replayed.table().cells(),
        commands=commands,
    )


def _draw_replay(folder: Path, name: str, replayed: Replayed) -> tuple[str, Path]:
    """Draw the picture of a replay; return its caption and its path.

    name: the recording's name, for the title
    """
    reference = replayed.reference
    limit_m = replayed.limit_m
    seconds = np.cumsum(reference.seconds)
    # a car without steering, to compare with
    drivers = {**replayed.results, CONTROLS["zero"]: replayed.controls["zero"]}
    rollouts = {driver: result.rollout for driver, result in drivers.items() if result.rollout}
    if rollouts:
        picture = folder / "deviation.png"
        caption = (
            f"deviation from the recorded path; a person takes over at {limit_m:g} {reference.unit}"
        )
        plot_deviations(f"{name}: {caption}", seconds, rollouts, limit_m, picture)
        return caption, picture

    picture = folder / "steering.png"
    caption = "steering on the recording's own frames"
    steering = {CONTROLS["human"]: np.array(reference.steering)}
    steering |= {driver: result.steering for driver, result in replayed.results.items()}
    plot_curves(f"{name}: {caption}", seconds, steering, picture)
    return caption, picture


_MAX_MAPS = 6  # most maps in the report of a suite


def write_suite(folder: Path, result: SuiteResult, preprocess: str | None = None) -> list[Path]:
    """Write the files of a suite into a folder; return their paths, the report's last.

    The files: maps/ROW.png with the driven lines of all models, table.txt, figures.json and
    report.html.

    preprocess: the models' --preprocess, for the commands in the report
    """
    # the files beside the report
    maps = folder / "maps"
    maps.mkdir(parents=True, exist_ok=True)
    table_path = folder / "table.txt"
    write_text(table_path, result.as_text() + "\n")
    _draw_maps(maps, result)

    # the report shows the maps of the rows with the most interventions
    described = {scenario.name: _describe(scenario) for scenario in result.scenarios}
    interventions = {
        row: sum(drive.score.interventions for drive in drives.values())
        for row, drives in result.drives.items()
    }
    imperfect = [scenario.name for scenario in result.scenarios if interventions[scenario.name]]
    worst = sorted(imperfect, key=lambda row: -interventions[row])
    pictures = {f"Driven lines, {described[row]}": maps / f"{row}.png" for row in worst[:_MAX_MAPS]}
    sentences = []
    if worst:
        hardest = worst[0]
        sentences.append(
            f"the hardest row was {described[hardest]}, with {interventions[hardest]} interventions"
        )
    sentences += result.explanations()

    # the commands to run next are for the best model
    best = min(
        result.models, key=lambda model: (-result.clean_rows(model), result.interventions(model))
    )
    commands = next_commands(result.models[best], "evaluate drive", preprocess)
    return _write(
        folder,
        [table_path, maps],
        result.figures(),
        f"{', '.join(result.models)} in the suite",
        sentences,
        pictures=pictures,
        figures=result.table().cells(),
        commands=commands,
    )


def _describe(scenario: Scenario) -> str:
    """Return the caption of a scenario's pictures."""
    return f"{scenario.name}: {scenario.description}"


def _draw_maps(folder: Path, result: SuiteResult) -> None:
    """Draw the driven lines of all models in each row of a suite, a picture for each row."""
    for scenario in result.scenarios:
        drives = result.drives[scenario.name]
        titled = {f"{model}: {_score_words(drive)}": drive for model, drive in drives.items()}
        track = load_track(scenario.settings.track, scenario.settings.reverse)
        plot_drives(_describe(scenario), track, titled, folder / f"{scenario.name}.png")
