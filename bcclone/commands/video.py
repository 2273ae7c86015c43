"""Make a clip of a run folder that drive.py recorded, or of the centre camera of a recording.

--overlay draws the recorded values of each frame: steering, speed, latency, distance from the centre line and a map.
With --model it also draws the steering of that model and a saliency overlay: the pixels that decide the steering.
"""

from dataclasses import dataclass
from pathlib import Path

from bcclone.commands.options import Command, Given, Result, describe_unchanged, notify
from bcclone.pictures.video.clip_settings import ClipSettings
from bcclone.system.errors import UserError
from bcclone.system.settings import argument

_SHOWN_RUNS = 5


@dataclass(frozen=True)
class Run:
    """The run to show."""

    run: Path | None = argument("folder that drive.py recorded, or a recording", None)


COMMAND = Command("make a clip of a run", (Run, ClipSettings))


def run(given: Given) -> Result:
    """Make the clip."""
    settings = _settings(given)
    from bcclone.pictures.video.clip import make_clip

    clip = make_clip(settings)
    for note in (*clip.notes, *(f"skipped: {reason}" for reason in clip.skipped)):
        notify(note)
    text = f"{clip.path}: {clip.frames} frames, {clip.seconds:.1f} s, {len(clip.skipped)} skipped"
    return Result(clip.as_json(), text)


def interrupted(given: Given) -> str:
    """Return what is left after Ctrl-C."""
    return describe_unchanged(given.of(ClipSettings).get("output") or _settings(given).path)


def _settings(given: Given) -> ClipSettings:
    if not given.of(Run):
        raise _no_run_named()
    return given.make(ClipSettings)


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
