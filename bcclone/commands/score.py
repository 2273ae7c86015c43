"""Score predictions of steering against labels: correlation, right side, RMSE and explained variance.

Both are tables with a column frame_id and one of the steering; the labels may also be a recording. Frames are matched
by frame_id. For comparison, zero and constant steering are scored, too: the mean label, with --fit-seconds that of the
fitted part. Labels with a column public, as those of Udacity's challenge 2, are also scored in their two parts.
"""

from dataclasses import dataclass
from pathlib import Path

from bcclone.commands.options import Command, Given, Output, Result, notify
from bcclone.evaluate.prediction_settings import ScoreSettings
from bcclone.system.settings import argument


@dataclass(frozen=True)
class Compared:
    """Two tables."""

    predictions: Path = argument("a table, such as one of bcclone predict")
    labels: Path = argument("a table, or a recording")


COMMAND = Command("score predictions against labels", (Compared, ScoreSettings, Output))


def run(given: Given) -> Result:
    """Score."""
    settings, tables, output = given.make(ScoreSettings), given.make(Compared), given.make(Output).output
    from bcclone.evaluate.prediction_score import score

    result = score(tables.predictions, tables.labels, settings)
    for notice in result.notices:
        notify(f"note: {notice}")
    wrote = []
    if output is not None:
        from bcclone.pictures.score_files import write_prediction_score

        wrote = write_prediction_score(output, tables.predictions.name, result)
    return Result(result.figures(), result.as_text(), wrote)
