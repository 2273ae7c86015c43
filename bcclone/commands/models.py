"""The commands on models: those that draw, improve and fit them, and those that score them.

- plots: a model and its samples -> pictures in a folder;
- improve: a model, with take-overs or the expert to learn from -> a better model;
- calibrate: a model and a drive of a car -> a copy of the model that is fitted to the car;
- import-model: an older Keras model -> a model file;
- evaluate, suite: models -> the scores of one simulated drive, or of many;
- margin: models and a road -> maps of the places from which they come back to its middle;
- replay: models and a recording -> their scores along it;
- predict: a model and frames -> a table of the steering for each frame.

With -o, those that score models also write a report with pictures and figures into a folder.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bcclone.commands.command import Command, Result, command, list_of, notify
from bcclone.evaluation.settings import (
    EvaluateSettings,
    PredictSettings,
    ReplaySettings,
    SuiteSettings,
)
from bcclone.model.import_model import ImportModelSettings
from bcclone.pictures.settings import PlotSettings
from bcclone.realcar.calibrate_settings import CalibrateSettings
from bcclone.recording.run_folder import is_free
from bcclone.research.improve_settings import ImproveSettings
from bcclone.research.margin_settings import MarginSettings
from bcclone.system.codec import read_json
from bcclone.system.errors import UserError, number_of
from bcclone.system.files import KEPT_FOLDERS, RESULTS, new_folder, writing
from bcclone.system.interrupts import noting_interrupts
from bcclone.system.settings import Force, argument, setting

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from bcclone.evaluation.evaluate import Evaluation
    from bcclone.evaluation.replay import Replayed
    from bcclone.evaluation.suite import SuiteResult
    from bcclone.research.rounds import Improvement

_STORE = "data.h5"  # usual name of a store


@command(after_interrupt="the pictures that were finished are kept")
def plots(settings: PlotSettings) -> Result:
    """Draw pictures of a trained model, of the samples it was trained on, and of its predictions.

    Without -o, the pictures are written to plots/ in the run folder of the model or, if it has
    none, to MODEL-plots beside the model. They replace earlier ones; other files stay. Pictures for
    which the model or the samples lack the data are skipped, with the reason. With one JPEG or PNG
    of the camera in place of samples, what the network sees in it is drawn into MODEL-plots: the
    crop, the activations and the saliency.
    """
    if not settings.data and Path(_STORE).is_file():
        settings = replace(settings, data=(_STORE,))
        notify(
            f"samples: those of {_STORE} in this folder; "
            "name another store or recordings after the model"
        )
    from bcclone.pictures.all_pictures import plot

    result = plot(settings, notify)
    lines = {name: str(path) for name, path in result.drawn.items()}
    lines |= {name: f"left out: {reason}" for name, reason in result.skipped.items()}
    return Result(result, list_of(lines))


@command()
def import_model(settings: ImportModelSettings) -> Result:
    """Convert an older Keras model (.h5 or .keras, Keras 1 to 3) to a model file that stores its
    preprocessing.

    The converted model can be driven, scored and fine-tuned without --preprocess. The network is
    rebuilt layer by layer; no code in the old file is run.
    """
    from bcclone.commands.next_steps import after_model
    from bcclone.model import import_model as importing

    result = importing.import_model(settings, notify)
    return Result(
        result,
        f"its frames are prepared as {result['preprocessing']}\n"
        f"{settings.output}: written\n{after_model(settings.output)}",
    )


@command()
def calibrate(settings: CalibrateSettings) -> Result:
    """Fit a model to a car: find how its camera's pictures become frames, and the gain and bias of
    its steering.

    FRAMES is a tub or a recording. The command takes pictures from the whole drive, finds the
    framing with which the model's steering agrees best with the recorded one, and then fits gain
    and bias. All of that is written into a copy of the model, with which `bcclone predict`,
    `replay`, `drive` and `export` need nothing else. Beside it, OUTPUT.framing.json is for `bcclone
    import SOURCE --framing FILE`, and OUTPUT.framing.png shows what was found. Give as an option
    what you know already; it is not searched for.
    """
    from bcclone.commands.next_steps import after_calibration
    from bcclone.realcar.calibrate import calibrate as calibrate_model

    result = calibrate_model(settings, notify)
    if result.unreadable:
        notify(
            f"note: {number_of(result.unreadable, 'picture')} left out: unreadable, or of another "
            "size"
        )
    return Result(result, f"{result.as_text(settings)}\n{after_calibration(result, settings)}")


@command(
    after_interrupt="the work folder keeps what was done so far; continue with the same command "
    "and --resume",
)
def improve(settings: ImproveSettings) -> Result:
    """Train a model on so that it drives better, and compare it before and after.

    RECORDING is one in which the model drives and a person takes over where it goes wrong
    (drivers.csv), or an earlier one of a person alone. The corrections are mixed with the other
    recordings and with what the model does well, so that nothing is unlearned; rows off the road
    are left out. The model then drives past the places of the take-overs, on the same road and in
    the same light and weather, and the whole road. With --expert, the model drives the built-in
    simulator in rounds, and learns how the built-in expert would have steered in the states that it
    got into (DAgger), until it drives the rows of the suite without an intervention.

    Where nothing became better, nothing is written to -o, and the exit code is 1.
    """
    from bcclone.commands.next_steps import after_improvement
    from bcclone.research import improve as improvement

    result = improvement.improve(settings, notify)
    best = settings.output if result.is_improved else settings.model
    return _scored(result, following=after_improvement(best), code=int(not result.is_improved))


# ---- scores

# subfolders with finished drives of a suite, and with finished parts of a map of margins
_DRIVES, _PARTS = KEPT_FOLDERS
DRIVE_FOLDER = "drive"  # subfolder with the recorded drive of an evaluation

_MODELS = argument("a model file, or several", unit="MODEL")
_OUTPUT = setting(
    None,
    "folder to write a report, pictures and figures into",
    unit="DIR",
    shown="none",
    writes=True,
)
_FORCE = setting(False)


@command(
    # a score must not depend on how fast this machine is; the drive is recorded into -o
    without=("real_time",),
    after_interrupt="there is no score, and nothing was recorded; an older drive is unchanged",
)
def evaluate(
    settings: EvaluateSettings,
    model: Path = argument("a model file"),
    output: Path | None = setting(
        None,
        "folder to write a report, pictures and figures into, with a clip and a recording of the "
        "drive",
        unit="DIR",
        shown="none",
        writes=True,
    ),
    force: Force = _FORCE,
) -> Result:
    """Score a model by driving it around a simulated track: autonomy, interventions, distance from
    the centre line.

    The autonomy is (1 - interventions x 6 s / elapsed seconds) x 100; below 0, which --json gives,
    it is shown as 0 %. An intervention happens when a wheel leaves the asphalt; the car is then set
    back on the centre line. The exit code is 0 whatever the score is. After Ctrl-C there is no
    score, nothing is recorded, and what an earlier evaluation has left in -o is unchanged.

    With -o, the folder gets report.html, a page with the score, the map and the begin of the clip;
    clip.mp4, the whole drive with its overlay; and drive/, the drive as a recording.

    `bcclone suite` drives many scenarios with several models; `bcclone simulate drive` drives over
    the simulator's protocol.
    """
    from bcclone.evaluation import evaluate as evaluation

    if output is None:
        return _scored(evaluation.evaluate(model, settings))
    from bcclone.commands.next_steps import after_evaluation, drive_commands
    from bcclone.pictures.drive_clip import drawn_clip
    from bcclone.pictures.reports import CLIP_NAME, write_evaluation

    with writing(output, RESULTS, force):
        clip = output / CLIP_NAME
        drive = output / DRIVE_FOLDER
        _check_replaceable(drive)
        with (
            new_folder(drive, replaces=True) as folder,
            drawn_clip(clip, model.name) as watch,
        ):
            result = evaluation.evaluate(model, settings, watch, folder)
        commands = drive_commands(model, settings)
        with noting_interrupts():  # the older drive is gone, so its report has to go as well
            wrote = write_evaluation(output, result, settings, model, commands, clip)
    following = "" if settings.preprocess else after_evaluation(drive, model)
    return _scored(result, [drive, *wrote], following)


def _check_replaceable(drive: Path) -> None:
    """Raise UserError unless a recorded drive can be replaced: it is missing, or an earlier
    evaluation's, whose figures beside it have the driven line.
    """
    from bcclone.pictures.reports import FIGURES_NAME

    if is_free(drive):
        return
    figures = drive.parent / FIGURES_NAME
    remedy = "remove the file, or choose another -o"
    if figures.is_file():
        stated = read_json(figures, dict[str, Any], "the figures of a drive", remedy)
        if "driven_line" in stated:
            return
    raise UserError(
        f"{drive}: a recording that no evaluation made, which is not replaced; move it to another "
        "place, or choose another -o"
    )


@command(
    after_interrupt="the folder of -o keeps the finished drives; the same command drives the others"
)
def suite(
    settings: SuiteSettings,
    models: tuple[Path, ...] = _MODELS,
    output: Path | None = _OUTPUT,
    force: Force = _FORCE,
) -> Result:
    """Score models by a suite: many simulated drives of each, under other speeds, latency, weather,
    cameras and roads.

    The standard suite has 20 scenarios, each a row of the table. The suite testing drives the lake
    in 37 weathers: fog, rain and snow from 10 to 100 %, day and night. The suite roads drives 30
    random roads at 15 and 25 mph, and lake and mountain in both directions. The drives run in
    parallel on all cores. With -o, any-road.h5, which comes with bcclone, the built-in expert and a
    car without steering drive the same scenarios, for comparison. Of several models, the best is
    named. A model that cannot be read is named with the reason, and found before anything drives;
    the others drive, and the exit code is 1.
    """
    from bcclone.evaluation import suite as scenarios

    wrote = []
    with writing(output, RESULTS, force), _pool(settings.scheduler) as pool:
        settings = replace(settings, kept=output / _DRIVES if output else None)
        result = scenarios.suite(models, settings, notify, pool)
        if output:
            from bcclone.commands.next_steps import suite_commands
            from bcclone.pictures.reports import write_suite

            beside = scenarios.drive_beside(result, settings, notify, pool)
            commands = suite_commands(result, settings.preprocess)
            wrote = write_suite(output, result, beside, commands)
    return _scored(result, wrote, code=int(bool(result.unreadable)))


@command(
    after_interrupt="the folder of -o keeps the finished parts; the same command computes the "
    "others"
)
def margin(
    settings: MarginSettings,
    models: tuple[Path, ...] = _MODELS,
    output: Path | None = _OUTPUT,
    force: Force = _FORCE,
) -> Result:
    """Map a model's margins: at each few metres of a road, from which offset and heading does the
    car come back?

    States of the car (place, offset, heading, at a held speed) are enumerated, each frame is
    rendered and answered by the model, and the states are followed by the simulated car's own law
    of motion. The map shows from how far to the left and to the right of the middle the car comes
    back, where this is least, and what to record there. With several models, each has its map, side
    by side.
    """
    from bcclone.research.margin_report import margin_text, write_margins
    from bcclone.research.margins import map_margins

    wrote = []
    with writing(output, RESULTS, force), _pool(settings.scheduler) as pool:
        settings = replace(settings, kept=output / _PARTS if output else None)
        maps = map_margins(models, settings, notify, pool)
        if output:
            wrote = write_margins(output, maps, settings)
    figures = {name: mapped.figures() for name, mapped in maps.items()}
    return Result(figures, margin_text(maps, settings), wrote=wrote)


def _scored(
    result: "Evaluation | SuiteResult | Replayed | Improvement",
    wrote: Sequence[Path] = (),
    following: str = "",
    code: int = 0,
) -> Result:
    """Return what a command that scores models prints: a table, sentences on it, what comes next.

    following: lines of what comes next, "" for none
    code: the exit code
    """
    text = "\n".join([str(result.table()), "", *result.sentences(), following])
    return Result(result.figures(), text.rstrip(), wrote=wrote, code=code)


def _pool(scheduler: str) -> "AbstractContextManager[Executor | None]":
    """Return a context manager of a Dask cluster's workers, or of None if `scheduler` is ""."""
    from bcclone.system.pool import open_pool

    return open_pool(scheduler=scheduler) if scheduler else nullcontext()


@command()
def replay(
    settings: ReplaySettings,
    models: tuple[Path, ...] = argument("model files to score", (), unit="MODEL", shown="none"),
    recording: str = argument(
        "folder with a driving_log.csv, or a CSV file; images of the side cameras may be missing"
    ),
    output: Path | None = _OUTPUT,
    force: Force = _FORCE,
) -> Result:
    """Score models by driving them through a recording.

    The car drives at the recorded speed. Where the model deviates from the recorded path, its
    camera view is computed from the frames of the three cameras. If the deviation exceeds --limit,
    the car is set back: an intervention. The autonomy is (1 - interventions x 6 s / elapsed
    seconds) x 100, and shown as 0 % below 0. For comparison, the recorded steering, zero steering
    and the mean steering are scored, too; with -o also any-road.h5, which comes with bcclone. Where
    speeds are missing, as in an imported tub, or the camera is another, they are estimated from the
    frames, in camera heights; this needs an import with a framing that has a lens. Otherwise only
    the steering is compared. The exit code is 0 whatever the scores are.
    """
    from bcclone.commands.next_steps import after_replay, replay_commands
    from bcclone.evaluation import replay as replaying
    from bcclone.model.model_path import SHIPPED, shipped_model

    wrote = []
    with writing(output, RESULTS, force):
        shipped = shipped_model(SHIPPED) if output else None
        result = replaying.replay_beside(models, recording, settings, shipped)
        if output:
            from bcclone.pictures.reports import write_replay

            commands = replay_commands(recording, result, settings.preprocess)
            wrote = write_replay(output, recording, result, commands)
    return _scored(result, wrote, after_replay(recording, result, settings.preprocess))


@command()
def predict(settings: PredictSettings) -> Result:
    """Predict the steering of a picture, of a folder of them or of a recording; write a table.

    The table has a line for each frame: frame_id is the name of its file without the ending, and
    steering_angle goes from -1 (left) to 1 (right). The framing of a calibrated model, or
    --framing, turns the images of a folder into frames. Without one, images of another size than
    320x160 pixels are stretched to it, or only their --rows.
    """
    from bcclone.evaluation import predict as prediction

    result = prediction.predict(settings)
    notes = [f"note: {note}" for note in result.notes]
    return Result(result, f"{result.output}: {number_of(result.frames, 'frame')}", notes=notes)


COMMANDS: dict[str, Command] = {
    "plots": plots,
    "improve": improve,
    "calibrate": calibrate,
    "import-model": import_model,
    "evaluate": evaluate,
    "suite": suite,
    "replay": replay,
    "predict": predict,
    "margin": margin,
}
