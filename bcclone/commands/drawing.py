"""Pictures of a model, and clips of runs."""

from dataclasses import dataclass, replace
from pathlib import Path

from bcclone.commands.options import Given, Result, command, list_of, notify
from bcclone.pictures.clip_settings import ClipSettings
from bcclone.pictures.plot_settings import PlotSettings
from bcclone.system.errors import UserError
from bcclone.system.settings import argument

_STORE = "data.h5"
_SHOWN_RUNS = 5


@dataclass(frozen=True)
class Run:
    """The run to show."""

    run: Path | None = argument("folder that drive.py recorded, or a recording", None)


@command("draw a model, its samples and its decisions", left="the pictures that were finished are kept")
def plots(settings: PlotSettings) -> Result:
    """Draw pictures of a trained model, of the samples it was trained on, and of its predictions.

    The pictures are written to plots/ in the run folder of the model or, if it has none, to MODEL-plots. Pictures for
    which the model or the samples lack the data are skipped, with the reason. With an image (a JPEG) instead of
    samples, one picture is drawn of what the model sees and answers in it.
    """
    if not settings.data and Path(_STORE).is_file():
        settings = replace(settings, data=(_STORE,))
        notify(f"samples: those of {_STORE} in this folder; name another store or recordings after the model")
    from bcclone.cluster.shards import open_if_store
    from bcclone.pictures.plots.all_pictures import draw_all, explore_image

    if settings.image:
        return Result.of(explore_image(settings))
    result = draw_all(settings, notify, open_if_store)
    for note in result.notes:
        notify(f"note: {note}")
    lines = {name: f"left out: {at}" if isinstance(at, str) else str(at) for name, at in result.pictures.items()}
    return Result(result.as_json(), list_of(lines))


@command("make a clip of a run", ClipSettings)
def video(given: Given, shown: Run) -> Result:
    """Make a clip of a run folder that drive.py recorded, or of the centre camera of a recording.

    --overlay draws the recorded values of each frame: steering, speed, latency, distance from the centre line and a
    map. With --model it also draws the steering of that model and a saliency overlay: the pixels that decide the
    steering.
    """
    if shown.run is None:
        raise _no_run_named()
    settings = given.make(ClipSettings)
    from bcclone.pictures.clip import make_clip

    clip = make_clip(settings)
    for note in (*clip.notes, *(f"skipped: {reason}" for reason in clip.skipped)):
        notify(note)
    text = f"{clip.path}: {clip.frames} frames, {clip.seconds:.1f} s, {len(clip.skipped)} skipped"
    return Result(clip.as_json(), text)


def _no_run_named() -> UserError:
    """Return the error of a command line without RUN, which names the runs that are here."""
    from bcclone.pictures.run_data import find_runs

    runs = [path.name for path in find_runs(Path())]
    if not runs:
        text = "name the run to show; there is none in this folder: record one with: bcclone drive model.h5 run1"
    else:
        text = (
            f"name the run to show, such as: bcclone video {runs[0]}; "
            f"in this folder, the newest first: {', '.join(runs[:_SHOWN_RUNS])}"
        )
    return UserError(text, exit_code=2)
