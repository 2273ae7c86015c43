"""Decide the settings of a run: those of the program, the samples and the machine, or of the run that is resumed."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from bcclone.feed.feed_settings import AUTO, FeedSettings
from bcclone.feed.open import choose_feed
from bcclone.feed.selection import TrainingData
from bcclone.system.errors import UserError
from bcclone.train.run_folder import RunFolder, RunPlan
from bcclone.train.run_settings import RunSettings
from bcclone.train.train_settings import FINE_TUNING_LEARNING_RATE, LEARNING_RATE, TrainSettings, default_seq_length

_LIMITS = ("epochs", "time", "patience")


def make_plan(
    settings: RunSettings, data: TrainingData, folder: RunFolder | None, notify: Callable[[str], None], workers: int = 1
) -> RunPlan:
    """Return the settings of a run, and the model that it begins with. folder: that of a resumed run; workers: number.

    In a new run, learning_rate 0, seq_length 0, feed "auto" and window_streams 0 are replaced by what suits the start,
    the samples and the workers. A resumed run keeps its settings, except for the limits that are given, and for a feed
    that gives the same batches; for other changes it raises UserError.
    """
    if folder:
        if settings.start and not _began_with(folder, settings.start):
            raise UserError(f"{folder.path} did not begin with --from {settings.start}; leave that out to resume it")
        resumed = resumed_settings(settings, folder)
        _check_batch_size(resumed, workers)
        return RunPlan(resumed, _resumed_feed(settings, folder), folder.start)
    training, feed = new_settings(settings, data.sample_settings.seq_length), settings.feed or FeedSettings()
    _check_batch_size(training, workers)
    if feed.feed == AUTO:
        strategy, reason = choose_feed(data)
        feed = replace(feed, feed=strategy)
        notify(f"feed: {strategy} ({reason}); choose another with --feed")
    if feed.feed == "shards" and not feed.window_streams:
        feed = replace(feed, window_streams=workers)
    return RunPlan(training, feed, settings.start)


def _check_batch_size(training: TrainSettings, workers: int) -> None:
    if training.batch_size < workers:
        raise UserError(
            f"--batch-size {training.batch_size} for {workers} workers, expected a sample for each; train with fewer "
            "--workers or a larger --batch-size"
        )


def new_settings(settings: RunSettings, stored_seq_length: int = 1) -> TrainSettings:
    """Return the training settings of a new run. stored_seq_length: of the windows that the samples are made for."""
    training = settings.training or TrainSettings()
    seq_length = training.seq_length or default_seq_length(training.network, stored_seq_length)
    learning_rate = training.learning_rate or (FINE_TUNING_LEARNING_RATE if settings.start else LEARNING_RATE)
    return replace(training, seq_length=seq_length, learning_rate=learning_rate)


def resumed_settings(settings: RunSettings, folder: RunFolder) -> TrainSettings:
    """Return the training settings of a run with the limits that are given; raises UserError for other changes."""
    stored, chosen = folder.settings.flat(), settings.chosen
    changed = {name: chosen[name] for name in stored if name in chosen and chosen[name] != stored[name]}
    if fixed := [name for name in changed if name not in _LIMITS]:
        differences = "".join(
            f"\n  {name.replace('_', ' ')}: {stored[name]}, and {changed[name]} is given" for name in fixed
        )
        raise UserError(
            f"{folder.path} has other settings; leave these options out to resume it, or leave out --resume:"
            f"{differences}"
        )
    try:
        resumed = TrainSettings.from_flat(stored | changed)
        resumed.check_limits()
        return resumed
    except ValueError as error:
        raise UserError(str(error)) from None


def _resumed_feed(settings: RunSettings, folder: RunFolder) -> FeedSettings:
    """Return the run's feed, or another one with the same order of samples; raises UserError."""
    stored, chosen = folder.feed, settings.chosen
    feed = replace(stored, **{name: chosen[name] for name in asdict(stored) if name in chosen})
    if feed.ordering != stored.ordering:
        raise UserError(
            f"{folder.path} was begun with {_describe_order(stored)}; {_describe_order(feed)} orders the samples "
            "differently: leave these options out to resume the run, or leave out --resume"
        )
    return feed


def _describe_order(feed: FeedSettings) -> str:
    """Return the options that decide the order of the samples."""
    windows = f" --window-shards {feed.window_shards} --window-streams {feed.window_streams}"
    size = {"hdf5-chunks": f" --chunk-size {feed.chunk_size}", "shards": windows}
    return f"--feed {feed.feed}{size.get(feed.feed, '')}"


def _began_with(folder: RunFolder, start: Path) -> bool:
    """Return whether the run began with this model, even if it has overwritten it since."""
    if folder.start is None:
        return False
    return folder.start.read_bytes() == start.read_bytes() or folder.has_published(start)
