"""The rounds in which a model is improved: figures, rows of the suite before and after, tables and a chart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.evaluate.scenarios import SCENARIOS
from bcclone.pictures.plots.style import BLUE, new_figure, save, tidy
from bcclone.simulator.score import Score
from bcclone.system.json_values import to_json
from bcclone.system.table import Table, TableColumn

_DESCRIPTIONS = {one.name: one.description for one in SCENARIOS}
_VERDICTS = {"same": "", "better": "better", "worse": "WORSE"}  # as they are printed
_ROW_INCHES, _ROUND_INCHES = 0.24, 0.42
_MOST_TICKS = 30
_MOST_SHOWN = 3  # interventions at which the colour scale ends


@dataclass(frozen=True, kw_only=True)
class Round:
    """A round: what was recorded and trained, and how the model then drives.

    number: 0 for the model before the first round; rows: recorded in this round; all_rows: that it was trained on;
    rescues: how often the expert took the car back to the road while it was recorded; epochs: passes over the samples;
    val_loss: of the training; seconds: that the round took; model: its file, relative to the work folder; scores: row
    of the suite -> score; rows that failed in the round before are driven first, the others only if none of them fails
    again.
    """

    number: int
    rows: int = 0
    all_rows: int = 0
    rescues: int = 0
    distance_m: float = 0.0
    epochs: int = 0
    val_loss: float | None = None
    seconds: float = 0.0
    model: str
    scores: Mapping[str, Score] = field(default_factory=dict)

    @property
    def row_interventions(self) -> dict[str, int]:
        """Return the interventions on each row of the suite that was driven."""
        return {row: score.interventions for row, score in self.scores.items()}

    @property
    def interventions(self) -> int:
        """Return the sum over the rows of the suite that were driven."""
        return sum(self.row_interventions.values())

    @property
    def clean_rows(self) -> int:
        """Return how many rows of the suite need no intervention."""
        return sum(not count for count in self.row_interventions.values())

    def figures(self) -> dict[str, Any]:
        """Return the round as JSON values."""
        scores = [_row_figures(row, score) for row, score in self.scores.items()]
        sums = {"interventions": self.interventions, "clean_rows": self.clean_rows}
        return {**to_json(self), "scores": scores, **sums}


Rounds = tuple[Round, ...]


def chosen_round(rounds: Sequence[Round]) -> Round:
    """Return the round whose model is written: with the fewest interventions on all rows, the latest of equals."""
    complete = [one for one in rounds if len(one.scores) == len(rounds[0].scores)]
    return min(reversed(complete), key=lambda one: one.interventions)


def rounds_table(rounds: Sequence[Round]) -> str:
    """Return a table with a line for each round."""
    columns = (
        *map(TableColumn, ("round", "rows", "all rows", "rescues", "epochs")),
        TableColumn("val_loss", "{:.4f}".format),
        TableColumn("minutes", "{:.1f}".format),
        TableColumn("suite"),
    )
    rows = [
        (one.number, one.rows, one.all_rows, one.rescues, one.epochs, one.val_loss, one.seconds / 60, _suite(one))
        for one in rounds
    ]
    legend = "rows: of the round; all rows: trained on so far; rescues: how often the expert took the car back"
    return f"{legend}\n{Table(columns, rows)}"


def describe_round(one: Round) -> str:
    """Return a line on a round, for the progress of a command."""
    after = f", after {one.all_rows} rows" if one.number else ""
    return f"round {one.number}{after}: {_suite(one)}; {one.seconds / 60:.1f} minutes"


@dataclass(frozen=True)
class RowComparison:
    """A row of the suite, driven by the model before and after."""

    row: str
    before: Score
    after: Score

    @property
    def description(self) -> str:
        """Return the row in words."""
        return _DESCRIPTIONS[self.row]

    @property
    def verdict(self) -> str:
        """Return "better", "worse" or, where neither more nor fewer interventions were needed, "same"."""
        before, after = _failures(self.before), _failures(self.after)
        return "same" if after == before else "worse" if after > before else "better"

    def figures(self) -> dict[str, Any]:
        """Return the comparison as JSON values."""
        before, after = (_row_figures(self.row, score) for score in (self.before, self.after))
        return {"before": before, "after": after, "verdict": self.verdict}


def compare_rows(before: Mapping[str, Score], after: Mapping[str, Score]) -> tuple[RowComparison, ...]:
    """Return the rows of two scores, side by side."""
    return tuple(RowComparison(row, score, after[row]) for row, score in before.items())


def comparison_table(rows: Sequence[RowComparison]) -> str:
    """Return a table with a line for each row, and what follows from it."""
    scores = [
        TableColumn(f"{key} {when}", words, heading)
        for when in ("before", "after")
        for key, words, heading in (
            ("interventions", str, f"{when}: off"), ("mean", "{:.2f}".format, "mean"), ("most", "{:.2f}".format, "most")
        )
    ]  # fmt: skip
    columns = (
        TableColumn("row", heading=""),
        TableColumn("description", heading=""),
        *scores,
        TableColumn("verdict", heading=""),
    )
    values = [
        (one.row, one.description, *_cells(one.before), *_cells(one.after), _VERDICTS[one.verdict]) for one in rows
    ]
    legend = "off: interventions; mean, most: distance from the centre line, m"
    return f"{legend}\n{Table(columns, values)}\n\n{_describe_comparison(rows)}"


def _cells(score: Score) -> tuple[float, ...]:
    return score.interventions, score.mean_abs_cross_track_m, score.max_abs_cross_track_m


def plot_rounds(rounds: Sequence[Round], path: Path) -> None:
    """Draw the interventions of each round, from round 0, into a PNG: their sum, and on each row of the suite.

    Rows that were not driven, after others had failed again, are grey.
    """
    names = list(rounds[0].scores)
    counts = np.array([[one.row_interventions.get(name, np.nan) for one in rounds] for name in names])
    figure = new_figure(3 + max(len(rounds), 8) * _ROUND_INCHES, 3.2 + len(names) * _ROW_INCHES)
    above, below = figure.subplots(2, sharex=True, height_ratios=(2.2, len(names) * _ROW_INCHES))
    above.plot(range(len(rounds)), np.nansum(counts, axis=0), "o-", color=BLUE)
    above.set(ylabel="interventions\non the driven rows", ylim=(0, None))
    tidy(above)
    below.set_facecolor("0.85")
    below.imshow(np.minimum(counts, _MOST_SHOWN), cmap="Oranges", vmin=0, vmax=_MOST_SHOWN, aspect="auto")
    for (row, number), count in np.ndenumerate(counts):
        color = "white" if count > _MOST_SHOWN / 2 else "black"
        below.text(number, row, f"{count:.0f}" if count > 0 else "", ha="center", va="center", fontsize=8, color=color)
    below.set_yticks(range(len(names)), names, fontsize=8)
    shown = range(0, len(rounds), -(-len(rounds) // _MOST_TICKS))
    below.set_xticks(shown, [f"{number}\n{rounds[number].all_rows}" for number in shown], fontsize=7)
    below.set_xlabel("round, and rows in the training")
    save(figure, path)


def _describe_comparison(rows: Sequence[RowComparison]) -> str:
    """Return in a sentence whether the model became better, and which rows became worse."""
    before, after = (sum(getattr(one, when).interventions for one in rows) for when in ("before", "after"))
    worse = [one.row for one in rows if one.verdict == "worse"]
    lost = f"WORSE than before on {', '.join(worse)}" if worse else "no row became worse"
    return f"{before} interventions before, {after} after; {lost}"


def _failures(score: Score) -> tuple[bool, int]:
    """Return a sort key that is larger for a worse drive: whether it missed its goal, then its interventions."""
    return not score.complete, score.interventions


def _row_figures(row: str, score: Score) -> dict[str, Any]:
    return {"row": row, "description": _DESCRIPTIONS[row], **to_json(score)}


def _suite(one: Round) -> str:
    return f"{one.interventions} interventions, {one.clean_rows} of {len(one.scores)} driven rows without"
