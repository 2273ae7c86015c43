"""The commands plots, improve, calibrate and import-model.

- plots: a model and its samples -> pictures in a folder;
- improve: a model, with take-overs or the expert to learn from -> a better model;
- calibrate: a model and a drive of a car -> a copy of the model that is fitted to the car;
- import-model: an older Keras model -> a model file.
"""

from dataclasses import replace
from pathlib import Path

from bcclone.commands.command import Command, Result, command, list_of, notify
from bcclone.model.import_model import ImportModelSettings
from bcclone.pictures.plot_settings import PlotSettings
from bcclone.realcar.calibrate_settings import CalibrateSettings
from bcclone.research.settings import ImproveSettings
from bcclone.system.errors import number_of

_STORE = "data.h5"  # usual name of a store


@command(after_interrupt="the pictures that were finished are kept")
def plots(settings: PlotSettings) -> Result:
    """Draw pictures of a trained model, of the samples it was trained on, and of its predictions.

    The pictures are written to plots/ in the run folder of the model or, if it has none, to
    MODEL-plots. Pictures for which the model or the samples lack the data are skipped, with the
    reason.
    """
    if not settings.data and Path(_STORE).is_file():
        settings = replace(settings, data=(_STORE,))
        notify(
            f"samples: those of {_STORE} in this folder; "
            "name another store or recordings after the model"
        )
    from bcclone.pictures.plots.all_pictures import plot

    result = plot(settings, notify)
    lines = {}
    for name, place in result.pictures.items():
        is_reason = isinstance(place, str)
        lines[name] = f"left out: {place}" if is_reason else str(place)
    notes = [f"note: {note}" for note in result.notes]
    return Result(result.as_json(), list_of(lines), notes=notes)


@command()
def import_model(settings: ImportModelSettings) -> Result:
    """Convert an older Keras model (.h5 or .keras, Keras 1 to 3) to a model file that stores its
    preprocessing.

    The converted model can be driven, scored and fine-tuned without --preprocess. The network is
    rebuilt layer by layer; no code in the old file is run.
    """
    from bcclone.model import import_model as importing

    result = importing.import_model(settings, notify)
    return Result(result.as_json(), result.as_text())


@command()
def calibrate(settings: CalibrateSettings) -> Result:
    """Fit a model to a car: find how its camera's pictures become frames, and the gain and bias of
    its steering.

    FRAMES is a tub or a recording. On pictures from the whole drive, the framing is sought with
    which the model's steering agrees best with the recorded one; then its gain and bias are fitted.
    All are written into a copy of the model, which `bcclone predict`, `replay`, `drive` and
    `export` then use by themselves. Beside it, OUTPUT.framing.json is for `bcclone import SOURCE
    --framing FILE`, and OUTPUT.framing.png shows what was found. What you know already, you give as
    an option.
    """
    from bcclone.realcar.calibrate import calibrate as calibrate_model

    result = calibrate_model(settings, notify)
    if result.unreadable:
        notify(
            f"note: {number_of(result.unreadable, 'picture')} left out: unreadable, or of another "
            "size"
        )
    return Result(result, result.as_text(settings))


@command(
    after_interrupt="the work folder keeps what was done so far; continue with the same command "
    "and --resume",
)
def improve(settings: ImproveSettings) -> Result:
    """Train a model on so that it drives better, and compare it on the rows of the suite, before
    and after.

    RECORDING is one in which the model drives and a person takes over where it goes wrong
    (drivers.csv), or an earlier one of a person alone. The corrections are mixed with the other
    recordings and with what the model does well, so that nothing is unlearned. With --expert, the
    model drives the built-in simulator in rounds, and learns how the built-in expert would have
    steered in the states that it got into (DAgger), until it drives the rows of the suite without
    an intervention.
    """
    from bcclone.research import improve as improvement

    result = improvement.improve(settings, notify)
    return Result(result.as_json(), result.as_text())


COMMANDS: dict[str, Command] = {
    "plots": plots,
    "improve": improve,
    "calibrate": calibrate,
    "import-model": import_model,
}
