"""Make a clip of a run folder that drive.py recorded, or of the centre camera of a recording.

--overlay draws the recorded values of each frame: steering, speed, latency, distance from the centre line and a map.
With --model it also draws the steering of that model and a saliency overlay: the pixels that decide the steering.
"""

import argparse
from pathlib import Path

from bcclone.commands.options import add_settings, chosen, describe_unchanged, local_path, notify, print_result
from bcclone.pictures.video.clip_settings import ClipSettings
from bcclone.system.errors import UserError

SUMMARY = "make a clip of a run"
_SHOWN_RUNS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "run", type=local_path, nargs="?", metavar="RUN", help="folder that drive.py recorded, or a recording"
    )
    add_settings(parser, ClipSettings)


def run(arguments: argparse.Namespace) -> int:
    """Make the clip; return the exit code. Raises UserError."""
    settings = _settings(arguments)
    from bcclone.pictures.video.clip import make_clip

    clip = make_clip(settings)
    for note in (*clip.notes, *(f"skipped: {reason}" for reason in clip.skipped)):
        notify(note)
    text = f"{clip.path}: {clip.frames} frames, {clip.seconds:.1f} s, {len(clip.skipped)} skipped"
    print_result(arguments, clip.as_json(), text)
    return 0


def interrupted(arguments: argparse.Namespace) -> str:
    """Return what is left after Ctrl-C."""
    try:
        return describe_unchanged(arguments.output or _settings(arguments).path)
    except UserError:  # interrupted before the options were checked
        return "nothing was written"


def _settings(arguments: argparse.Namespace) -> ClipSettings:
    if arguments.run is None:
        raise _no_run_named()
    return chosen(ClipSettings, arguments)


def _no_run_named() -> UserError:
    """Return the error of a command line without RUN, which names the runs that are here."""
    from bcclone.pictures.video.run_frames import find_runs

    runs = [path.name for path in find_runs(Path())]
    if not runs:
        text = "name the run to show; there is none in this folder: record one with: bcclone drive model.h5 run1"
    else:
        more = f" and {len(runs) - _SHOWN_RUNS} more" if len(runs) > _SHOWN_RUNS else ""
        text = (
            f"name the run to show, such as: bcclone video {runs[0]}; "
            f"in this folder, the newest first: {', '.join(runs[:_SHOWN_RUNS])}{more}"
        )
    return UserError(text, exit_code=2)
