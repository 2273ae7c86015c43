"""Predict the steering of frames: a model, and a recording or any folder of JPEGs or PNGs -> a table.

The table has a line for each frame, frame_id,steering_angle: the name of the frame's file without its ending, and the
steering from -1 (left) to 1 (right). The images of a folder are framed as a calibrated model says, or --framing.
Otherwise, those of another size than 320x160 pixels are stretched to it; --rows keeps a part of their rows. `bcclone
score` compares the table with labels.
"""

from bcclone.commands.options import Command, Given, Result, notify, number_of
from bcclone.evaluate.prediction_settings import PredictSettings

COMMAND = Command("predict the steering of frames", (PredictSettings,))


def run(given: Given) -> Result:
    """Predict."""
    settings = given.make(PredictSettings)
    from bcclone.evaluate.predict import notes_of, predict

    result = predict(settings)
    for note in notes_of(result, settings.rows):
        notify(f"note: {note}")
    return Result(
        result, f"{result.output}: {number_of(result.frames, 'frame')}\nnext: bcclone score {result.output} LABELS"
    )
