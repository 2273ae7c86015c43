"""Train a model on so that it drives better, and compare it on the rows of the suite, before and after.

RECORDING is one in which the model drives and a person takes over where it goes wrong (drivers.csv), or an earlier one
of a person alone. The corrections are mixed with the other recordings and with what the model does well, so that
nothing is unlearned. With --expert, the model drives the built-in simulator in rounds, and learns how the built-in
expert would have steered in the states that it got into (DAgger), until it drives the rows of the suite without an
intervention.
"""

from bcclone.commands.options import Command, Given, Result, notify
from bcclone.lab.improve.improve_settings import ImproveSettings

COMMAND = Command("train a model on where it goes wrong", (ImproveSettings,))


def run(given: Given) -> Result:
    """Improve the model."""
    settings = given.make(ImproveSettings)
    from bcclone.lab.improve.improvement import improve

    result = improve(settings, notify)
    return Result(result.figures(), "\n".join(result.as_text()))


def interrupted(given: Given) -> str:
    """Return what is left after Ctrl-C."""
    folder = given.make(ImproveSettings).folder
    return f"{folder} keeps what was done so far; continue with the same command and --resume"
