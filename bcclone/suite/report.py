"""Result of a suite -> tables in text: a line a row or recording, a block of columns a model."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bcclone.atomic import write_text
from bcclone.images import Image
from bcclone.plots.drives import DriveScore, plot_appearances, plot_drives, plot_scores
from bcclone.simulator.car import start_on
from bcclone.simulator.render import Renderer
from bcclone.simulator.track import load_track
from bcclone.suite.scenarios import Drive, Replayed, Row, SuiteResult, best_of

_CELL = 25
_BEST = "*"
_SUMS = "rows without an intervention, all interventions"


def table_lines(result: SuiteResult) -> list[str]:
    """Return the lines of the tables; with several models the best of each row are marked."""
    lines = [["", "", *result.models], ["", "", *["autonomy  off  mean   most"] * len(result.models)]]
    lines += [[row.name, row.says, *_cells(result.drives[row.name], _drive_text)] for row in result.rows]
    lines += [["", _SUMS, *(_sum(result, model) for model in result.models)]]
    if result.recordings:
        lines += [[""], ["", "", *["autonomy  off   rms"] * len(result.models)]]
        lines += [
            [one.name, _replay_says(result.replays[one.name]), *_cells(result.replays[one.name], _replay_text)]
            for one in result.recordings
        ]
    widths = [max(len(line[column]) for line in lines if column < len(line)) for column in range(len(lines[0]))]
    widths[2:] = [max(width, _CELL) for width in widths[2:]]
    padded = ["  ".join(f"{text:<{width}}" for text, width in zip(line, widths, strict=False)) for line in lines]
    return [line.rstrip() for line in padded] + ["", *_legend(result)]


def _cells(outcomes: Mapping[str, Any], text: Callable[[Mapping[str, Any]], str]) -> list[str]:
    best = best_of(outcomes) if len(outcomes) > 1 else ()
    return [text(outcome.figures) + (_BEST if model in best else "") for model, outcome in outcomes.items()]


def _drive_text(figures: Mapping[str, Any]) -> str:
    beside = f"{figures['mean_abs_cross_track_m']:6.2f}{figures['max_abs_cross_track_m']:7.2f}"
    return f"{figures['autonomy_percent']:6.1f} %{figures['interventions']:5d}{beside}"


def _replay_text(figures: Mapping[str, Any]) -> str:
    return f"{figures['autonomy_percent']:6.1f} %{figures['interventions']:5d}{figures['rms_cross_track_m']:6.2f}"


def _replay_says(replays: Mapping[str, Replayed]) -> str:
    figures = next(iter(replays.values())).figures
    blind = figures["controls"]["zero"]["autonomy_percent"]
    return f"a recording, {figures['distance_m'] / 1000:.1f} km; without steering {blind:.1f} %"


def _sum(result: SuiteResult, model: str) -> str:
    return f"{result.clean_rows(model)} of {len(result.rows)} rows, {result.interventions(model)}"


def _legend(result: SuiteResult) -> list[str]:
    lines = [
        "off: interventions (wheels off the asphalt, or a drive that did not come around); "
        "mean, most: distance from the centre line, m"
    ]
    if result.recordings:
        lines += [
            "in a recording: off: as far from the human's path that a person takes over; rms: distance from it, m"
        ]
    if len(result.models) > 1:
        lines += [f"{_BEST} best of its row: come around, then more autonomy, then nearer to the line"]
    return lines


_SEEN_AT_M = 95.0  # where a low sun throws shadows of trees across the lake's road


def write_suite(folder: Path, result: SuiteResult) -> list[Path]:
    """Write all pictures, the table and the figures into a folder; return their paths.

    maps/ROW.png: the driven lines of all models; looks.png, models.png, table.txt, figures.json.
    """
    maps = folder / "maps"
    maps.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in ("table.txt", "figures.json", "looks.png", "models.png")]
    write_text(paths[0], "\n".join(table_lines(result)) + "\n")
    write_text(paths[1], json.dumps(result.figures(), indent=2) + "\n")
    plot_appearances(looks_of(result.rows), paths[2])
    scores = {model: _scores(result, model) for model in result.models}
    plot_scores([*result.drives, *result.replays], scores, paths[3])
    for row in result.rows:
        track = load_track(row.settings.track, row.settings.reverse)
        named = {f"{model}: {_in_words(drive)}": drive for model, drive in result.drives[row.name].items()}
        plot_drives(f"{row.name}: {row.says}", (track.edge(-1), track.edge(1)), named, maps / f"{row.name}.png")
    return [*paths, maps]


def looks_of(rows: Sequence[Row]) -> list[tuple[str, Image]]:
    """Return what rows look like from the same place, with their names: RGB uint8 (160, 320, 3).

    Rows that look the same share a picture.
    """
    names: dict[str, list[str]] = {}
    first: dict[str, Row] = {}
    for row in rows:
        key = repr(_look(row))
        first.setdefault(key, row)
        names.setdefault(key, []).append(row.name)
    return [(", ".join(names[key]), _frame(row)) for key, row in first.items()]


def _look(row: Row) -> tuple[object, ...]:
    """Return all that what a row looks like depends on."""
    settings, world = row.settings, row.settings.world
    return settings.track, settings.reverse, settings.conditions, world.start_offset_m, world.start_turn, world.shove_m


def _frame(row: Row) -> Image:
    """Return what the camera sees where a car has just begun or been shoved."""
    settings, world = row.settings, row.settings.world
    track = load_track(settings.track, settings.reverse)
    along = track.length_m - _SEEN_AT_M if settings.reverse else _SEEN_AT_M
    car = start_on(track, world.start_offset_m + world.shove_m, along)
    car.heading += math.radians(world.start_turn)
    return Renderer(settings.track, settings.conditions).frame(car)


def _scores(result: SuiteResult, model: str) -> list[DriveScore]:
    drives = [result.drives[row.name][model].figures for row in result.rows]
    replays = [result.replays[one.name][model].figures for one in result.recordings]
    names = ("autonomy_percent", "mean_abs_cross_track_m", "max_abs_cross_track_m")
    scores = [DriveScore(*(figures[name] for name in names)) for figures in drives]
    return scores + [DriveScore(its["autonomy_percent"], *[its["rms_cross_track_m"]] * 2) for its in replays]


def _in_words(drive: Drive) -> str:
    figures = drive.figures
    return f"{figures['autonomy_percent']:.1f} %, {figures['interventions']} interventions"
