"""Score a model on rows of the suite, and compare two scores row by row."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bcclone.evaluate.evaluate_settings import SuiteSettings
from bcclone.evaluate.scenarios import SCENARIOS
from bcclone.evaluate.suite import evaluate_suite
from bcclone.lab.improve.improve_settings import ImproveSettings
from bcclone.simulator.world import LAPS_DRIVEN
from bcclone.system.task_pool import TaskPool

_MOST_INTERVENTIONS = 1  # of a row in a round: a weak model would be driven for very long


@dataclass(frozen=True)
class RowScore:
    """The score of a drive of one row of the suite. ended: why the drive ended; distances in metres."""

    row: str
    description: str
    interventions: int
    autonomy_percent: float
    mean_abs_cross_track_m: float
    max_abs_cross_track_m: float
    ended: str

    @property
    def failures(self) -> tuple[bool, int]:
        """Return what is larger for a worse drive: whether it was ended before its goal, then the interventions."""
        return self.ended != LAPS_DRIVEN, self.interventions


def rows_to_drive(settings: ImproveSettings) -> tuple[str, ...]:
    """Return the names of the chosen rows of the suite: by default all, with an expert those of its track."""
    if settings.rows:
        return tuple(dict.fromkeys(settings.rows))
    return tuple(one.name for one in SCENARIOS if not settings.expert or one.settings.track == settings.track)


def score_rows(model: Path, settings: ImproveSettings, names: Sequence[str], pool: TaskPool) -> tuple[RowScore, ...]:
    """Let a model drive rows of the suite; raises UserError."""
    if not names:
        return ()
    most = _MOST_INTERVENTIONS if settings.expert else 0
    suite = SuiteSettings(tuple(names), laps=settings.laps, most_interventions=most)
    result = evaluate_suite([model], suite, pool=pool)
    scores = []
    for scenario in result.scenarios:
        (drive,) = result.drives[scenario.name].values()
        score = drive.score
        distances = score.mean_abs_cross_track_m, score.max_abs_cross_track_m
        figures = score.interventions, score.autonomy_percent, *distances, drive.ended
        scores.append(RowScore(scenario.name, scenario.description, *figures))
    return tuple(scores)


@dataclass(frozen=True)
class RowComparison:
    """A row of the suite, driven by the model before and after."""

    before: RowScore
    after: RowScore

    @property
    def verdict(self) -> str:
        """Return "better", "worse" or, where neither more nor fewer interventions were needed, "same"."""
        if self.after.failures == self.before.failures:
            return "same"
        return "worse" if self.after.failures > self.before.failures else "better"

    def as_json(self) -> dict[str, Any]:
        """Return the comparison as JSON values."""
        return {"before": asdict(self.before), "after": asdict(self.after), "verdict": self.verdict}


def compare_rows(before: Sequence[RowScore], after: Sequence[RowScore]) -> tuple[RowComparison, ...]:
    """Return the rows of two scores, side by side."""
    return tuple(RowComparison(*pair) for pair in zip(before, after, strict=True))


def comparison_table(rows: Sequence[RowComparison]) -> list[str]:
    """Return the lines of a table with a line for each row, and what follows from it."""
    name, text = (max(len(getattr(one.before, key)) for one in rows) for key in ("row", "description"))
    heads = "".join(f"{when:>8}: off  mean   most" for when in ("before", "after"))
    lines = [
        "off: interventions; mean, most: distance from the centre line, m",
        " " * (name + 2 + text) + heads,
    ]
    for one in rows:
        cells = "".join(
            f"{score.interventions:>13}{score.mean_abs_cross_track_m:>6.2f}{score.max_abs_cross_track_m:>7.2f}"
            for score in (one.before, one.after)
        )
        lines.append(
            f"{one.before.row:<{name}}  {one.before.description:<{text}}{cells}  {_shown(one.verdict)}".rstrip()
        )
    return [*lines, "", describe_comparison(rows)]


def describe_comparison(rows: Sequence[RowComparison]) -> str:
    """Return in a sentence whether the model became better, and which rows became worse."""
    before, after = (sum(getattr(one, when).interventions for one in rows) for when in ("before", "after"))
    worse = [one.before.row for one in rows if one.verdict == "worse"]
    lost = f"WORSE than before on {', '.join(worse)}" if worse else "no row became worse"
    return f"{before} interventions before, {after} after; {lost}"


def _shown(verdict: str) -> str:
    return {"same": "", "better": "better", "worse": "WORSE"}[verdict]
