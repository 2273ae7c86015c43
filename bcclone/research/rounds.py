"""The rounds in which a model is improved: their scores -> the best one, and how it compares.

A row is a drive on which models are scored: at a place of a take-over, such as place-1a, or of the
suite, such as lake-30.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bcclone.evaluation.scenarios import Scenario
from bcclone.research.take_overs import Trial
from bcclone.simulator.score import Score
from bcclone.system.errors import number_of
from bcclone.system.table import Table, TableColumn
from bcclone.system.values import to_json

Scores = Mapping[str, Score]  # row -> score


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
        """Return how many rows needed no intervention."""
        return sum(not score.interventions for score in self.scores.values())

    def figures(self) -> dict[str, Any]:
        scores = [{"row": row, **to_json(score)} for row, score in self.scores.items()]
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


BETTER = "better"
WORSE = "worse"
SAME = "same"

_LEAST_GAIN_M = 0.02  # by which the distance from the middle has to differ


def verdict_of(before: Scores, after: Scores) -> str:
    """Return whether drives became BETTER, WORSE or stayed the SAME on the whole.

    Fewer missed goals are better, then fewer interventions. If they are equal, the distance from
    the middle of the road decides, where it differs by more than the standard error of the mean
    difference: what is less may come from the states in which the drives happened to start.
    """
    old = _badness(before.values())
    new = _badness(after[row] for row in before)
    if old != new:
        return WORSE if new > old else BETTER
    changes_m = [
        after[row].mean_abs_cross_track_m - score.mean_abs_cross_track_m
        for row, score in before.items()
        if score.complete and after[row].complete
    ]
    if not changes_m:
        return SAME
    mean_m = statistics.fmean(changes_m)
    noise_m = math.inf  # a single drive tells nothing about others
    if len(changes_m) > 1:
        noise_m = statistics.stdev(changes_m) / math.sqrt(len(changes_m))
    if abs(mean_m) <= max(noise_m, _LEAST_GAIN_M):
        return SAME
    return WORSE if mean_m > 0 else BETTER


def _of(scenarios: Iterable[Scenario], scores: Scores) -> Scores:
    return {scenario.name: scores[scenario.name] for scenario in scenarios}


def chosen_round(rounds: Sequence[Round], trial: Trial) -> Round:
    """Return the round whose model is handed over; the first one where nothing became better.

    The deciding drives choose: the round with the fewest faults, of equal ones that nearest to the
    middle of the road. It has to be better there than the model to begin with, and not worse in the
    confirming drives, which had no say in the choice.
    """
    first, *others = rounds
    if not others:
        return first

    def rank(step: Round) -> tuple[float, ...]:
        scores = _of(trial.deciding, step.scores).values()
        distance_m = sum(score.mean_abs_cross_track_m for score in scores)
        return (*_badness(scores), distance_m)

    best = min(reversed(others), key=rank)
    decided = verdict_of(_of(trial.deciding, first.scores), _of(trial.deciding, best.scores))
    shown = verdict_of(_of(trial.shown, first.scores), _of(trial.shown, best.scores))
    return best if decided == BETTER and shown != WORSE else first


def compare(before: Scores, after: Scores) -> dict[str, str]:
    """Return for each row whether its drive became BETTER, WORSE or stayed the SAME.

    That is verdict_of() a single drive, whose distance from the middle tells nothing.
    """
    return {row: verdict_of({row: score}, after) for row, score in before.items()}


@dataclass(frozen=True)
class Improvement:
    """The result of an improvement."""

    rounds: tuple[Round, ...]
    model: Path  # the model to begin with
    output: Path  # the model file that is written if a round made the model better
    work: Path  # the work folder
    trial: Trial  # the drives on which the rounds were scored

    @property
    def chosen(self) -> Round:
        return chosen_round(self.rounds, self.trial)

    @property
    def is_improved(self) -> bool:
        return self.chosen.number > 0

    @property
    def compared(self) -> Round:
        """Return the round that the first one is compared with: the chosen or else the last one."""
        return self.chosen if self.is_improved else self.rounds[-1]

    @property
    def before(self) -> Scores:
        """Return the scores of the model to begin with, in the drives that tell the result."""
        return _of(self.trial.shown, self.rounds[0].scores)

    @property
    def after(self) -> Scores:
        return _of(self.trial.shown, self.compared.scores)

    @property
    def worse(self) -> list[str]:
        verdicts = compare(self.before, self.after)
        return [row for row, verdict in verdicts.items() if verdict == WORSE]

    def figures(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        compared = [
            {
                "row": row,
                "description": self._descriptions[row],
                "before": to_json(self.before[row]),
                "after": to_json(self.after[row]),
                "verdict": verdict,
            }
            for row, verdict in compare(self.before, self.after).items()
        ]
        return {
            "improved": self.is_improved,
            "output": str(self.output) if self.is_improved else None,
            "work": str(self.work),
            "rounds": [step.figures() for step in self.rounds],
            "chosen": self.chosen.number,
            "roads": self.trial.roads,
            "decided_by": [scenario.name for scenario in self.trial.deciding],
            "compared": compared,
            "worse": self.worse,
        }

    @property
    def _descriptions(self) -> dict[str, str]:
        return {scenario.name: scenario.description for scenario in self.trial.scenarios}

    def table(self) -> Table:
        """Return a table with a line for each drive that tells the result."""
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
            shown = {SAME: "", BETTER: "better", WORSE: "WORSE"}[verdict]
            lines.append((row, self._descriptions[row], *figures, shown))
        return Table(columns, lines)

    def sentences(self) -> list[str]:
        """Return what the table shows, what each round did, and what was written."""
        trial = self.trial
        chosen_by = "the drives of this table have chosen the round, too"
        if trial.confirming:
            chosen_by = (
                f"{number_of(len(trial.deciding), 'drive')} from other starts chose; those of this "
                "table had no say in that"
            )
        old, new = (_badness(scores.values())[1] for scores in (self.before, self.after))
        distances = [
            statistics.fmean(score.mean_abs_cross_track_m for score in scores.values())
            for scores in (self.before, self.after)
        ]
        change = f"WORSE than before on {', '.join(self.worse)}" if self.worse else "no row worse"
        return [
            "off: interventions; mean, most: distance from the centre line, m",
            f"judged on {trial.roads}; {chosen_by}",
            *(step.sentence() for step in self.rounds),
            f"{old} interventions before, {new} after; {change}",
            f"{distances[0]:.2f} m from the centre line before, {distances[1]:.2f} m after",
            self._outcome(),
        ]

    def _outcome(self) -> str:
        if self.is_improved:
            return (
                f"{self.output} is the model after round {self.chosen.number}; "
                f"everything on the way is in {self.work}"
            )
        kept = f"go on with {self.model}; {self.output} was not written"
        if len(self.rounds) == 1:
            return f"nothing to learn: the model needs no intervention on these rows; {kept}"
        trained = f"the trained model is {self.work / self.rounds[-1].model}"
        remedy = "record more take-overs, or try other --epochs, and --force"
        return f"NOT IMPROVED: {self._why_not()}; {kept}; {trained}; {remedy}"

    def _why_not(self) -> str:
        first = self.rounds[0]
        decided = [_of(self.trial.deciding, step.scores) for step in (first, self.compared)]
        if verdict_of(*decided) == BETTER:
            return (
                f"after training the model is better in the {len(decided[0])} drives that choose, "
                "but worse in the others"
            )
        before, after = map(_faults_of, decided)
        if before == after:
            before, after = (
                f"{statistics.fmean(score.mean_abs_cross_track_m for score in scores.values()):.2f}"
                " m from the centre line"
                for scores in decided
            )
            return f"after training the model is {after} on average; before, {before}"
        return f"after training the model needs {after}; before, {before}"


def _faults_of(scores: Scores) -> str:
    """Return in words how often a model left the road, and missed the goal of a drive."""
    missed, interventions = _badness(scores.values())
    words = number_of(interventions, "intervention")
    if missed:
        words += f" and misses {number_of(missed, 'goal')}"
    return words
