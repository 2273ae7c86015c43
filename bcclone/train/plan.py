"""Decide the settings of a new run from the samples, or of a resumed run from its folder."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from bcclone.augment.settings import AugmentSettings
from bcclone.errors import UserError
from bcclone.feed.open import choose_feed
from bcclone.feed.selection import TrainingData
from bcclone.feed.settings import FeedSettings
from bcclone.train.run_folder import RunFolder, RunPlan
from bcclone.train.settings import (
    CheckpointSettings,
    RunSettings,
    TrainSettings,
    default_seq_length,
)
from bcclone.train.settings_file import settings_for

_LIMITS = ("epochs", "time", "patience")
_Kind = TypeVar("_Kind")


def new_plan(settings: RunSettings, data: TrainingData, notify: Callable[[str], None]) -> RunPlan:
    """Return the plan of a new run; without a chosen feed, choose one that suits the samples."""
    chosen, seq_length = settings.chosen, data.sample_settings.seq_length
    if "feed" not in chosen:
        chosen["feed"], reason = choose_feed(data)
        notify(f"feed: {chosen['feed']} ({reason}); choose another with --feed")
    return RunPlan(new_settings(chosen, seq_length), _feed(chosen), settings.start)


def new_settings(chosen: Mapping[str, Any], stored_seq_length: int = 1) -> TrainSettings:
    """Return the settings of a new run; raises UserError. stored_seq_length: what the samples were made for."""
    values = _training_values(chosen)
    values.setdefault("seq_length", default_seq_length(values.get("network", "cnn"), stored_seq_length))
    return _made(TrainSettings.from_flat, values)


def checkpoint_settings(settings: RunSettings) -> CheckpointSettings:
    """Return the checkpoint settings, which may change on a resume; raises UserError."""
    return _made(lambda values: CheckpointSettings(**values), settings_for(CheckpointSettings, settings.chosen))


def resumed_plan(settings: RunSettings, folder: RunFolder) -> RunPlan:
    """Return the plan of a run with its new limits; raises UserError when other settings were changed."""
    if settings.start and not _began_with(folder, settings.start):
        raise UserError(f"{folder.path} did not begin with --from {settings.start}; leave that out to resume it")
    return RunPlan(resumed_settings(settings.chosen, folder), _resumed_feed(settings.chosen, folder), folder.start)


def resumed_settings(chosen: Mapping[str, Any], folder: RunFolder) -> TrainSettings:
    """Return the settings of a run with the limits that were chosen anew; raises UserError for other changes."""
    stored, changes = folder.settings.flat(), _training_values(chosen)
    if changes.get("augment_on") == "auto":  # resolved when the run began
        del changes["augment_on"]
    changed = {name: value for name, value in changes.items() if value != stored[name]}
    if set(changed) - set(_LIMITS):
        differences = "".join(
            f"\n  {name.replace('_', ' ')}: {stored[name]}, and {value} is given" for name, value in changed.items()
        )
        raise UserError(
            f"{folder.path} has other settings; leave these options out to resume it, or leave out --resume:"
            f"{differences}"
        )
    return _made(TrainSettings.from_flat, stored | changed)


def _resumed_feed(chosen: Mapping[str, Any], folder: RunFolder) -> FeedSettings:
    """Return the run's feed, or another one with the same order of samples; raises UserError."""
    stored = folder.feed
    feed = _feed(asdict(stored) | settings_for(FeedSettings, chosen))
    if feed.ordering != stored.ordering:
        raise UserError(
            f"{folder.path} was begun with --feed {stored.feed} --chunk-size {stored.chunk_size}; --feed {feed.feed} "
            f"--chunk-size {feed.chunk_size} orders the samples differently: leave them out to resume the run, or "
            "leave out --resume"
        )
    return feed


def _feed(values: Mapping[str, Any]) -> FeedSettings:
    return _made(lambda chosen: FeedSettings(**chosen), settings_for(FeedSettings, values))


def _training_values(values: Mapping[str, Any]) -> dict[str, Any]:
    return settings_for(AugmentSettings, values) | settings_for(TrainSettings, values)


def _made(make: Callable[[Mapping[str, Any]], _Kind], values: Mapping[str, Any]) -> _Kind:
    """Return make(values); a ValueError of the settings dataclass becomes a UserError."""
    try:
        return make(values)
    except ValueError as error:
        raise UserError(str(error)) from None


def _began_with(folder: RunFolder, start: Path) -> bool:
    """Return whether the run began with this model, even if it has overwritten it since."""
    if folder.start is None:
        return False
    return folder.start.read_bytes() == start.read_bytes() or folder.has_published(start)
