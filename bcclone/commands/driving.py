"""The commands drive and video: let a model drive the simulator's car, and make clips of runs.

- drive: a model file -> a server that answers telemetry with steering and throttle, and may record
  a run folder;
- video: a run folder or a recording -> a clip, MP4 or GIF.
"""

from dataclasses import dataclass
from pathlib import Path

from bcclone.commands.options import Given, Result, command, notify
from bcclone.drive.drive_settings import DriveSettings
from bcclone.pictures.clip_settings import ClipSettings
from bcclone.system.errors import UserError, shown_command
from bcclone.system.settings import Checked, argument

_SHOWN_RUNS = 5  # how many runs a message names


@dataclass(frozen=True)
class Run(Checked):
    """The run to show."""

    run: Path | None = argument("folder that drive.py recorded, or a recording", None)


@command(
    after_interrupt=lambda given: given.kept(
        "run_folder", "what was recorded", otherwise="nothing was recorded"
    ),
)
def drive(given: Given, settings: DriveSettings) -> Result:
    """Serve a trained model to the simulator, which connects to port 4567 in its autonomous mode.

    With RUN, frames and controls are recorded into that folder. Without it, nothing is recorded
    until you press "Record" on the web page, which records into a new folder run-DATE_TIME in the
    current folder.
    """
    from bcclone.drive.drive import serve

    result = serve(settings, given.say)
    notify(f"ended; {result.answered} frames answered, {result.faults} faults")
    if result.folder is not None:
        recorded = f"{result.folder}: {result.recorded} frames recorded"
        if result.dropped:
            recorded += f", {result.dropped} dropped"
        notify(recorded)
        if result.recorded:
            notify(f"next: {shown_command('video', result.folder)}")
    return Result(result, text=None)


@command(ClipSettings)
def video(given: Given, shown: Run) -> Result:
    """Make a clip of a run folder that drive.py recorded, or of the centre camera of a recording.

    --overlay draws the recorded values of each frame: steering, speed, latency, distance from the
    centre line and a map. With --model it also draws the steering of that model and a saliency
    overlay: the pixels that decide the steering.
    """
    if shown.run is None:
        from bcclone.pictures.run_data import find_runs

        remedy = f"record one with: {shown_command('drive', 'model.h5', 'run1')}"
        runs = find_runs(Path())[:_SHOWN_RUNS]
        if runs:
            remedy = f"in this folder, the newest first: {', '.join(map(str, runs))}"
        raise UserError(f"name the run to show; {remedy}", exit_code=2)
    # ClipSettings is no parameter, since it cannot be made without a run; make() takes the run, too
    settings = given.make(ClipSettings)
    from bcclone.pictures.clip import make_clip

    clip = make_clip(settings)
    skipped = [f"skipped: {reason}" for reason in clip.skipped]
    return Result.of(clip, notes=[*clip.notes, *skipped])
