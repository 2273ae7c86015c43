"""Improve a model by take-overs or by an expert: the one call behind the command, and its result."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bcclone.evaluate.evaluate_settings import SuiteSettings
from bcclone.evaluate.scenarios import select_scenarios
from bcclone.lab.improve.improve_settings import ImproveSettings
from bcclone.lab.improve.learning import count_images, learn_from_corrections, learn_from_expert
from bcclone.lab.improve.rounds import (
    Rounds,
    RowComparison,
    chosen_round,
    compare_rows,
    comparison_table,
    plot_rounds,
    rounds_table,
)
from bcclone.lab.improve.training_rounds import StartModel, TrainingRounds
from bcclone.lab.improve.work_folder import opened
from bcclone.model.model_path import is_onnx
from bcclone.recording.files import find_logs
from bcclone.recording.row import CAMERAS
from bcclone.system.errors import UserError
from bcclone.system.task_pool import open_pool

_IDENTITY = (
    "recordings", "expert", "track", "drives", "drive_laps", "epochs", "learning_rate", "correction_weight", "seed",
    "rows", "laps",
)  # fmt: skip


@dataclass(frozen=True)
class Improvement:
    """The rounds, the model to begin with, the one that was written, and the folder of everything on the way."""

    rounds: Rounds
    model: Path
    output: Path
    work: Path

    @property
    def rows(self) -> tuple[RowComparison, ...]:
        """Return the rows of the suite, before and after."""
        return compare_rows(self.rounds[0].scores, chosen_round(self.rounds).scores)

    def as_json(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {
            "output": str(self.output),
            "work": str(self.work),
            "rounds": [one.figures() for one in self.rounds],
            "chosen": chosen_round(self.rounds).number,
            "compared": [one.figures() for one in self.rows],
            "worse": [one.row for one in self.rows if one.verdict == "worse"],
        }

    def as_text(self) -> str:
        """Return the tables: the rounds, and each row before and after; then what was written."""
        return "\n".join([rounds_table(self.rounds), "", comparison_table(self.rows), self._outcome()])

    def _outcome(self) -> str:
        rounds, chosen = self.rounds, chosen_round(self.rounds)
        if chosen.number:
            return f"{self.output} is the model after round {chosen.number}; everything on the way is in {self.work}"
        copy = f"{self.output} is {self.model}, unchanged"
        if len(rounds) == 1:
            return f"nothing to learn: the model needs no intervention on these rows; {copy}"
        after = f"{rounds[-1].interventions} interventions, {chosen.interventions} before"
        remedy = "learn from more drives, or try other --epochs or --learning-rate, and --force"
        return f"NOT IMPROVED: after training the model needs {after}; {copy}; {remedy}"


def improve(settings: ImproveSettings, notify: Callable[[str], None] = lambda line: None) -> Improvement:
    """Train a model on, score it before and after, and write the better one.

    notify: called with each line of progress. Raises UserError, and KeyboardInterrupt on Ctrl-C; after that, or after a
    kill at any point, the same call with `resume` continues.
    """
    select_scenarios(SuiteSettings(settings.rows))
    if is_onnx(settings.model):
        raise UserError(f"{settings.model}: an ONNX file cannot be trained; name the .h5 file that was exported")
    if not settings.expert:
        count_images(settings.recordings, CAMERAS)
    elif settings.recordings:
        find_logs(settings.recordings)
    with (
        opened(settings, {name: getattr(settings, name) for name in _IDENTITY}) as folder,
        open_pool(settings.jobs) as pool,
    ):
        notify(f"everything on the way is in {folder.path}")
        improvement = TrainingRounds(settings, folder, StartModel.read(folder.start), pool, notify)
        rounds = learn_from_expert(improvement) if settings.expert else learn_from_corrections(improvement)
        plot_rounds(rounds, folder.picture)
        folder.publish(folder.path / chosen_round(rounds).model, settings.output)
        return Improvement(rounds, settings.model, settings.output, folder.path)
