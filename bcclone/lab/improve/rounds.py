"""The rounds in which a model learns from an expert: their figures, in a file that survives a kill, and as a table."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from bcclone.lab.improve.scoring import RowScore
from bcclone.system.atomic import write_text
from bcclone.system.errors import UserError

ROUNDS_NAME = "rounds.json"


@dataclass(frozen=True)
class Round:
    """A round: what was recorded and trained, and how the model then drives.

    number: 0 for the model before the first round; rows: recorded in this round; all_rows: that it learned from;
    rescues: how often the expert took the car back to the road while it was recorded; epochs: passes over the samples;
    val_loss: of the training; seconds: that the round took; model: its file, relative to the folder of the rounds;
    scores: of the rows of the suite that were driven; those that failed before are driven first, the others only if
    none of them fails again.
    """

    number: int
    rows: int
    all_rows: int
    rescues: int
    distance_m: float
    epochs: int
    val_loss: float | None
    seconds: float
    model: str
    scores: tuple[RowScore, ...]

    @property
    def interventions(self) -> int:
        """Return the sum over the rows of the suite that were driven."""
        return sum(score.interventions for score in self.scores)

    @property
    def clean_rows(self) -> int:
        """Return how many rows of the suite need no intervention."""
        return sum(not score.interventions for score in self.scores)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read what as_json() returned; raises TypeError or KeyError for anything else."""
        own = {name: value for name, value in stored.items() if name not in ("interventions", "clean_rows")}
        return cls(**own | {"scores": tuple(RowScore(**score) for score in stored["scores"])})

    def as_json(self) -> dict[str, Any]:
        """Return the round as JSON values."""
        return asdict(self) | {"interventions": self.interventions, "clean_rows": self.clean_rows}


@dataclass(frozen=True)
class RoundsSoFar:
    """The complete rounds, from the score of the model to begin with."""

    rounds: tuple[Round, ...] = ()

    @property
    def seconds(self) -> float:
        """Return how long the complete rounds took."""
        return sum(one.seconds for one in self.rounds)

    @property
    def chosen(self) -> Round:
        """Return the round whose model is written: with the fewest interventions on all rows, the latest of equals."""
        complete = [one for one in self.rounds if len(one.scores) == len(self.rounds[0].scores)]
        return min(reversed(complete), key=lambda one: one.interventions)

    def as_json(self) -> dict[str, Any]:
        """Return the rounds as JSON values."""
        return {"rounds": [one.as_json() for one in self.rounds], "chosen": self.chosen.number}

    def write(self, folder: Path) -> None:
        """Write the file that a resumed command reads."""
        write_text(folder / ROUNDS_NAME, json.dumps(self.as_json(), indent=1) + "\n")

    @classmethod
    def read(cls, folder: Path) -> "RoundsSoFar | None":
        """Return what is in the folder, None if there is nothing; raises UserError for a file of another form."""
        path = folder / ROUNDS_NAME
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            return cls(tuple(map(Round.from_json, stored["rounds"])))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UserError(
                f"{path}: not the rounds of an improvement: {error}; begin anew with another --work"
            ) from None


def rounds_table(rounds: Sequence[Round]) -> list[str]:
    """Return the lines of a table with a line for each round."""
    head = f"{'round':>5}{'rows':>8}{'all rows':>10}{'rescues':>9}{'epochs':>8}{'val_loss':>10}{'minutes':>9}  suite"
    legend = "rows: of the round; all rows: learned from so far; rescues: how often the expert took the car back"
    return [legend, head, *map(_round_cells, rounds)]


def describe_round(one: Round) -> str:
    """Return a line on a round, for the progress of a command."""
    learned = f", after {one.all_rows} rows" if one.number else ""
    return f"round {one.number}{learned}: {_describe_scores(one)}; {one.seconds / 60:.1f} minutes"


def _round_cells(one: Round) -> str:
    val_loss = "" if one.val_loss is None else f"{one.val_loss:.4f}"
    learned = f"{one.number:>5}{one.rows:>8}{one.all_rows:>10}{one.rescues:>9}{one.epochs:>8}{val_loss:>10}"
    return f"{learned}{one.seconds / 60:>9.1f}  {_describe_scores(one)}"


def _describe_scores(one: Round) -> str:
    return f"{one.interventions} interventions, {one.clean_rows} of {len(one.scores)} driven rows without"
