"""The rounds in which a model is improved: their scores -> the best one, and tables and a chart.

A row of the suite is a drive on which a model is scored, such as lake-30.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from bcclone.evaluation.scenarios import SCENARIOS
from bcclone.pictures.plots.style import BLUE, new_figure, save, tidy
from bcclone.simulator.score import Score
from bcclone.system.errors import Table, TableColumn, number_of
from bcclone.system.numbers import FloatArray
from bcclone.system.values import to_json

_DESCRIPTIONS = {scenario.name: scenario.description for scenario in SCENARIOS}

Scores = Mapping[str, Score]  # row of the suite -> score


@dataclass(frozen=True, kw_only=True)
class Round:
    """A round: what was recorded and trained, and how the model then drives."""

    number: int  # 0 for the model before the first round
    rows: int = 0  # rows of recordings that were recorded in this round
    all_rows: int = 0  # rows of recordings that the model was trained on
    rescues: int = 0  # how often the expert took the car back to the road while it was recorded
    distance_m: float = 0.0  # length of the recorded drives
    epochs: int = 0  # passes over the samples
    val_loss: float | None = None
    seconds: float = 0.0  # how long the round took
    model: str  # file of the round's model, relative to the work folder
    # Rows of the suite that failed in the round before are driven first, and the others only if all
    # of these succeed.
    scores: Scores = field(default_factory=dict)

    @property
    def interventions(self) -> int:
        """Return the number of interventions on all driven rows of the suite."""
        return sum(score.interventions for score in self.scores.values())

    @property
    def clean_rows(self) -> int:
        """Return how many driven rows of the suite needed no intervention."""
        return sum(not score.interventions for score in self.scores.values())

    def as_json(self) -> dict[str, Any]:
        scores = [_row_figures(row, score) for row, score in self.scores.items()]
        sums = {"interventions": self.interventions, "clean_rows": self.clean_rows}
        return {**to_json(self), "scores": scores, **sums}

    def as_text(self) -> str:
        after = ""
        if self.number:
            after = f", after {self.all_rows} rows"
        return f"round {self.number}{after}: {self.driven}; {self.seconds / 60:.1f} minutes"

    @property
    def driven(self) -> str:
        """Return in words how the model drove the suite."""
        rows = f"{self.clean_rows} of {len(self.scores)} driven rows without"
        return f"{self.interventions} interventions, {rows}"


Rounds = tuple[Round, ...]


def chosen_round(rounds: Sequence[Round]) -> Round:
    """Return the round whose model is written.

    Its drives on all rows are the least bad in the order of compare(); of equal rounds it is the
    latest.
    """
    # min() returns the first of equal rounds, here the latest
    complete = [step for step in rounds if len(step.scores) == len(rounds[0].scores)]
    return min(reversed(complete), key=lambda step: _badness(step.scores.values()))


@dataclass(frozen=True)
class Improvement:
    """The result of an improvement."""

    rounds: Rounds
    model: Path  # the model to begin with
    output: Path  # the model file that was written
    work: Path  # the work folder

    def as_json(self) -> dict[str, Any]:
        before = self.rounds[0].scores
        chosen = chosen_round(self.rounds)
        verdicts = compare(before, chosen.scores)
        compared = [
            {
                "before": _row_figures(row, before[row]),
                "after": _row_figures(row, chosen.scores[row]),
                "verdict": verdict,
            }
            for row, verdict in verdicts.items()
        ]
        return {
            "output": self.output,
            "work": self.work,
            "rounds": [step.as_json() for step in self.rounds],
            "chosen": chosen.number,
            "compared": compared,
            "worse": _worse_rows(verdicts),
        }

    def as_text(self) -> str:
        """Return the tables: the rounds, and each row before and after; then what was written."""
        chosen = chosen_round(self.rounds)
        legend = (
            "rows: of the round; all rows: trained on so far; "
            "rescues: how often the expert took the car back"
        )
        compared = comparison_table(self.rounds[0].scores, chosen.scores)
        return f"{legend}\n{_rounds_table(self.rounds)}\n\n{compared}\n{self._outcome(chosen)}"

    def _outcome(self, chosen: Round) -> str:
        """Return the sentence on what was written."""
        if chosen.number:
            return (
                f"{self.output} is the model after round {chosen.number}; "
                f"everything on the way is in {self.work}"
            )
        copy = f"{self.output} is {self.model}, unchanged"
        if len(self.rounds) == 1:
            return f"nothing to learn: the model needs no intervention on these rows; {copy}"
        after = f"{_faults_of(self.rounds[-1])}; before, {_faults_of(chosen)}"
        remedy = "learn from more drives, or try other --epochs or --learning-rate, and --force"
        return f"NOT IMPROVED: after training the model needs {after}; {copy}; {remedy}"


def _faults_of(step: Round) -> str:
    """Return in words how often a round's model left the road, and missed the goal of a drive."""
    missed, interventions = _badness(step.scores.values())
    words = number_of(interventions, "intervention")
    if missed:
        words += f" and misses {number_of(missed, 'goal')}"
    return words


def _rounds_table(rounds: Rounds) -> Table:
    columns = (
        TableColumn("round"),
        TableColumn("rows"),
        TableColumn("all rows"),
        TableColumn("rescues"),
        TableColumn("epochs"),
        TableColumn("val_loss", "{:.4f}".format),
        TableColumn("minutes", "{:.1f}".format),
        TableColumn("suite"),
    )
    rows = [
        (
            step.number,
            step.rows,
            step.all_rows,
            step.rescues,
            step.epochs,
            step.val_loss,
            step.seconds / 60,
            step.driven,
        )
        for step in rounds
    ]
    return Table(columns, rows)


def compare(before: Scores, after: Scores) -> dict[str, str]:
    """Return for each row of the suite "better", "worse" or "same", by its interventions.

    A drive that misses its goal is worse than any number of interventions.
    """
    verdicts = {}
    for row, score in before.items():
        old = _badness([score])
        new = _badness([after[row]])
        if new == old:
            verdicts[row] = "same"
        elif new > old:
            verdicts[row] = "worse"
        else:
            verdicts[row] = "better"
    return verdicts


def _badness(scores: Iterable[Score]) -> tuple[int, int]:
    """Return what is greater for worse drives: how many miss their goal, then interventions."""
    missed = 0
    interventions = 0
    for score in scores:
        missed += not score.complete
        interventions += score.interventions
    return missed, interventions


def _worse_rows(verdicts: Mapping[str, str]) -> list[str]:
    return [row for row, verdict in verdicts.items() if verdict == "worse"]


_SHOWN_VERDICTS = {"same": "", "better": "better", "worse": "WORSE"}


def comparison_table(before: Scores, after: Scores) -> str:
    """Return a table with a line for each row of the suite, and a sentence that sums it up."""
    verdicts = compare(before, after)
    columns = [TableColumn("row", heading=""), TableColumn("description", heading="")]
    for when in ("before", "after"):
        columns.append(TableColumn(f"interventions {when}", heading=f"{when}: off"))
        for figure in ("mean", "most"):
            columns.append(TableColumn(f"{figure} {when}", "{:.2f}".format, figure))
    columns.append(TableColumn("verdict", heading=""))

    values = []
    for row, verdict in verdicts.items():
        figures = (*_shown_figures(before[row]), *_shown_figures(after[row]))
        values.append((row, _DESCRIPTIONS[row], *figures, _SHOWN_VERDICTS[verdict]))

    legend = "off: interventions; mean, most: distance from the centre line, m"
    old = sum(score.interventions for score in before.values())
    new = sum(score.interventions for score in after.values())
    change = "no row became worse"
    worse = _worse_rows(verdicts)
    if worse:
        change = f"WORSE than before on {', '.join(worse)}"
    table = Table(columns, values)
    return f"{legend}\n{table}\n\n{old} interventions before, {new} after; {change}"


def _shown_figures(score: Score) -> tuple[int, float, float]:
    return score.interventions, score.mean_abs_cross_track_m, score.max_abs_cross_track_m


@dataclass(frozen=True)
class ChartLayout:
    """How the chart of the rounds is laid out."""

    row_inches: float = 0.24  # height of a row of the suite
    round_inches: float = 0.42  # width of a round
    max_ticks: int = 30  # most rounds whose numbers are written
    max_shown: int = 3  # from this many interventions on, fields have the same colour


_CHART = ChartLayout()


def plot_rounds(rounds: Sequence[Round], path: Path) -> None:
    """Draw the interventions of each round into a PNG: their sum, and on each row of the suite.

    A row that was not driven, because other rows had failed again, is grey.
    """
    names = list(rounds[0].scores)
    counts = np.array([[_count(step, name) for step in rounds] for name in names])
    rows_inches = len(names) * _CHART.row_inches
    width_inches = 3 + max(len(rounds), 8) * _CHART.round_inches
    figure = new_figure(width_inches, 3.2 + rows_inches)
    above, below = figure.subplots(2, sharex=True, height_ratios=(2.2, rows_inches))

    above.plot(range(len(rounds)), np.nansum(counts, axis=0), "o-", color=BLUE)
    above.set(ylabel="interventions\non the driven rows", ylim=(0, None))
    tidy(above)

    _draw_counts(below, counts)
    below.set_yticks(range(len(names)), names, fontsize=8)
    # every round is numbered, or every second, third..., so that the numbers stay apart
    shown = range(0, len(rounds), -(-len(rounds) // _CHART.max_ticks))
    labels = [f"{number}\n{rounds[number].all_rows}" for number in shown]
    below.set_xticks(shown, labels, fontsize=7)
    below.set_xlabel("round, and rows in the training")
    save(figure, path)


def _count(step: Round, row: str) -> float:
    """Return the interventions on a row in a round, NaN where it was not driven."""
    if row not in step.scores:
        return np.nan
    return step.scores[row].interventions


def _draw_counts(axes: Axes, counts: FloatArray) -> None:
    """Draw a field for each row and round, with its interventions. counts: (rows, rounds)."""
    axes.set_facecolor("0.85")
    shown = np.minimum(counts, _CHART.max_shown)
    axes.imshow(shown, cmap="Oranges", vmin=0, vmax=_CHART.max_shown, aspect="auto")
    for (row, number), count in np.ndenumerate(counts):
        # 0, or NaN where the row was not driven
        if not count > 0:
            continue
        color = "black"
        if count > _CHART.max_shown / 2:
            color = "white"
        axes.text(number, row, f"{count:.0f}", ha="center", va="center", fontsize=8, color=color)


def _row_figures(row: str, score: Score) -> dict[str, Any]:
    return {"row": row, "description": _DESCRIPTIONS[row], **to_json(score)}
