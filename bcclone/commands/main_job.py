"""The main job: recordings -> a store -> a trained network -> a drive -> a clip of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bcclone.commands.command import Command, Given, Result, command, list_of, notify
from bcclone.dataset.sample_settings import PreprocessSettings, SampleSettings
from bcclone.drive.drive_settings import DriveSettings
from bcclone.feed.feed_settings import STRATEGIES
from bcclone.pictures.settings import ClipSettings
from bcclone.system.errors import UserError, shown_command
from bcclone.system.settings import argument, read_settings_file, setting
from bcclone.system.values import names_of
from bcclone.training.train_settings import (
    NETWORKS,
    SETTING_NAMES,
    RunFiles,
    TrainSettings,
    WorkerSettings,
    are_several,
    read_settings,
)

if TYPE_CHECKING:  # they load pandas, OpenCV and tqdm
    from bcclone.training.result import TrainResult

_SETTINGS_FILE = setting(
    None,
    "read settings from this TOML file; options override them",
    unit="FILE",
    shown="none",
    option="settings",
)
_SHOWN_RUNS = 5  # how many runs a message names


# ---- preprocess


@command(
    PreprocessSettings,
    after_interrupt="an existing store is unchanged; a folder keeps its finished shards, which the "
    "same command and --resume complete",
)
def preprocess(
    given: Given,
    recordings: tuple[str, ...] = argument(
        "folder with a driving_log.csv or other CSV logs, a CSV file, or a pattern",
        (),
        unit="RECORDING",
        shown="driving_log.csv, or else the recordings in ./recordings/ or ./data/",
    ),
    check: bool = setting(
        False,
        "only inspect the recordings and report their faults, with a remedy for each; exit code 1 "
        "if there are some",
    ),
    file: Path | None = _SETTINGS_FILE,
) -> Result:
    """Turn recordings of the simulator into one HDF5 store for training.

    RECORDING is a folder with a driving_log.csv or other CSV logs, a CSV file, or a pattern such as
    'recordings/*/'. Without it, the command reads driving_log.csv of the current folder, or else
    the recordings in ./recordings/ or ./data/.
    """
    # options override the settings file
    values = read_settings_file(file, PreprocessSettings) if file else {}
    values |= given.of(PreprocessSettings)

    # without a RECORDING, take those in the usual places; except where --add only adds recordings
    # of validation or test to a store
    whole_sets = {"validation_recordings", "test_recordings"}
    adds_others = values.get("add") and not whole_sets.isdisjoint(values)
    if not recordings and (check or not adds_others):
        from bcclone.recording.files import default_inputs

        recordings = tuple(default_inputs())
        notify(f"no RECORDING named; taking {', '.join(recordings)}")

    if check:
        given.refuse(
            PreprocessSettings,
            "changes nothing in --check, which takes recordings as they are; leave it out",
        )
        return _check(recordings)

    explicit = tuple(name for name in names_of(SampleSettings) if name in values)
    settings = PreprocessSettings(recordings, explicit=explicit, **values)
    from bcclone.commands.next_steps import after_preprocess
    from bcclone.dataset.conversion import convert
    from bcclone.simulator.traced import off_road_images

    result = convert(settings, notify, off_road_images)
    notes = [f"note: {notice}" for notice in result.notices]
    notes += [f"skipped: {reason}" for reason in result.skips]
    text = f"{result.as_text()}\n{after_preprocess(result)}"
    return Result(result.as_json(), text, notes=notes)


def _check(inputs: Sequence[str]) -> Result:
    """Report the faults of recordings; the exit code is 1 for faults, 2 for an unreadable log."""
    from bcclone.commands.next_steps import after_check
    from bcclone.diagnosis.check import RECORD_ALSO, advise, check

    reports = check(inputs)
    diagnoses = [report.diagnosis for report in reports if report.diagnosis]
    advice = advise(diagnoses)
    parts = [report.as_text() for report in reports]
    if advice:
        parts.append("\n  ".join((f"{RECORD_ALSO}:", *advice)))
    parts += filter(None, [after_check(inputs, reports)])
    as_json = {"recordings": [report.as_json() for report in reports], "record_next": list(advice)}
    code = 0
    if any(diagnosis.findings for diagnosis in diagnoses):
        code = 1
    if any(report.log is None for report in reports):
        code = 2
    return Result(as_json, "\n\n".join(parts), code=code)


# ---- model


@command(
    TrainSettings,
    titles={
        "network": list_of(NETWORKS),
        "augmentation": "random changes to the samples, new ones in each epoch; 0 turns a kind off",
        "feed": "how samples are loaded; "
        "all feeds that shuffle the whole store give the same batches\n\n"
        + list_of({name: strategy.text for name, strategy in STRATEGIES.items()}),
    },
)
def model(
    given: Given,
    several: WorkerSettings,
    resumes: bool = setting(
        False, "continue the newest run with this store and output", option="resume"
    ),
    no_plots: bool = setting(False, "draw no pictures and write no report at the end"),
    file: Path | None = _SETTINGS_FILE,
) -> Result:
    """Train the network on a store, or directly on recordings.

    Each training writes settings, history, checkpoints, model, pictures and a report into its own
    run folder, runs/NAME/. At the end the model is copied to the output.
    """
    files = given.make(RunFiles)
    chosen = chosen_settings(given, file)
    from bcclone.training.train import resume, train

    result: TrainResult | None
    if are_several(several) or chosen.get("gpus", 1) != 1:
        from bcclone.training.several import train_together

        result = train_together(several, files, chosen, resumes, notify)
    elif resumes:
        result = resume(files, chosen, notify)
    else:
        result = train(TrainSettings(**given.of(RunFiles), **chosen), notify)
    if result is None:  # another machine writes the results
        return Result(None, text=None)
    if result.was_complete:  # a notice has described its result, and its pictures are drawn
        return Result(result.as_json(), text=None)

    from bcclone.commands.next_steps import after_training

    report = None if no_plots else _draw(result, files)
    text = f"{result.as_text()}\n{after_training(result)}"
    return Result(result.as_json(), text, wrote=[report] if report else [])


def chosen_settings(given: Given, file: Path | None) -> dict[str, Any]:
    """Return the settings that options and the settings file choose, by name; raises UserError."""
    values = read_settings(file) if file else {}
    return values | {name: given[name] for name in SETTING_NAMES if name in given}


def _draw(result: "TrainResult", files: RunFiles) -> Path | None:
    """Draw the pictures of a training, and return its report.

    A KeyboardInterrupt says that the model is written.
    """
    try:
        from bcclone.commands.next_steps import training_commands
        from bcclone.pictures.all_pictures import draw_training

        return draw_training(result, files.data, training_commands(result), notify)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{files.output} is written; not all of its pictures are drawn, which "
            f"{shown_command('plots', files.output, *files.data)} does"
        ) from None


# ---- drive and video


@command(after_interrupt="frames that were recorded are in the folder of the run")
def drive(given: Given, settings: DriveSettings) -> Result:
    """Serve a trained model to the simulator, which connects to port 4567 in its autonomous mode.

    With RUN, frames and controls are recorded into that folder. Without it, nothing is recorded
    until you press "Start recording" on the web page, which records into a new folder
    run-DATE_TIME in the current folder.
    """
    from bcclone.commands.next_steps import after_drive
    from bcclone.drive.drive import serve_typed

    def next_step(folder: Path) -> str:
        return after_drive(folder, settings.model)

    result = serve_typed(given.typed, next_step, settings, given.say)
    notify(f"ended; {result.answered} frames answered, {result.faults} faults")
    if result.folder is not None:
        recorded = f"{result.folder}: {result.recorded} frames recorded"
        if result.dropped:
            recorded += f", {result.dropped} dropped"
        notify(recorded)
        if result.recorded:
            notify(next_step(result.folder))
    return Result(result, text=None)


@command(ClipSettings)  # no parameter, since it cannot be made without a run
def video(
    given: Given,
    run: Path | None = argument("folder that drive.py recorded, or a recording", None),
) -> Result:
    """Make a clip of a run folder that drive.py recorded, or of the centre camera of a recording.

    --overlay draws the recorded values of each frame: steering, speed, latency, distance from the
    centre line and a map. With --model it also draws the steering of that model and a saliency
    overlay: the pixels that decide the steering.
    """
    if run is None:
        from bcclone.pictures.recorded_run import find_runs

        remedy = (
            f"record one with: {shown_command('drive', 'model.h5', 'run1')}; without Udacity's "
            f"simulator: {shown_command('evaluate', 'model.h5', '-o', 'score')}, whose drive is "
            "score/drive"
        )
        runs = find_runs(Path())[:_SHOWN_RUNS]
        if runs:
            remedy = f"in this folder, the newest first: {', '.join(map(str, runs))}"
        raise UserError(f"name the run to show; {remedy}", exit_code=2)
    settings = given.make(ClipSettings)
    from bcclone.pictures.clip import make_clip

    clip = make_clip(settings)
    value = {
        "output": str(clip.output),
        "frames": clip.frames,
        "skipped": len(clip.skipped),
        "seconds": round(clip.seconds, 3),
    }
    text = (
        f"{clip.output}: {clip.frames} frames, {clip.seconds:.1f} s at {clip.rate:g} a second, "
        f"{len(clip.skipped)} skipped"
    )
    notes = [f"{run}: {note}" for note in clip.notes]
    notes += [f"skipped: {reason}" for reason in clip.skipped]
    return Result(value, text, notes=notes)


COMMANDS: dict[str, Command] = {
    "preprocess": preprocess,
    "model": model,
    "drive": drive,
    "video": video,
}
