"""The rounds in which a model is improved: their scores -> the best one, and how it compares.

A row of the suite is a drive on which a model is scored, such as lake-30.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bcclone.evaluation.scenarios import SCENARIOS
from bcclone.simulator.score import Score
from bcclone.system.errors import number_of
from bcclone.system.table import Table, TableColumn
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
    scores: Scores = field(default_factory=dict)

    @property
    def interventions(self) -> int:
        return sum(score.interventions for score in self.scores.values())

    @property
    def clean_rows(self) -> int:
        """Return how many rows of the suite needed no intervention."""
        return sum(not score.interventions for score in self.scores.values())

    def figures(self) -> dict[str, Any]:
        scores = [_row_figures(row, score) for row, score in self.scores.items()]
        sums = {"interventions": self.interventions, "clean_rows": self.clean_rows}
        return {**to_json(self), "scores": scores, **sums}

    def sentence(self) -> str:
        after = f", after {self.all_rows} rows" if self.number else ""
        return (
            f"round {self.number}{after}: {self.interventions} interventions, {self.clean_rows} of "
            f"{len(self.scores)} rows without; {self.seconds / 60:.1f} minutes"
        )


def _badness(scores: Iterable[Score]) -> tuple[int, int]:
    """Return what is greater for worse drives: how many miss their goal, then interventions."""
    missed = 0
    interventions = 0
    for score in scores:
        missed += not score.complete
        interventions += score.interventions
    return missed, interventions


def chosen_round(rounds: Sequence[Round]) -> Round:
    """Return the round whose model is written: the least bad one, of equal ones the latest."""
    # min() returns the first of equal rounds, here the latest
    return min(reversed(rounds), key=lambda step: _badness(step.scores.values()))


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


def _row_figures(row: str, score: Score) -> dict[str, Any]:
    return {"row": row, "description": _DESCRIPTIONS[row], **to_json(score)}


@dataclass(frozen=True)
class Improvement:
    """The result of an improvement."""

    rounds: tuple[Round, ...]
    model: Path  # the model to begin with
    output: Path  # the model file that was written
    work: Path  # the work folder

    @property
    def before(self) -> Scores:
        return self.rounds[0].scores

    @property
    def after(self) -> Scores:
        return chosen_round(self.rounds).scores

    @property
    def worse(self) -> list[str]:
        verdicts = compare(self.before, self.after)
        return [row for row, verdict in verdicts.items() if verdict == "worse"]

    def figures(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        compared = [
            {
                "before": _row_figures(row, self.before[row]),
                "after": _row_figures(row, self.after[row]),
                "verdict": verdict,
            }
            for row, verdict in compare(self.before, self.after).items()
        ]
        return {
            "output": str(self.output),
            "work": str(self.work),
            "rounds": [step.figures() for step in self.rounds],
            "chosen": chosen_round(self.rounds).number,
            "compared": compared,
            "worse": self.worse,
        }

    def table(self) -> Table:
        """Return a table with a line for each row of the suite."""
        columns = [TableColumn("row", heading=""), TableColumn("description", heading="")]
        for when in ("before", "after"):
            columns.append(TableColumn(f"interventions {when}", heading=f"{when}: off"))
            for figure in ("mean", "most"):
                columns.append(TableColumn(f"{figure} {when}", "{:.2f}".format, figure))
        columns.append(TableColumn("verdict", heading=""))
        lines = []
        for row, verdict in compare(self.before, self.after).items():
            figures: list[float] = []
            for score in (self.before[row], self.after[row]):
                figures.append(score.interventions)
                figures += [score.mean_abs_cross_track_m, score.max_abs_cross_track_m]
            shown = {"same": "", "better": "better", "worse": "WORSE"}[verdict]
            lines.append((row, _DESCRIPTIONS[row], *figures, shown))
        return Table(columns, lines)

    def sentences(self) -> list[str]:
        """Return what the table shows, what each round did, and what was written."""
        old = self.rounds[0].interventions
        new = chosen_round(self.rounds).interventions
        change = f"WORSE than before on {', '.join(self.worse)}" if self.worse else "no row worse"
        return [
            "off: interventions; mean, most: distance from the centre line, m",
            *(step.sentence() for step in self.rounds),
            f"{old} interventions before, {new} after; {change}",
            self._outcome(),
        ]

    def _outcome(self) -> str:
        chosen = chosen_round(self.rounds)
        if chosen.number:
            return (
                f"{self.output} is the model after round {chosen.number}; "
                f"everything on the way is in {self.work}"
            )
        copy = f"{self.output} is {self.model}, unchanged"
        if len(self.rounds) == 1:
            return f"nothing to learn: the model needs no intervention on these rows; {copy}"
        after = f"{_faults_of(self.rounds[-1])}; before, {_faults_of(chosen)}"
        remedy = "learn from more drives, or try other --epochs, and --force"
        return f"NOT IMPROVED: after training the model needs {after}; {copy}; {remedy}"


def _faults_of(step: Round) -> str:
    """Return in words how often a round's model left the road, and missed the goal of a drive."""
    missed, interventions = _badness(step.scores.values())
    words = number_of(interventions, "intervention")
    if missed:
        words += f" and misses {number_of(missed, 'goal')}"
    return words
