"""Drive the built-in simulator yourself, on a web page: with keys, mouse, gamepad or the thumbs of a phone.

With --model, a model drives, and you take over whenever you steer. R records in the simulator's format.
"""

from bcclone.commands.options import Command, Given, Result, Standing, notify, number_of
from bcclone.drive.process import end_with_stdin
from bcclone.play.play_settings import PlayResult, PlaySettings

COMMAND = Command("drive the built-in simulator yourself", (PlaySettings, Standing), left="nothing was recorded")


def run(given: Given) -> Result:
    """Serve until Ctrl-C."""
    settings = given.make(PlaySettings)
    from bcclone.play.play_server import play

    if given.make(Standing).end_with_stdin:
        end_with_stdin()
    result = play(settings, given.say)
    notify(_summary(result))
    return Result(result, None)


def _summary(result: PlayResult) -> str:
    best = "" if result.best_lap_seconds is None else f", the fastest in {result.best_lap_seconds:.1f} s"
    lines = [f"ended; {result.laps:.2f} laps driven{best}"]
    if result.folders:
        folders = " ".join(map(str, result.folders))
        dropped = f", {result.dropped} dropped" if result.dropped else ""
        lines += [
            f"{number_of(result.rows, 'row')} recorded{dropped}",
            f"next: bcclone preprocess {folders} -o data.h5",
        ]
    return "\n".join(lines)
