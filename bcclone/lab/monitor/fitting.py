"""Fit a monitor: learn what its kind needs from the store, then set the threshold on undisturbed driving."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from bcclone.cluster.shards import open_store
from bcclone.dataset.images import Image, decode_jpeg, read_file
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.sample_settings import VALIDATION
from bcclone.lab.monitor.monitor import GammaFit, Monitor, MonitorInfo, save_monitor
from bcclone.lab.monitor.monitor_kinds import KINDS, Scorer, UnsuitableNetwork
from bcclone.lab.monitor.monitor_settings import WINDOW_SECONDS, MonitorSettings
from bcclone.model.model_file import load_model_file
from bcclone.recording.files import ImageIndex, find_log
from bcclone.recording.log import read_log
from bcclone.system.arrays import FloatArray, IndexArray
from bcclone.system.atomic import check_output, sha256_of
from bcclone.system.errors import UserError
from bcclone.system.progress import Notify

_BATCH = 64


@dataclass(frozen=True)
class NominalDrive:
    """Undisturbed driving.

    images: consecutive prepared frames, uint8 (height, width, channels); rate: frames per second.
    """

    images: Iterable[Image]
    rate: float


def fit(
    model: Path | str,
    store: Path | str,
    output: Path | str,
    settings: MonitorSettings | None = None,
    notify: Notify = lambda line: None,
) -> Monitor:
    """Fit a monitor to a model file and the store of its samples, write it to `output`, and return it.

    notify: called with each line of progress. Raises UserError, also for an existing file without settings.force.
    """
    settings = settings or MonitorSettings()
    check_output(Path(output), settings.force, "choose another name with -o, or add --force")
    file, samples_of = load_model_file(Path(model)), Path(store)
    with open_store(samples_of) as samples:
        if samples.preprocessing != file.preprocessing:
            raise UserError(
                f"{store}: its frames are prepared as {samples.preprocessing.describe()}, the model's as "
                f"{file.preprocessing.describe()}; give the store that {model} was trained on"
            )
    learn, make_scorer = KINDS[settings.kind]
    try:
        arrays = learn(file, samples_of, settings, notify)
    except UnsuitableNetwork as error:
        raise UserError(f"{model}: {error}") from None
    nominal = settings.nominal
    drives = recorded_drives(nominal, file.preprocessing) if nominal else validation_drives(samples_of)
    scores = nominal_scores(make_scorer(file, arrays), drives)
    try:
        gamma = GammaFit.of(scores)
    except ValueError as error:
        raise UserError(f"{', '.join(nominal) or store}: {error}") from None
    threshold = gamma.threshold(settings.false_alarms)
    notify(f"threshold {threshold:.6g}, from {len(scores)} averages of {WINDOW_SECONDS:g} s")
    info = MonitorInfo(settings.kind, sha256_of(Path(model)), gamma, threshold, settings.false_alarms, len(scores))
    save_monitor(Path(output), info, arrays)
    return Monitor(info, file, arrays)


def nominal_scores(scorer: Scorer, drives: Iterable[NominalDrive]) -> FloatArray:
    """Return the scores of undisturbed driving, averaged over each second of it, (windows,)."""
    averages = [np.empty(0)]
    for drive in drives:
        images = iter(drive.images)
        batches = iter(lambda images=images: list(islice(images, _BATCH)), [])  # type: ignore[misc]
        scores = np.concatenate([np.empty(0), *(scorer(np.stack(batch)) for batch in batches)])
        averages.append(moving_average(scores, max(round(drive.rate * WINDOW_SECONDS), 1)))
    return np.concatenate(averages)


def moving_average(scores: FloatArray, frames: int) -> FloatArray:
    """Return the averages over each `frames` consecutive scores, (n - frames + 1,); of all if there are fewer."""
    if len(scores) <= frames:
        return np.array([scores.mean()]) if len(scores) else scores
    return np.convolve(scores, np.full(frames, 1 / frames), mode="valid")


def validation_drives(path: Path) -> Iterator[NominalDrive]:
    """Yield the stretches of consecutive validation frames of a store, of the centre camera."""
    with open_store(path) as store:
        samples = store.samples[store.split_indices(VALIDATION)]
        samples = samples[(samples["camera"] == 0) & ~samples["flipped"] & (samples["frame_offset"] == 0)]
        samples = samples[np.argsort(samples["row"], kind="stable")]
        if not len(samples):
            raise UserError(
                f"{path}: it has no validation samples of the centre camera to set a threshold on; fit it on "
                "one that has some: bcclone preprocess RECORDING... -o OTHER.h5 --validation 0.2"
            )
        rate = _rate(store.rows["time_ms"])
        breaks = (np.diff(samples["row"].astype(np.int64)) != 1) | (np.diff(samples["episode"].astype(np.int64)) != 0)
        for stretch in np.split(samples["frame"], np.flatnonzero(breaks) + 1):
            yield NominalDrive((store.frames[int(frame)] for frame in stretch), rate)


def recorded_drives(recordings: Sequence[str], preprocessing: Preprocessing) -> Iterator[NominalDrive]:
    """Yield the drives of recordings, such as runs of drive.py; raises UserError for one that cannot be read."""
    for recording in recordings:
        log = find_log(recording)
        index, rows = ImageIndex(log), read_log(log).rows
        paths = [path for name in rows["center"] if (path := index.find(name)) is not None]
        images = (preprocessing.apply(decode_jpeg(read_file(path))) for path in paths)
        yield NominalDrive(images, _rate(rows["time_ms"].to_numpy()))


def _rate(times_ms: IndexArray) -> float:
    """Return the frames per second of a recording, 1 for one of a single row."""
    steps = np.diff(times_ms)
    return 1000 / max(float(np.median(steps[steps > 0])), 1.0) if (steps > 0).any() else 1.0
