"""The rounds in which a model is improved, and the result: figures, rows of the suite before and
after, a chart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bcclone.evaluation.scenarios import SCENARIOS
from bcclone.pictures.plots.style import BLUE, new_figure, save, tidy
from bcclone.simulator.score import Score
from bcclone.system.json_values import to_json
from bcclone.system.table import Table, TableColumn

_DESCRIPTIONS = {one.name: one.description for one in SCENARIOS}
_VERDICTS = {"same": "", "better": "better", "worse": "WORSE"}  # as they are printed
_ROW_INCHES, _ROUND_INCHES = 0.24, 0.42
_MAX_TICKS = 30
_MAX_SHOWN = 3  # interventions at which the colour scale ends

Scores = Mapping[str, Score]  # row of the suite -> score


@dataclass(frozen=True, kw_only=True)
class Round:
    """A round: what was recorded and trained, and how the model then drives.

    number: 0 for the model before the first round; rows: recorded in this round; all_rows: that it
    was trained on; rescues: how often the expert took the car back to the road while it was
    recorded; epochs: passes over the samples; val_loss: of the training; seconds: that the round
    took; model: its file, relative to the work folder; scores: rows that failed in the round before
    are driven first, the others only if none of them fails again.
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
    scores: Scores = field(default_factory=dict)

    @property
    def interventions(self) -> int:
        """The sum over the rows of the suite that were driven."""
        return sum(score.interventions for score in self.scores.values())

    @property
    def clean_rows(self) -> int:
        """How many rows of the suite need no intervention."""
        return sum(not score.interventions for score in self.scores.values())

    def as_json(self) -> dict[str, Any]:
        scores = [_row_figures(row, score) for row, score in self.scores.items()]
        sums = {"interventions": self.interventions, "clean_rows": self.clean_rows}
        return {**to_json(self), "scores": scores, **sums}

    def as_text(self) -> str:
        after = f", after {self.all_rows} rows" if self.number else ""
        return f"round {self.number}{after}: {self.driven}; {self.seconds / 60:.1f} minutes"

    @property
    def driven(self) -> str:
        return f"{self.interventions} interventions, {self.clean_rows} of {len(self.scores)} driven rows without"


Rounds = tuple[Round, ...]


def chosen_round(rounds: Sequence[Round]) -> Round:
    """Return the round whose model is written: with the fewest interventions on all rows, the
    latest of equals.
    """
    complete = [one for one in rounds if len(one.scores) == len(rounds[0].scores)]
    return min(reversed(complete), key=lambda one: one.interventions)


@dataclass(frozen=True)
class Improvement:
    """The rounds, the model to begin with, the one that was written, and the folder of everything
    on the way.
    """

    rounds: Rounds
    model: Path
    output: Path
    work: Path

    def as_json(self) -> dict[str, Any]:
        before, after = self.rounds[0].scores, chosen_round(self.rounds).scores
        verdicts = compare(before, after)
        compared = [
            {
                "before": _row_figures(row, before[row]),
                "after": _row_figures(row, after[row]),
                "verdict": verdict,
            }
            for row, verdict in verdicts.items()
        ]
        return {
            "output": self.output,
            "work": self.work,
            "rounds": [one.as_json() for one in self.rounds],
            "chosen": chosen_round(self.rounds).number,
            "compared": compared,
            "worse": [row for row, verdict in verdicts.items() if verdict == "worse"],
        }

    def as_text(self) -> str:
        """Return the tables: the rounds, and each row before and after; then what was written."""
        rounds, chosen = self.rounds, chosen_round(self.rounds)
        columns = (
            *map(TableColumn, ("round", "rows", "all rows", "rescues", "epochs")),
            TableColumn("val_loss", "{:.4f}".format),
            TableColumn("minutes", "{:.1f}".format),
            TableColumn("suite"),
        )
        rows = [
            (
                one.number,
                one.rows,
                one.all_rows,
                one.rescues,
                one.epochs,
                one.val_loss,
                one.seconds / 60,
                one.driven,
            )
            for one in rounds
        ]
        copy = f"{self.output} is {self.model}, unchanged"
        if chosen.number:
            outcome = f"{self.output} is the model after round {chosen.number}; everything on the way is in {self.work}"
        elif len(rounds) == 1:
            outcome = f"nothing to learn: the model needs no intervention on these rows; {copy}"
        else:
            after = f"{rounds[-1].interventions} interventions, {chosen.interventions} before"
            remedy = "learn from more drives, or try other --epochs or --learning-rate, and --force"
            outcome = f"NOT IMPROVED: after training the model needs {after}; {copy}; {remedy}"
        legend = "rows: of the round; all rows: trained on so far; rescues: how often the expert took the car back"
        return f"{legend}\n{Table(columns, rows)}\n\n{comparison_table(rounds[0].scores, chosen.scores)}\n{outcome}"


def compare(before: Scores, after: Scores) -> dict[str, str]:
    """Return for each row "better", "worse" or "same", by its interventions.

    A drive that misses its goal is worse than any number of interventions.
    """
    verdicts = {}
    for row, score in before.items():
        old, new = ((not one.complete, one.interventions) for one in (score, after[row]))
        verdicts[row] = "same" if new == old else "worse" if new > old else "better"
    return verdicts


def comparison_table(before: Scores, after: Scores) -> str:
    """Return a table with a line for each row, and what follows from it."""
    verdicts = compare(before, after)
    columns, values = [TableColumn(key, heading="") for key in ("row", "description")], []
    for when in ("before", "after"):
        columns.append(TableColumn(f"interventions {when}", heading=f"{when}: off"))
        columns += [TableColumn(f"{key} {when}", "{:.2f}".format, key) for key in ("mean", "most")]
    for name, said in verdicts.items():
        scores = [
            figure
            for one in (before[name], after[name])
            for figure in (one.interventions, one.mean_abs_cross_track_m, one.max_abs_cross_track_m)
        ]
        values.append((name, _DESCRIPTIONS[name], *scores, _VERDICTS[said]))
    worse = ", ".join(name for name, said in verdicts.items() if said == "worse")
    lost = f"WORSE than before on {worse}" if worse else "no row became worse"
    were, are = (sum(score.interventions for score in one.values()) for one in (before, after))
    legend = "off: interventions; mean, most: distance from the centre line, m"
    table = Table([*columns, TableColumn("verdict", heading="")], values)
    return f"{legend}\n{table}\n\n{were} interventions before, {are} after; {lost}"


def plot_rounds(rounds: Sequence[Round], path: Path) -> None:
    """Draw the interventions of each round, from round 0, into a PNG: their sum, and on each row of
    the suite.

    Rows that were not driven, after others had failed again, are grey.
    """
    names = list(rounds[0].scores)
    counts = np.array(
        [
            [getattr(one.scores.get(name), "interventions", np.nan) for one in rounds]
            for name in names
        ]
    )
    figure = new_figure(3 + max(len(rounds), 8) * _ROUND_INCHES, 3.2 + len(names) * _ROW_INCHES)
    above, below = figure.subplots(2, sharex=True, height_ratios=(2.2, len(names) * _ROW_INCHES))
    above.plot(range(len(rounds)), np.nansum(counts, axis=0), "o-", color=BLUE)
    above.set(ylabel="interventions\non the driven rows", ylim=(0, None))
    tidy(above)
    below.set_facecolor("0.85")
    below.imshow(
        np.minimum(counts, _MAX_SHOWN), cmap="Oranges", vmin=0, vmax=_MAX_SHOWN, aspect="auto"
    )
    for (row, number), count in np.ndenumerate(counts):
        color = "white" if count > _MAX_SHOWN / 2 else "black"
        below.text(
            number,
            row,
            f"{count:.0f}" if count > 0 else "",
            ha="center",
            va="center",
            fontsize=8,
            color=color,
        )
    below.set_yticks(range(len(names)), names, fontsize=8)
    shown = range(0, len(rounds), -(-len(rounds) // _MAX_TICKS))
    below.set_xticks(
        shown, [f"{number}\n{rounds[number].all_rows}" for number in shown], fontsize=7
    )
    below.set_xlabel("round, and rows in the training")
    save(figure, path)


def _row_figures(row: str, score: Score) -> dict[str, Any]:
    return {"row": row, "description": _DESCRIPTIONS[row], **to_json(score)}
