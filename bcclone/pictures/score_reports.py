"""A score, of one drive, of a suite or of a replay -> a report: what was driven, how well, and what to run next."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from bcclone.evaluate.evaluate_settings import EvaluateSettings
from bcclone.evaluate.evaluation import Evaluation
from bcclone.evaluate.prediction_score import PredictionScore
from bcclone.evaluate.replay_result import Replayed, ReplayFigures
from bcclone.evaluate.suite_result import SuiteResult
from bcclone.evaluate.watched import WatchFigures
from bcclone.pictures.report import Report, shown_command
from bcclone.simulator.score import Score
from bcclone.simulator.track import Track
from bcclone.simulator.world_settings import WorldSettings
from bcclone.system.settings import option_words

_MOST_MAPS = 6
_MAP = "The driven line, coloured by its distance from the centre line"
_VIEWS = "What the camera saw on the way"


def drive_report(
    model: Path, settings: EvaluateSettings, evaluation: Evaluation, track: Track, drawn: tuple[Path, Path]
) -> Report:
    """Return the report of one drive. drawn: the paths of its map and of its views."""
    score, latency = evaluation.score, evaluation.latency
    way = f"the {settings.track} track{' in reverse' if settings.reverse else ''}"
    sentences = [
        f"{model} drove {score.distance_m:,.0f} m of {way} in {score.seconds:.0f} s, {score.laps:.2f} laps at "
        f"{score.mean_speed_mph:.1f} mph on average.",
        _describe_takeovers(evaluation),
        f"It was {score.mean_abs_cross_track_m:.2f} m from the centre line on average and "
        f"{score.max_abs_cross_track_m:.2f} m at most, on a road {track.road.width_m:g} m wide; "
        f"{_worst(evaluation, track)}.",
    ]
    disturbed = replace(settings.world, laps=WorldSettings.laps)
    if changed := [*option_words(disturbed), *option_words(settings.conditions)]:
        sentences.append(f"The simulated world was changed by {' '.join(changed)}.")
    figures = [
        ("figure", "value"),
        ("autonomy", f"{score.autonomy_percent:.1f} %"),
        ("interventions", str(score.interventions)),
        ("distance from the centre line, mean", f"{score.mean_abs_cross_track_m:.2f} m"),
        ("distance from the centre line, most", f"{score.max_abs_cross_track_m:.2f} m"),
        ("departures", score.describe_departures()),
        ("speed", f"{score.mean_speed_mph:.1f} mph (to hold: {settings.speed.speed_mph:g})"),
        ("driven", f"{score.distance_m:,.0f} m, {score.laps:.2f} laps, {score.seconds:.0f} s"),
        ("change of the steering", f"{score.steering_smoothness:.2f} per second"),
    ]
    if latency:
        sentences.append(f"It answered a frame in {latency.p50:.1f} ms, and 99 of 100 within {latency.p99:.1f} ms.")
        figures.append(("request to steer", f"p50 {latency.p50:.1f} ms, p99 {latency.p99:.1f} ms"))
    if evaluation.watched:
        figures.append(("monitor", WatchFigures.of(evaluation.watched).describe()))
    pictures = dict(zip((_MAP, _VIEWS), drawn, strict=True))
    title = f"{model.name} on {way}: autonomy {score.autonomy_percent:.1f} %"
    return Report(title, sentences, None, pictures, figures, _after_drive(model, settings))


def _describe_takeovers(evaluation: Evaluation) -> str:
    score, places = evaluation.score, evaluation.interventions
    ended = "" if score.complete else f" The drive ended before its goal: {score.ended}."
    if not places:
        return f"It needed no intervention: its autonomy is {score.autonomy_percent:.1f} %.{ended}"
    times = "once" if len(places) == 1 else f"{len(places)} times"
    return (
        f"A person would have had to take over {times}, first after {places[0].after_m:,.0f} m: its autonomy is "
        f"{score.autonomy_percent:.1f} %.{ended}"
    )


def _worst(evaluation: Evaluation, track: Track) -> str:
    """Return where the car was farthest from the centre line."""
    point = max(evaluation.trace, key=lambda point: abs(point.cross_track_m))
    away = track.line[:, [0, 2]] - (point.x, point.z)
    along_m = float(np.argmin((away * away).sum(axis=1))) / track.points_a_metre - track.start_m
    side = "right" if point.cross_track_m > 0 else "left"
    return f"farthest to the {side}, {along_m:,.0f} m along the road, at ({point.x:.0f}, {point.z:.0f}) on the map"


def _after_drive(model: Path, settings: EvaluateSettings) -> Mapping[str, str]:
    seen = ("--preprocess", settings.preprocess) if settings.preprocess else ()
    commands = {
        "Let it drive the Udacity simulator": shown_command("drive", model, "run1", *seen),
        "Drive with it in the browser, and take over": shown_command("play", "--model", model, *seen),
        "Score it in 20 other conditions": shown_command("suite", model, "-o", "suite", *seen),
    }
    if settings.run_folder:
        return commands | {"Make a clip of this drive": shown_command("video", settings.run_folder, "--overlay")}
    return commands | {"Score it on a recording of yours": shown_command("replay", model, "RECORDING", *seen)}


def replay_report(name: str, replayed: Replayed, drawn: Mapping[str, Path]) -> Report:
    """Return the report of a replay. name: of the recording; drawn: caption -> the path of a picture."""
    results = {driver: its.figures() for driver, its in replayed.results.items()}
    first, ranks = next(iter(results.values())), {driver: its.rank for driver, its in results.items() if its.rank}
    how, best = "drove through" if ranks else "steered on", " and ".join(results)
    sentences = [f"{best} {how} the recording {name}."]
    commands: Mapping[str, str] = {}
    if ranks:  # none for a recording without speeds
        best = min(ranks, key=lambda driver: ranks[driver])
        scored, zero = results[best], first.controls["zero"]
        sentences += [
            f"{'The best, ' if len(results) > 1 else ''}{best} has an autonomy of {scored.autonomy_percent:.1f} %, "
            f"with {_count(scored.interventions)} at a deviation of {first.limit_m:g} {first.unit}, and deviated by "
            f"{scored.rms_cross_track_m:.2f} {first.unit} (root mean square).",
            f"Without any steering, the autonomy is {zero.autonomy_percent:.1f} %, with {_count(zero.interventions)}.",
        ]
        commands = {} if replayed.client else _after_replay(Path(best))
    sentences += [_sentence(text) for text in (*replayed.explanations(), *replayed.notices)]
    title = f"{best} on the recording {name}"
    return Report(title, sentences, None, drawn, replayed.table().cells(), commands)


def _after_replay(model: Path) -> Mapping[str, str]:
    return {
        "Score it in the built-in simulator": shown_command("evaluate", model, "-o", "score"),
        "Let it drive the Udacity simulator": shown_command("drive", model, "run1"),
    }


def prediction_report(name: str, score: PredictionScore, drawn: Path) -> Report:
    """Return the report of predictions. name: of their table; drawn: the path of the picture of the curves."""
    lag = [f"the predictions agree most if they are taken as {score.lag}"] if score.lag else []
    more = (_sentence(text) for text in (*score.explanations(), *lag, *score.notices))
    caption = f"Labels and predictions, also smoothed ({score.smoothing})"
    sentences = [f"{name} was scored on {score.frames:,} frames: {score.headline}.", *more]
    return Report(f"{name} against labels", sentences, None, {caption: drawn}, score.table().cells())


def suite_report(result: SuiteResult, drawn: Mapping[str, Path], maps: Path) -> Report:
    """Return the report of a suite. drawn: caption -> picture; maps: the folder with a map of each row."""
    rows, names = [one.name for one in result.scenarios], [*result.models]
    sums = {row: sum(drive.score.interventions for drive in result.drives[row].values()) for row in rows}
    worst = sorted((row for row in rows if sums[row]), key=lambda row: -sums[row])
    sentences = [f"{' and '.join(names)} drove the {len(rows)} rows (scenarios) of the suite."]
    sentences += [
        f"{name} drove {result.clean_rows(name)} without an intervention, and had {result.interventions(name)} in all."
        for name in names[:3]
    ]
    described = {one.name: f"{one.name}: {one.description}" for one in result.scenarios}
    if worst:
        sentences.append(f"The hardest row was {described[worst[0]]}, with {_count(sums[worst[0]])}.")
    figures = [("autonomy, interventions, mean distance from the centre line", *names)]
    figures += [(described[row], *(_cell(result.drives[row][name].score) for name in names)) for row in rows]
    for recording, replays in result.replays.items():
        figures.append((f"{recording} (a recording; deviation: rms)", *(_cell(replays[name]) for name in names)))
    pictures = {**drawn, **{f"Driven lines, {described[row]}": maps / f"{row}.png" for row in worst[:_MOST_MAPS]}}
    best = result.models[min(names, key=lambda name: (-result.clean_rows(name), result.interventions(name)))]
    title = f"{', '.join(names)} in the suite"
    return Report(title, sentences, None, pictures, figures, _after_replay(best))


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def _count(interventions: int | None) -> str:
    return f"{interventions or 'no'} intervention{'' if interventions == 1 else 's'}"


def _cell(scored: Score | ReplayFigures) -> str:
    if scored.autonomy_percent is None:
        return "no speeds, no score"
    if isinstance(scored, ReplayFigures):
        away = f"{scored.rms_cross_track_m:.2f} {scored.unit}"
    else:
        away = f"{scored.mean_abs_cross_track_m:.2f} m"
    return f"{scored.autonomy_percent:.1f} %, {scored.interventions}, {away}"
