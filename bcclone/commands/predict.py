"""Predict the steering of frames: a model, and a recording or any folder of JPEGs or PNGs -> a table.

The table has a line for each frame, frame_id,steering_angle: the name of the frame's file without its ending, and the
steering from -1 (left) to 1 (right). The images of a folder are framed as a calibrated model says, or --framing.
Otherwise, those of another size than 320x160 pixels are stretched to it; --rows keeps a part of their rows. `bcclone
score` compares the table with labels.
"""

import argparse

from bcclone.commands.options import (
    add_settings,
    chosen,
    describe_unchanged,
    local_path,
    notify,
    number_of,
    print_result,
)
from bcclone.evaluate.prediction_settings import PredictSettings

SUMMARY = "predict the steering of frames"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("model", type=local_path, metavar="MODEL", help="a model file of bcclone, Keras or ONNX")
    parser.add_argument(
        "frames",
        type=local_path,
        metavar="FRAMES",
        help="a recording, or a folder of JPEGs or PNGs of any size, such as the images of a tub",
    )
    add_settings(parser, PredictSettings)


def run(arguments: argparse.Namespace) -> int:
    """Predict; return the exit code."""
    settings = chosen(PredictSettings, arguments)
    from bcclone.evaluate.predict import notes_of, predict

    result = predict(settings)
    for note in notes_of(result, settings.rows):
        notify(f"note: {note}")
    print_result(
        arguments,
        result,
        f"{result.output}: {number_of(result.frames, 'frame')}\nnext: bcclone score {result.output} LABELS",
    )
    return 0


def interrupted(arguments: argparse.Namespace) -> str:
    """Return what Ctrl-C leaves behind."""
    return describe_unchanged(arguments.output or PredictSettings.output)
