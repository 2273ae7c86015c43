"""Score predictions of steering against labels: correlation, right side, RMSE and explained variance.

Both are tables with a column frame_id and one of the steering; the labels may also be a recording. Frames are matched
by frame_id. For comparison, zero and constant steering are scored, too: the mean label, with --fit-seconds that of the
fitted part. Labels with a column public, as those of Udacity's challenge 2, are also scored in their two parts.
"""

import argparse

from bcclone.commands.options import add_settings, chosen, local_path, notify, print_result, results_folder
from bcclone.evaluate.prediction_settings import ScoreSettings

SUMMARY = "score predictions against labels"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "predictions", type=local_path, metavar="PREDICTIONS", help="a table, such as one of bcclone predict"
    )
    parser.add_argument("labels", type=local_path, metavar="LABELS", help="a table, or a recording")
    add_settings(parser, ScoreSettings)
    parser.add_argument(
        "-o",
        "--output",
        type=local_path,
        metavar="DIR",
        help="folder to write a picture of both curves, the figures and a report into (default: none)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Score; return the exit code."""
    settings = chosen(ScoreSettings, arguments)
    from bcclone.evaluate.prediction_score import score_predictions
    from bcclone.evaluate.steering_tables import read_labels, read_table

    with results_folder(arguments.output):
        predictions = read_table(arguments.predictions)
        score = score_predictions(predictions, read_labels(arguments.labels, settings.steering_column), settings)
        for notice in score.notices:
            notify(f"note: {notice}")
        print_result(arguments, score.figures(), score.as_text())
        if arguments.output is not None:
            from bcclone.pictures.score_files import write_prediction_score

            for path in write_prediction_score(arguments.output, arguments.predictions.name, score):
                notify(f"wrote {path}")
    return 0


def interrupted(arguments: argparse.Namespace) -> str:
    """Return what is left after Ctrl-C."""
    return "nothing was written"
