"""Convert an older Keras model (.h5 or .keras, Keras 1 to 3) to a model file that stores its preprocessing.

The converted model can be driven, scored and fine-tuned without --preprocess. The network is rebuilt layer by layer;
no code in the old file is run.
"""

from bcclone.commands.options import Command, Given, Result, notify
from bcclone.model.import_model import ImportSettings, import_model

COMMAND = Command("convert an older Keras model", (ImportSettings,))


def run(given: Given) -> Result:
    """Import the model."""
    settings = given.make(ImportSettings)
    result = import_model(settings, notify)
    return Result(
        result,
        f"its frames are prepared as {result.preprocessing} (--preprocess {settings.preprocess})\n"
        f"{result.model}: written; next: bcclone drive {result.model} run1",
    )
