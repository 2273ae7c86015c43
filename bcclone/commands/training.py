"""The commands model and plots: train a network on a store, and draw pictures of it.

- model: a store or recordings -> a model file, and a run folder with its history and report;
- plots: a model and its samples, or one image -> pictures in a folder.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bcclone.commands.options import Browser, Given, Result, SettingsFile, command, list_of, notify
from bcclone.feed.feed_settings import STRATEGIES
from bcclone.pictures.plot_settings import PlotSettings
from bcclone.system.errors import shown_command
from bcclone.system.settings import Checked, setting
from bcclone.training.result import TrainResult
from bcclone.training.train_settings import (
    NETWORKS,
    SETTING_NAMES,
    RunFiles,
    TrainSettings,
    WorkerSettings,
    are_several,
    read_settings,
)

_STORE = "data.h5"  # usual name of a store


@dataclass(frozen=True)
class RunOptions(Checked):
    """Whether a run is resumed, and what is drawn at its end."""

    resume: bool = setting(False, "continue the newest run with this store and output")
    no_plots: bool = setting(False, "draw no pictures and write no report at the end")


@command(
    SettingsFile,
    Browser,
    TrainSettings,
    titles={
        "network": list_of(NETWORKS),
        "augmentation": "random changes to the samples, new ones in each epoch; 0 turns a kind off",
        "feed": "how samples are loaded; "
        "all feeds that shuffle the whole store give the same batches\n\n"
        + list_of({name: strategy.text for name, strategy in STRATEGIES.items()}),
    },
)
def model(given: Given, options: RunOptions, workers: WorkerSettings) -> Result:
    """Train the network on a store, or directly on recordings.

    Each training writes settings, history, checkpoints, model, pictures and a report into its own
    run folder, runs/NAME/. At the end the model is copied to the output.
    """
    files = given.make(RunFiles)
    chosen = chosen_settings(given)
    from bcclone.training.several import train_together
    from bcclone.training.train import resume, train

    result: TrainResult | None
    if are_several(workers) or chosen.get("gpus", 1) != 1:
        result = train_together(workers, files, chosen, options.resume, notify)
    elif options.resume:
        result = resume(files, chosen, notify)
    else:
        result = train(TrainSettings(**given.of(RunFiles), **chosen), notify)
    if result is None:  # another machine writes the results
        return Result(None, text=None)
    if result.was_complete:  # a notice has described its result, and its pictures are drawn
        return Result(result.as_json(), text=None)

    report = None
    if not options.no_plots:
        report = _draw(result, files)
    wrote = [report] if report else []
    return Result(result.as_json(), result.as_text(), wrote=wrote)


def _draw(result: TrainResult, files: RunFiles) -> Path | None:
    """Draw the pictures of a training, and return its report.

    A KeyboardInterrupt says that the model is written.
    """
    try:
        from bcclone.pictures.plots.all_pictures import draw_training

        return draw_training(result, files.data, notify)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{files.output} is written; not all of its pictures are drawn, which "
            f"{shown_command('plots', files.output, *files.data)} does"
        ) from None


def chosen_settings(given: Given) -> dict[str, Any]:
    """Return the settings that options and the settings file choose, by name; raises UserError."""
    values = {}
    file = given.make(SettingsFile).settings
    if file:
        values = read_settings(file, given.make(RunFiles).output)
    options = given.of(TrainSettings)
    return values | {name: options[name] for name in SETTING_NAMES if name in options}


@command(after_interrupt="the pictures that were finished are kept")
def plots(settings: PlotSettings) -> Result:
    """Draw pictures of a trained model, of the samples it was trained on, and of its predictions.

    The pictures are written to plots/ in the run folder of the model or, if it has none, to
    MODEL-plots. Pictures for which the model or the samples lack the data are skipped, with the
    reason.
    """
    if not settings.data and Path(_STORE).is_file():
        settings = replace(settings, data=(_STORE,))
        notify(
            f"samples: those of {_STORE} in this folder; "
            "name another store or recordings after the model"
        )
    from bcclone.pictures.plots.all_pictures import plot

    result = plot(settings, notify)
    lines = {}
    for name, place in result.pictures.items():
        is_reason = isinstance(place, str)
        lines[name] = f"left out: {place}" if is_reason else str(place)
    notes = [f"note: {note}" for note in result.notes]
    return Result(result.as_json(), list_of(lines), notes=notes)
