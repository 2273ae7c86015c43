"""The commands export, import, import-model, calibrate and improve.

They exchange recordings and models with other programs, fit a model to a car, and train it where it
goes wrong.

- export: recordings, a store or a model -> a file or folder in another program's format;
- import: a source of another program -> a recording;
- import-model: an older Keras model -> a model file;
- calibrate: a model and a drive of a car -> a copy of the model that is fitted to the car;
- improve: a model, with take-overs or the expert to learn from -> a better model.
"""

from dataclasses import MISSING, dataclass
from pathlib import Path

from bcclone.commands.options import Given, Result, command, notify
from bcclone.exchange.exchange_settings import EXPORT_FORMATS, ExportSettings, ImportSettings
from bcclone.model.import_settings import ImportModelSettings
from bcclone.realcar.calibrate_settings import CalibrateSettings
from bcclone.realcar.export_model.export_settings import FORMATS, ExportModelSettings
from bcclone.research.improve import ImproveSettings
from bcclone.system.codec import MODEL_ENDINGS
from bcclone.system.errors import UserError, number_of, shown_command
from bcclone.system.settings import Checked, argument, setting

_SHOWN_SKIPS = 10  # how many rows that were left out are named


@dataclass(frozen=True)
class Exported(Checked):
    """What is exported, and where to."""

    source: str = argument("folder with recordings, a CSV file, a pattern, a store, or a model")
    to: str = setting(
        MISSING,
        f"format: {', '.join(EXPORT_FORMATS)} for recordings and stores, {', '.join(FORMATS)} for "
        "models",
        choices=(*EXPORT_FORMATS, *FORMATS),
    )
    output: Path | None = setting(
        None, "file or folder to write", shown=f"{ExportSettings.output}, or named like the model"
    )


@command(ExportSettings, ExportModelSettings)
def export(given: Given, chosen: Exported) -> Result:
    """Write a recording, a store or a model in the format of another program.

    Recordings and stores become a CSV table, or a tub of donkeycar; rows that `bcclone edit` has
    deleted are left out. A model becomes a file for ONNX Runtime, LiteRT or donkeycar that takes
    the camera's own pictures, with a short program beside it that steers with it; the result says
    how far its steering differs from the model's. A failed export writes nothing.
    """
    from bcclone.system.hdf5_file import kind_of

    is_model = chosen.to in FORMATS
    source = Path(chosen.source)
    without_effect = ExportSettings if is_model else ExportModelSettings
    given.refuse(without_effect, f"has no effect with --to {chosen.to}; leave it out")
    if is_model and source.is_dir():
        raise UserError(
            f"{source}: a folder, expected a model file; recordings go --to "
            f"{next(iter(EXPORT_FORMATS))}"
        )
    if not is_model and (source.suffix in MODEL_ENDINGS or kind_of(source) == "model"):
        raise UserError(
            f"{source}: a model, expected a recording or a store; a model goes --to "
            f"{' or '.join(FORMATS)}"
        )
    if is_model:
        from bcclone.realcar.export_model.model_export import export_model

        return Result.of(export_model(given.make(ExportModelSettings, model=source), notify))
    from bcclone.exchange import recording_export

    result = recording_export.export(given.make(ExportSettings))
    return Result(
        result,
        f"{result.output}: {result.format}, {number_of(result.rows, 'row')} in "
        f"{number_of(result.episodes, 'episode')}, cameras {', '.join(result.cameras)}, "
        f"{len(result.skipped)} left out; it took {result.seconds:.1f} s",
        notes=[f"left out: {line}" for line in result.skipped[:_SHOWN_SKIPS]],
    )


@command()
def import_(settings: ImportSettings) -> Result:
    """Write what another program recorded as a recording, which preprocess.py takes.

    The recording has driving_log.csv and IMG/, as the simulator writes them. SOURCE is a donkeycar
    tub, a LeRobot data set, a folder of frames with a table, a video with a table, or our own
    table.csv. Rows that cannot be used are counted and left out. Steering is -1 (left) to 1
    (right), where 1 is 25 degrees of the front wheels, or --max-degrees.
    """
    if settings.steering:
        from bcclone.realcar.film import import_film as read
    else:
        from bcclone.exchange.recording_import import import_recording as read

    result = read(settings)
    notes = []
    if result.converted:
        is_framed = settings.framing or settings.steering
        how = f"framed by {settings.framing or result.output}" if is_framed else "stretched"
        notes.append(
            f"note: {number_of(result.converted, 'image')} {how} to JPEG of 320x160 pixels"
        )
    if result.deleted:
        notes.append(
            f"note: {number_of(result.deleted, 'row')} marked as deleted, as in the source; "
            f"to change that: {shown_command('edit', result.output)}"
        )
    return Result.of(result, notes=notes)


@command()
def import_model(settings: ImportModelSettings) -> Result:
    """Convert an older Keras model (.h5 or .keras, Keras 1 to 3) to a model file that stores its
    preprocessing.

    The converted model can be driven, scored and fine-tuned without --preprocess. The network is
    rebuilt layer by layer; no code in the old file is run.
    """
    from bcclone.model import import_model as importing

    return Result.of(importing.import_model(settings, notify))


@command()
def calibrate(settings: CalibrateSettings) -> Result:
    """Fit a model to a car: find how its camera's pictures become frames, and the gain and bias of
    its steering.

    FRAMES is a tub, a recording, or a folder of pictures, whose steering LABELS holds, a table with
    the columns frame_id and steering_angle. On pictures from the whole drive, the framing is sought
    with which the model's steering agrees best with the recorded one; then its gain and bias are
    fitted. All are written into a copy of the model, which `bcclone predict`, `replay`, `drive` and
    `export` then use by themselves. Beside it, OUTPUT.framing.json is for `bcclone import SOURCE
    --framing FILE`, and OUTPUT.framing.png shows what was found. What you know already, you give as
    an option.
    """
    from bcclone.realcar import calibration

    result = calibration.calibrate(settings, notify)
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
    from bcclone.research.improve import improvement

    return Result.of(improvement.improve(settings, notify))
