"""Improve a model by take-overs or by an expert: the one call behind the command, and its result."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bcclone.evaluate.scenarios import select_scenarios
from bcclone.lab.improve.corrections import count_images, learn_from_corrections
from bcclone.lab.improve.course import Course
from bcclone.lab.improve.expert import learn_from_expert
from bcclone.lab.improve.improve_settings import ImproveSettings
from bcclone.lab.improve.rounds import RoundsSoFar, rounds_table
from bcclone.lab.improve.scoring import RowComparison, compare_rows, comparison_table
from bcclone.lab.improve.start_model import StartModel
from bcclone.lab.improve.work_folder import opened
from bcclone.model.onnx_model import is_onnx
from bcclone.pictures.plots.round_charts import RoundScore, plot_rounds
from bcclone.recording.files import find_logs
from bcclone.recording.row import CAMERAS
from bcclone.system.errors import UserError
from bcclone.system.task_pool import open_pool

_PICTURE = "rounds.png"
_IDENTITY = (
    "recordings", "expert", "track", "drives", "drive_laps", "epochs", "learning_rate", "correction_weight", "seed",
    "rows", "laps",
)  # fmt: skip


@dataclass(frozen=True)
class Improvement:
    """The rounds, the model to begin with, the one that was written, and the folder of everything on the way."""

    so_far: RoundsSoFar
    model: Path
    output: Path
    work: Path

    @property
    def rows(self) -> tuple[RowComparison, ...]:
        """Return the rows of the suite, before and after."""
        return compare_rows(self.so_far.rounds[0].scores, self.so_far.chosen.scores)

    def as_json(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {
            "output": str(self.output),
            "work": str(self.work),
            **self.so_far.as_json(),
            "compared": [one.as_json() for one in self.rows],
            "worse": [one.before.row for one in self.rows if one.verdict == "worse"],
        }

    def as_text(self) -> list[str]:
        """Return the lines of the tables: the rounds, and each row before and after; then what was written."""
        return [*rounds_table(self.so_far.rounds), "", *comparison_table(self.rows), self._outcome()]

    def _outcome(self) -> str:
        rounds, chosen = self.so_far.rounds, self.so_far.chosen
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
    select_scenarios(settings.rows)
    if is_onnx(settings.model):
        raise UserError(f"{settings.model}: an ONNX file cannot be trained on; name the .h5 that it was made from")
    if not settings.expert:
        count_images(settings.recordings, CAMERAS)
    elif settings.recordings:
        find_logs(settings.recordings)
    with (
        opened(settings, {name: getattr(settings, name) for name in _IDENTITY}) as folder,
        open_pool(settings.jobs) as pool,
    ):
        notify(f"everything on the way is in {folder.path}")
        course = Course(settings, folder, StartModel.read(folder.start), pool, notify)
        so_far = learn_from_expert(course) if settings.expert else learn_from_corrections(course)
        scores = [RoundScore(one.all_rows, {row.row: row.interventions for row in one.scores}) for one in so_far.rounds]
        plot_rounds(scores, folder.path / _PICTURE)
        folder.publish(folder.path / so_far.chosen.model, settings.output)
        return Improvement(so_far, settings.model, settings.output, folder.path)
