"""Serve a trained model to the simulator, which connects to port 4567 in its autonomous mode.

With RUN, frames and controls are recorded into that folder. Without it, nothing is recorded until you press "Record" on
the web page, which records into a new folder run-DATE_TIME in the current folder.
"""

import time
from functools import partial

from bcclone.commands.options import Command, Given, Result, Standing, find_watch, notify
from bcclone.drive.drive_settings import DriveSettings
from bcclone.drive.process import end_with_stdin
from bcclone.lab.monitor.monitor_settings import WatchSettings

COMMAND = Command("drive the simulator's car with a model", (DriveSettings, WatchSettings, Standing))


def run(given: Given) -> Result:
    """Serve until Ctrl-C."""
    watch, settings = find_watch(given), given.make(DriveSettings)
    from bcclone.drive.server import serve

    if given.make(Standing).end_with_stdin:
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


def interrupted(given: Given) -> str:
    """Return what is left after Ctrl-C."""
    folder = given.of(DriveSettings).get("run_folder")
    return f"{folder} keeps what was recorded" if folder and folder.exists() else "nothing was recorded"
