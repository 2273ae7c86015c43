"""Result of a suite -> tables in text: a line a row or recording, a block of columns a model."""

from collections.abc import Callable, Mapping
from typing import Any

from bcclone.suite.result import Replayed, SuiteResult, best_of

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
