"""A car that drives: the simulator's with a model, the built-in one with you or others; many roads;
clips of runs.
"""

from dataclasses import dataclass
from pathlib import Path

from bcclone.commands.options import Given, Result, command, notify
from bcclone.drive.drive_settings import DriveSettings
from bcclone.game.play_settings import PlaySettings
from bcclone.pictures.clip_settings import ClipSettings
from bcclone.research.road_samples import RoadSamplesSettings
from bcclone.simulator.world_settings import RecordSettings, ServerSettings, SimulationSettings
from bcclone.system.errors import UserError, shown_command
from bcclone.system.settings import argument, setting

_SHOWN_RUNS = 5


@dataclass(frozen=True)
class Run:
    """The run to show."""

    run: Path | None = argument("folder that drive.py recorded, or a recording", None)


@dataclass(frozen=True)
class ServerEnd:
    """How a server ends."""

    end_with_stdin: bool = setting(
        False, "exit when standard input is closed, for programs that start the server"
    )


@command(
    "drive the simulator's car with a model",
    left=lambda given: given.kept(
        "run_folder", "what was recorded", otherwise="nothing was recorded"
    ),
)
def drive(given: Given, settings: DriveSettings, standing: ServerEnd) -> Result:
    """Serve a trained model to the simulator, which connects to port 4567 in its autonomous mode.

    With RUN, frames and controls are recorded into that folder. Without it, nothing is recorded
    until you press "Record" on the web page, which records into a new folder run-DATE_TIME in the
    current folder.
    """
    from bcclone.drive.server import end_with_stdin, serve

    if standing.end_with_stdin:
        end_with_stdin()
    result = serve(settings, given.say)
    notify(f"ended; {result.answered} frames answered, {result.faults} faults")
    if result.folder is not None:
        dropped = f", {result.dropped} dropped" if result.dropped else ""
        notify(f"{result.folder}: {result.recorded} frames recorded{dropped}")
        if result.recorded:
            notify(f"next: {shown_command('video', result.folder)}")
    return Result(result, None)


@command("drive the built-in simulator yourself", left="nothing was recorded")
def play(given: Given, settings: PlaySettings, standing: ServerEnd) -> Result:
    """Drive the built-in simulator yourself, on a web page: with keys, mouse, gamepad or the thumbs
    of a phone.

    A MODEL, if you name one, drives, and you take over whenever you steer. R records in the
    simulator's format.
    """
    from bcclone.drive.server import end_with_stdin
    from bcclone.game import play_server

    if standing.end_with_stdin:
        end_with_stdin()
    result = play_server.play(settings, given.say)
    notify(result.as_text())
    return Result(result, None)


@dataclass(frozen=True)
class Folder:
    """The folder to record into."""

    folder: Path = argument("folder to record into; must be new or empty", unit="DIR")


@command("let a drive server drive the simulated car")
def simulate_drive(settings: SimulationSettings, server: ServerSettings) -> Result:
    """Connect to a drive server, and let it drive the simulated car, as in the Unity program's
    autonomous mode.
    """
    from bcclone.simulator.simulate import simulate

    result = simulate(settings, server)
    score = result.score
    text = (
        f"{result.report.summary()}\n"
        f"{score.distance_m:.0f} m in {score.seconds:.0f} s, {score.mean_abs_cross_track_m:.2f} m from "
        f"the centre line on average, {score.max_abs_cross_track_m:.2f} m at most; it ended: {score.ended}"
    )
    if result.traced is not None:
        text += f"\n{settings.run_folder}: the position of the car at {result.traced} frames, for video.py"
    return Result(result.as_json(), text)


@command("let the built-in expert drive, and record it")
def simulate_record(target: Folder, settings: RecordSettings) -> Result:
    """Let an expert driver drive in the built-in simulator, and record it in the format of the
    Unity program.
    """
    from bcclone.simulator.record import record

    recorded = record(target.folder, settings)
    return Result(
        recorded,
        f"{recorded.log}: {recorded.rows} rows, {recorded.distance_m:.0f} m in {recorded.seconds:.0f} s\n"
        f"next: {shown_command('preprocess', target.folder, '-o', 'data.h5')}",
    )


@command("write a store of frames of many random roads")
def simulate_roads(settings: RoadSamplesSettings) -> Result:
    """Render frames all over many random roads, with the steering of an expert, and write them as a
    store.
    """
    from bcclone.research.road_samples.rendering import make_road_samples

    result = make_road_samples(settings, notify)
    return Result(
        result,
        f"{result.output}: {result.frames} frames of {result.roads} roads, {result.train} training and "
        f"{result.validation} validation samples, {result.seconds:.0f} s\n"
        f"next: {shown_command('model', result.output, '-o', 'model.h5', '--predict', 'path')}",
    )


@command("make a clip of a run", ClipSettings)
def video(given: Given, shown: Run) -> Result:
    """Make a clip of a run folder that drive.py recorded, or of the centre camera of a recording.

    --overlay draws the recorded values of each frame: steering, speed, latency, distance from the
    centre line and a map. With --model it also draws the steering of that model and a saliency
    overlay: the pixels that decide the steering.
    """
    if shown.run is None:
        from bcclone.pictures.run_data import find_runs

        runs = ", ".join(map(str, find_runs(Path())[:_SHOWN_RUNS]))
        here = (
            f"in this folder, the newest first: {runs}"
            if runs
            else "record one with: bcclone drive model.h5 run1"
        )
        raise UserError(f"name the run to show; {here}", exit_code=2)
    settings = given.make(ClipSettings)
    from bcclone.pictures.clip import make_clip

    clip = make_clip(settings)
    notes = *clip.notes, *(f"skipped: {reason}" for reason in clip.skipped)
    return Result.of(clip, notes=notes)
