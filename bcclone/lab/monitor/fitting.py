"""Fit a monitor: learn what its kind needs from the store, then set the threshold on undisturbed driving."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from bcclone.cluster.shards import open_store
from bcclone.dataset.images import Image, Preprocessing, decode_jpeg
from bcclone.lab.monitor.monitor import KINDS, Monitor, MonitorInfo, save_monitor, sha256_of
from bcclone.lab.monitor.monitor_settings import WINDOW_SECONDS, MonitorSettings
from bcclone.lab.monitor.scorer import Arrays, FitInputs, Scorer
from bcclone.lab.monitor.threshold import GammaFit, moving_average
from bcclone.model.model_file import load_model_file
from bcclone.recording.files import ImageIndex, find_log
from bcclone.recording.log import read_log
from bcclone.system.arrays import FloatArray, IndexArray
from bcclone.system.errors import UserError
from bcclone.system.progress import Notify

_BATCH = 64


@dataclass(frozen=True)
class NominalDrive:
    """Undisturbed driving. images: consecutive prepared frames, uint8 (height, width, 3); rate: frames per second."""

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

    An existing file is replaced; notify: called with each line of progress. Raises UserError.
    """
    inputs = fit_inputs(Path(model), Path(store), settings or MonitorSettings())
    if inputs.settings.nominal:
        drives: Iterable[NominalDrive] = recorded_drives(inputs.settings.nominal, inputs.model.preprocessing)
    else:
        drives = validation_drives(inputs.store)
    info, arrays = fit_kind(inputs, drives, notify)
    save_monitor(Path(output), info, arrays)
    return Monitor(info, inputs.model, arrays)


def fit_inputs(model: Path, store: Path, settings: MonitorSettings) -> FitInputs:
    """Load the model that a monitor is fitted to; raises UserError if the store was prepared for another one."""
    loaded = load_model_file(model)
    with open_store(store) as opened:
        if opened.preprocessing != loaded.preprocessing:
            raise UserError(
                f"{store}: its frames are prepared as {opened.preprocessing.describe()}, the model's as "
                f"{loaded.preprocessing.describe()}; give the store that {model} was trained on"
            )
    return FitInputs(loaded, sha256_of(model), store, settings)


def fit_kind(
    inputs: FitInputs, drives: Iterable[NominalDrive], notify: Notify = lambda line: None
) -> tuple[MonitorInfo, Arrays]:
    """Return what a monitor file holds; raises UserError. drives: what the threshold is set on."""
    settings, kind = inputs.settings, KINDS[inputs.settings.kind]
    arrays = kind.learn(inputs, notify)
    scores = nominal_scores(kind.make_scorer(inputs.model, arrays), drives)
    fitted = GammaFit.of(scores)
    threshold = fitted.threshold(settings.false_alarms)
    notify(f"threshold {threshold:.6g}, from {len(scores)} averages of {WINDOW_SECONDS:g} s")
    info = MonitorInfo(settings.kind, inputs.model_sha256, fitted, threshold, settings.false_alarms, len(scores))
    return info, arrays


def nominal_scores(scorer: Scorer, drives: Iterable[NominalDrive]) -> FloatArray:
    """Return the scores of undisturbed driving, averaged over each second of it, (windows,)."""
    averages = [np.empty(0)]
    for drive in drives:
        scores = score_all(scorer, drive.images)
        averages.append(moving_average(scores, max(round(drive.rate * WINDOW_SECONDS), 1)))
    return np.concatenate(averages)


def score_all(scorer: Scorer, images: Iterable[Image]) -> FloatArray:
    """Return the scores of prepared images, (images,), computed in batches."""
    remaining = iter(images)
    batches = iter(lambda: list(islice(remaining, _BATCH)), [])
    return np.concatenate([np.empty(0), *(scorer(np.stack(batch)) for batch in batches)])


def validation_drives(path: Path) -> Iterator[NominalDrive]:
    """Yield the stretches of consecutive validation frames of a store, of the centre camera."""
    with open_store(path) as store:
        samples = store.samples[store.split_indices(validation=True)]
        samples = samples[(samples["camera"] == 0) & ~samples["flipped"] & (samples["frame_offset"] == 0)]
        samples = samples[np.argsort(samples["row"], kind="stable")]
        if not len(samples):
            raise UserError(
                f"{path}: it has no validation samples of the centre camera to set a threshold on; fit it on "
                "one that has some: python preprocess.py RECORDING... -o OTHER.h5 --validation 0.2"
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
        paths = [index.find(name) for name in rows["center"]]
        images = (preprocessing.apply(decode_jpeg(Path(path).read_bytes())) for path in paths if path is not None)
        yield NominalDrive(images, _rate(rows["time_ms"].to_numpy()))


def _rate(times_ms: IndexArray) -> float:
    """Return the frames per second of a recording, 1 for one of a single row."""
    steps = np.diff(times_ms)
    return 1000 / max(float(np.median(steps[steps > 0])), 1.0) if (steps > 0).any() else 1.0
