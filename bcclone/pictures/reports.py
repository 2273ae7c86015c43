"""Write the reports of a drive, a suite, a replay and a training: a result -> files in a folder.

A folder gets pictures, figures.json and a report; a training has its pictures and result.json
already. Each function returns the paths of its files, the report's last.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.camera.vehicle import FULL_LOCK_DEGREES
from bcclone.evaluation.evaluate import Evaluation
from bcclone.evaluation.replay import CONTROLS, Replayed
from bcclone.evaluation.settings import EvaluateSettings
from bcclone.evaluation.suite import SuiteResult, clean_rows
from bcclone.pictures.encoder import write_begin
from bcclone.pictures.plots.drive_pictures import (
    plot_curves,
    plot_deviation,
    plot_drives,
    plot_frames,
)
from bcclone.pictures.plots.style import words_of
from bcclone.pictures.report_page import REPORT_NAME, KeyFigure, Section, write_report
from bcclone.pictures.road_map import road_map
from bcclone.recording.files import find_log
from bcclone.simulator.track import Track, load_track
from bcclone.simulator.world_settings import Conditions, WorldSettings
from bcclone.system.errors import number_of
from bcclone.system.files import write_text
from bcclone.system.settings import option_words
from bcclone.system.values import json_text, part_of
from bcclone.training.result import FIRST_CHECK, MEAN_STEERING, TrainResult

FIGURES_NAME = "figures.json"
CLIP_NAME = "clip.mp4"  # of a whole drive
BEGIN_NAME = "begin.mp4"  # of its first seconds
_EXCERPT_SECONDS = 15.0  # of a drive's clip, in its report, which has to be small


# ---- a drive


def write_evaluation(
    folder: Path,
    evaluation: Evaluation,
    settings: EvaluateSettings,
    model: Path,
    commands: Mapping[str, str],
    clip: Path | None = None,
) -> list[Path]:
    """Write the files of a drive: map of the driven line, views, figures and a report.

    settings: the settings that the drive had
    commands: what to do next -> the command for it
    clip: a clip of the drive, whose begin the report shows; None for none
    """
    # pictures
    map_path = folder / "map.png"
    views_path = folder / "views.png"
    track = load_track(settings.track, settings.reverse)
    way = settings.track
    if settings.reverse:
        way += " reversed"
    scored = f"{way}, {settings.speed_mph:g} mph: {_score_words(evaluation)}"
    plot_drives("", track, {scored: evaluation}, map_path)
    plot_frames([("", view) for view in evaluation.views], views_path)
    files = [map_path, views_path]
    excerpt = None
    if clip:
        excerpt = folder / BEGIN_NAME
        write_begin(clip, excerpt, _EXCERPT_SECONDS)
        files += [excerpt, clip]

    # what the report says in words
    sentences = [_describe_worst(evaluation, track), *evaluation.sentences()]
    # more laps are no disturbance: they get their default, which option_words() leaves out
    disturbed = replace(part_of(settings, WorldSettings), laps=WorldSettings.laps)
    changed = [*option_words(disturbed), *option_words(part_of(settings, Conditions))]
    if changed:
        sentences.append(f"The simulated world was changed by {' '.join(changed)}")

    driven = [(round(point.x, 1), round(point.z, 1)) for point in evaluation.trace]
    left_at = [(round(place.x, 1), round(place.z, 1)) for place in evaluation.interventions]
    figures = folder / FIGURES_NAME
    values = evaluation.figures() | {"left_road_at": left_at, "driven_line": driven}
    write_text(figures, json_text(values, indent=None))
    report = folder / REPORT_NAME
    write_report(
        report,
        _drive_headline(model.name, way, evaluation),
        sentences,
        [
            Section(
                "Where it drove",
                pictures={
                    "Coloured by the distance from the road's middle": map_path,
                    "What the camera saw on the way, in the order of driving": views_path,
                },
            ),
            Section("What to do now", commands=commands),
            Section("All figures", table=evaluation.table().cells()),
        ],
        drive_figures(evaluation.figures()),
        excerpt,
        road_map(track, driven, left_at),
    )
    return [*files, figures, report]


def drive_figures(figures: Mapping[str, Any]) -> list[KeyFigure]:
    """Return the figures of a drive that a person asks for; figures: those of its Evaluation"""
    left = figures["interventions"]
    return [
        (f"{left}", "time" if left == 1 else "times", "left the road"),
        (f"{figures['mean_abs_cross_track_m']:.2f}", "m", "from the middle, on average"),
        (f"{figures['mean_speed_mph']:.0f}", "mph", "speed"),
    ]


def _score_words(drive: Evaluation) -> str:
    """Return the score of a drive in a few words."""
    return f"left the road {_times(drive.score.interventions)}"


def _drive_headline(model: str, way: str, evaluation: Evaluation) -> str:
    score = evaluation.score
    ended = "" if score.complete else f"; the drive ended before its goal: {score.ended}"
    places = evaluation.interventions
    if not places:
        return f"{model} drives {way} without leaving the road{ended}"
    first = f", first after {places[0].after_m:,.0f} m"
    return f"{model} leaves the road {_times(len(places))} on {way}{first}{ended}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _describe_worst(evaluation: Evaluation, track: Track) -> str:
    """Say where the car was farthest from the centre line."""
    worst = max(evaluation.trace, key=lambda point: abs(point.cross_track_m))
    from_worst = track.line[:, [0, 2]] - (worst.x, worst.z)
    nearest = float(np.argmin((from_worst * from_worst).sum(axis=1)))
    along_m = nearest / track.points_a_metre - track.start_m
    side = "right" if worst.cross_track_m > 0 else "left"
    return (
        f"At worst, it was {abs(worst.cross_track_m):.1f} m to the {side} of the middle of the "
        f"road, which is {track.road.width_m:g} m wide, {along_m:,.0f} m along it"
    )


# ---- a replay

_TRUST = (
    "Of two networks, the one that comes off the path less often also leaves the road less often "
    "when it drives; how often is told only where --limit is the distance at which a wheel would "
    "leave the road (measured: docs/explanation/replay.md, How far to trust it)"
)


def write_replay(
    folder: Path, recording: str, replayed: Replayed, commands: Mapping[str, str]
) -> list[Path]:
    """Write the files of a replay: pictures, the figures and a report.

    The pictures show how far each driver deviates from the path, the last one of them a driver who
    always steers the same. For a recording without speeds, one shows the steering of each driver.

    recording: folder or log of the recording
    commands: what to do next -> the command for it
    """
    name = find_log(recording).parent.name
    reference = replayed.reference
    seconds = np.cumsum(reference.seconds)
    # others to compare with
    drivers = dict(replayed.results)
    for control in ("shipped", "mean"):
        if control in replayed.controls:
            drivers[CONTROLS[control]] = replayed.controls[control]
    pictures = {}
    if replayed.has_scores:
        for number, (driver, driven) in enumerate(drivers.items(), 1):
            rollout = driven.rollouts[replayed.limit_m]
            file = folder / f"deviation-{number}.png"
            plot_deviation(seconds, rollout, replayed.limit_m, reference.unit, file)
            pictures[f"{driver}: {_times(len(rollout.intervention_rows))} off the path"] = file
    else:
        steering = {CONTROLS["human"]: reference.steering}
        steering |= {driver: driven.steering for driver, driven in replayed.results.items()}
        file = folder / "steering.png"
        plot_curves(f"{name}: steering on the recording's own frames", seconds, steering, file)
        pictures["Steering on the recording's own frames"] = file

    figures = folder / FIGURES_NAME
    write_text(figures, json_text(replayed.figures(), indent=2))
    report = folder / REPORT_NAME
    first, *others = replayed.sentences()
    careful = [*replayed.trained_on(), *replayed.careful()]
    if replayed.has_scores:
        first = f"its steering was tried on the recording's own pictures: {first}"
    said = {*careful, *replayed.legend()}  # the headings of the report's table have definitions
    remarks = [sentence for sentence in others if sentence not in said]
    if replayed.has_scores and not reference.in_heights:  # as was measured
        remarks.append(_TRUST)
    write_report(
        report,
        _replay_headline(replayed, name),
        [first, *careful],
        [
            Section("On the way", pictures=pictures),
            Section("What to do now", commands=commands),
            Section("All figures", remarks, table=replayed.table().cells()),
        ],
        _replay_figures(replayed),
    )
    return [*pictures.values(), figures, report]


def _replay_headline(replayed: Replayed, recording: str) -> str:
    """Say how well the model drives, or the best one of several."""
    model = replayed.best
    more = []
    if len(replayed.results) > 1:
        more.append(f"the best of {len(replayed.results)}")
    if replayed.trained_shares.get(model):
        more.append("which was trained on it")
    name = ", ".join([Path(model).name, *more])
    subject = f"{name}," if more else name  # before a verb
    figures = replayed.by_driver[model]
    if not replayed.has_scores:
        r = figures["steering_correlation"]
        how = "or its driver's does not change"
        if r is not None:
            how = f"and its driver's have a correlation of {r:.2f}"
        return f"{name} on {recording}: its steering {how}"
    limit = f"{replayed.limit_m:g} {replayed.reference.unit}"
    if not figures["interventions"]:
        return f"{subject} stays within {limit} of the recorded path on {recording}"
    times = _times(figures["interventions"])
    return f"{subject} comes {limit} off the recorded path {times} on {recording}"


def _replay_figures(replayed: Replayed) -> list[KeyFigure]:
    """Return the figure that matters of each model, and of those to compare them with."""
    paths = list(replayed.results)
    names = [Path(path).name for path in paths]
    if len({*names}) < len(names):  # of several folders
        names = paths
    compared = {name: replayed.by_driver[path] for name, path in zip(names, paths, strict=True)}
    for control in ("shipped", "human", "mean"):
        if control in replayed.controls:
            compared[CONTROLS[control]] = replayed.by_driver[CONTROLS[control]]
    if replayed.has_scores:
        times = {who: figures["interventions"] for who, figures in compared.items()}
        return [
            (f"{count}", f"{'time' if count == 1 else 'times'} off the path", who)
            for who, count in times.items()
        ]
    correlations = {who: figures["steering_correlation"] for who, figures in compared.items()}
    return [
        ("-" if r is None else f"{r:.2f}", "correlation", who)
        for who, r in correlations.items()
        if who != CONTROLS["human"]
    ]


# ---- a suite

_MAX_MAPS = 6  # most maps in the report of a suite


def write_suite(
    folder: Path,
    result: SuiteResult,
    beside: Mapping[str, Mapping[str, Evaluation]],
    commands: Mapping[str, str],
) -> list[Path]:
    """Write the files of a suite: maps/ROW.png with the driven lines, table, figures and a report.

    beside: name of a row -> name of a driver to compare the models with -> its drive
    commands: what to do next -> the command for it
    """
    table = folder / "table.txt"
    write_text(table, "\n".join([str(result.table()), "", *result.sentences(), ""]))
    figures = folder / FIGURES_NAME
    others = {name: clean_rows(beside, name) for name in next(iter(beside.values()))}
    write_text(figures, json_text(result.figures() | {"clean_rows_beside": others}, indent=2))

    # the driven lines of all models in each row
    maps = folder / "maps"
    maps.mkdir(parents=True, exist_ok=True)
    for row in result.scenarios:
        drives = result.drives[row.name]
        titled = {f"{model}: {_score_words(drive)}": drive for model, drive in drives.items()}
        track = load_track(row.settings.track, row.settings.reverse)
        plot_drives("", track, titled, maps / f"{row.name}.png")

    # the report shows the maps of the drives with the most interventions
    hardest = result.hardest(result.models)[:_MAX_MAPS]
    sentences = []
    if of_best := result.hardest([result.best]):
        count = result.drives[of_best[0].name][result.best].score.interventions
        sentences.append(f"hardest: {of_best[0].description}; it left the road {_times(count)}")

    clean = {model: result.clean_rows(model) for model in result.models}
    rows = len(result.scenarios)
    stays = f"stays on the road in {clean[result.best]} of {rows} drives"
    laps = {row.settings.laps for row in result.scenarios}
    if laps != {1.0}:
        stays += f" of {' or '.join(f'{each:g}' for each in sorted(laps))} laps"
    best = result.models[result.best].name
    if len(clean) > 1:
        best += f", the best of {len(clean)},"
        equal = sum(result.is_equal(model, result.best) for model in clean)
        if equal > 1:
            best = f"each of the {equal} best, {result.models[result.best].name} among them,"
    report = folder / REPORT_NAME
    write_report(
        report,
        f"{best} {stays}",
        sentences,
        [
            Section(
                "The hardest drives",
                pictures={row.description: maps / f"{row.name}.png" for row in hardest},
            ),
            Section("What to do now", commands=commands),
            Section("The models", table=result.ranking().cells() if result.is_of_several else ()),
            Section("All figures", result.notes(), table=_suite_cells(result)),
        ],
        [(f"{count}", f"of {rows} drives", who) for who, count in (clean | others).items()],
    )
    return [table, maps, figures, report]


def _suite_cells(result: SuiteResult) -> list[list[str]]:
    """Return the cells of a table with a row for each scenario, the headings first."""
    headings = ["row", "what is driven"]
    for model in result.models:
        whose = f"{model}: " if len(result.models) > 1 else ""
        headings += [
            f"{whose}left the road",
            f"{whose}from the middle, on average",
            f"{whose}at most",
        ]
    cells = [headings]
    for row in result.scenarios:
        figures = [drive.score for drive in result.drives[row.name].values()]
        texts = [
            text
            for score in figures
            for text in (
                f"{score.interventions}",
                f"{score.mean_abs_cross_track_m:.2f} m",
                f"{score.max_abs_cross_track_m:.2f} m",
            )
        ]
        cells.append([row.name, row.description, *texts])
    return cells


# ---- a training

# the pictures that say themselves what they show
_LOOKS = ("saliency-straight", "saliency-bend", "saliency-shadow")
# name of a picture -> its caption in the report, which leaves out the others
_CAPTIONS = {
    "history": "The losses and errors of each epoch",
    "crop": "What the network sees of a frame",
    "steering": "The steering of the training samples",
    "samples": "Samples as they are fed, before and after augmentation",
    "predictions": "The network's steering beside the recorded steering and the labels",
}


def write_training(
    folder: Path,
    result: TrainResult,
    data: Sequence[str],
    pictures: Mapping[str, Path],
    commands: Mapping[str, str],
) -> list[Path]:
    """Write the report of a training.

    data: what the model was trained on, a store or recordings
    pictures: name -> path, for the pictures that were drawn
    commands: what to do next -> the command for it
    """
    samples = result.samples
    batches = f", in batches of {result.batch_size}" if result.batch_size else ""
    times = number_of(result.epochs, "time")
    if result.check:
        commands = {FIRST_CHECK.capitalize(): result.check, **commands}
    looks = [name for name in _LOOKS if name in pictures]
    report = folder / REPORT_NAME
    write_report(
        report,
        result.headline,
        [
            *result.explanation,
            *([result.note] if result.note else []),
            *_training_sentences(result),
            "Whether the car stays on the road, only a drive tells: let it drive next",
        ],
        [
            Section(
                "What it sees",
                ["What is lit decided the network's steering"] if looks else (),
                {words_of(pictures[name]): pictures[name] for name in looks},
            ),
            Section(
                "How it learned",
                [
                    f"It saw {samples.train:,} samples of {' '.join(data)} {times}"
                    f"{batches}, {result.samples_per_second:,.0f} a second; {result.ended} ended it"
                ],
                {what: pictures[name] for name, what in _CAPTIONS.items() if name in pictures},
            ),
            Section("What to do now", commands=commands),
            Section(
                "All figures",
                [f"The model is {result.origin}: {_describe_error(result)}"],
                table=result.table.cells() if result.drivers else (),
            ),
        ],
        _training_figures(result),
    )
    return [report]


def _training_sentences(result: TrainResult) -> Iterator[str]:
    """Compare the network with a driver who always gives the mean steering."""
    mean = result.drivers.get(MEAN_STEERING)
    if result.val_mae is not None and mean is not None:
        yield (
            f"on average, it steers {_degrees(result.val_mae)} degrees off the driver; who always "
            f"steers the same is {_degrees(mean.mae)} degrees off"
        )


def _training_figures(result: TrainResult) -> list[KeyFigure]:
    figures = [(f"{result.seconds:,.0f}", "s", "of training")]
    if mean := result.drivers.get(MEAN_STEERING):
        figures.insert(0, (_degrees(mean.mae), "degrees", "off, if it always steered the same"))
    if result.val_mae is not None:
        figures.insert(0, (_degrees(result.val_mae), "degrees", "off the driver"))
    return figures


def _degrees(steering: float) -> str:
    return f"{steering * FULL_LOCK_DEGREES:.1f}"


def _describe_error(result: TrainResult) -> str:
    if result.val_loss is None or result.val_mae is None:
        return "there were no validation samples"
    more = f" of {result.epochs}"
    if result.best_epoch == result.epochs:
        more = ", the last one: more epochs may help"
    test = ""
    if result.test_loss is not None:
        test = f" and on {result.samples.test:,} test samples {result.test_loss:.4f}"
    degrees = result.val_mae * FULL_LOCK_DEGREES
    return (
        f"on {result.samples.validation:,} validation samples its loss is {result.val_loss:.4f}"
        f"{test}, and its steering is off its labels by {result.val_mae:.3f} on average, "
        f"which is {degrees:.1f} degrees. "
        f"The validation loss was smallest in epoch {result.best_epoch}{more}"
    )
