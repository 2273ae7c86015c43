"""A car that drives: the simulator's with a model, or the built-in one with you."""

import time
from dataclasses import dataclass
from functools import partial

from bcclone.commands.options import Given, Result, command, notify
from bcclone.drive.drive_settings import DriveSettings
from bcclone.drive.process import end_with_stdin
from bcclone.lab.monitor import WatchSettings
from bcclone.play.play_settings import PlaySettings
from bcclone.system.settings import setting


@dataclass(frozen=True)
class Standing:
    """How a server ends."""

    end_with_stdin: bool = setting(False, "exit when standard input is closed, for programs that start the server")


@command(
    "drive the simulator's car with a model",
    left=lambda given: given.kept("run_folder", "what was recorded", otherwise="nothing was recorded"),
)
def drive(given: Given, settings: DriveSettings, watched: WatchSettings, standing: Standing) -> Result:
    """Serve a trained model to the simulator, which connects to port 4567 in its autonomous mode.

    With RUN, frames and controls are recorded into that folder. Without it, nothing is recorded until you press
    "Record" on the web page, which records into a new folder run-DATE_TIME in the current folder.
    """
    watch = watched.file
    from bcclone.drive.server import serve

    if standing.end_with_stdin:
        end_with_stdin()
    opener = partial(watch.opener([settings.model]), time.monotonic) if watch else None
    result = serve(settings, given.say, open_watch=opener)
    notify(f"ended; {result.answered} frames answered, {result.faults} faults")
    if result.folder is not None:
        dropped = f", {result.dropped} dropped" if result.dropped else ""
        notify(f"{result.folder}: {result.recorded} frames recorded{dropped}")
        if result.recorded:
            notify(f"next: bcclone video {result.folder}")
    return Result(result, None)


@command("drive the built-in simulator yourself", left="nothing was recorded")
def play(given: Given, settings: PlaySettings, standing: Standing) -> Result:
    """Drive the built-in simulator yourself, on a web page: with keys, mouse, gamepad or the thumbs of a phone.

    With --model, a model drives, and you take over whenever you steer. R records in the simulator's format.
    """
    from bcclone.play import play_server

    if standing.end_with_stdin:
        end_with_stdin()
    result = play_server.play(settings, given.say)
    notify(result.as_text())
    return Result(result, None)
