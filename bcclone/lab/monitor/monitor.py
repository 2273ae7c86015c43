"""Monitors: fit one to a model and its store, write it to a file, load it, and watch a drive by it.

A monitor learns what its kind needs from the store, then its threshold is set on undisturbed driving.

A gamma distribution, fitted to the scores of undisturbed driving, gives the threshold for a rate of false alarms, as in
SelfOracle: A. Stocco, M. Weiss, M. Calzana and P. Tonella, "Misbehaviour prediction for autonomous driving systems",
ICSE 2020, https://arxiv.org/abs/1910.04443, section 3.4.

A monitor file is a NumPy archive (.npz) of plain arrays: `monitor`, a JSON text with the kind, the model's SHA-256, the
gamma distribution and the threshold, and the arrays of the kind under `arrays/`. It is read without pickle.
"""

import hashlib
import io
import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
from scipy.stats import gamma

from bcclone.cluster.shards import open_store
from bcclone.dataset.images import FRAME_HEIGHT, FRAME_WIDTH, Image, decode_jpeg, read_file
from bcclone.dataset.preprocessing import Preprocessing
from bcclone.dataset.sample_settings import VALIDATION
from bcclone.drive.driver import Uncertainty
from bcclone.lab.monitor import WINDOW_SECONDS, MonitorSettings
from bcclone.lab.monitor.monitor_kinds import KINDS, Arrays, Scorer, UnsuitableNetwork
from bcclone.model.model_file import ModelFile, load_model_file
from bcclone.recording.files import ImageIndex, find_log
from bcclone.recording.log import read_log
from bcclone.system.arrays import FloatArray, IndexArray
from bcclone.system.atomic import file_version, sha256_of, write_bytes
from bcclone.system.codec import explained, parse_json, read_bytes
from bcclone.system.errors import UserError, shown_command
from bcclone.system.json_values import from_json, to_json
from bcclone.system.output import inputs_of, writing
from bcclone.system.progress import Notify

_VERSION = 1
_DIGEST_BYTES = 32  # of the SHA-256 that a monitor's file ends with
_ZIP = b"PK"  # the first bytes of a monitor's file
_TEXT, _ARRAYS = "monitor", "arrays/"
_FIT = "monitor", "fit", "MODEL", "STORE", "-o"
_FEWEST = 10  # scores that a distribution is fitted to
_BATCH = 64

Drive = tuple[Iterable[Image], int]  # prepared frames that follow each other, and how many of them are a second


@dataclass(frozen=True)
class GammaFit:
    """A gamma distribution that begins at 0."""

    shape: float
    scale: float

    @classmethod
    def of(cls, scores: FloatArray) -> Self:
        """Fit to scores, (n,), by greatest likelihood; raises ValueError for too few or equal ones."""
        usable = scores[np.isfinite(scores) & (scores > 0)]
        if len(usable) < _FEWEST or np.ptp(usable) == 0:
            raise ValueError(
                f"{len(usable)} usable scores of undisturbed driving, expected {_FEWEST} or more that differ; "
                "give more frames to fit the monitor on"
            )
        shape, _, scale = gamma.fit(usable, floc=0)
        return cls(float(shape), float(scale))

    def threshold(self, false_alarms: float) -> float:
        """Return the score that this fraction of scores exceeds."""
        return float(gamma.isf(false_alarms, self.shape, scale=self.scale))


@dataclass(frozen=True)
class MonitorInfo:
    """What a monitor file states: kind, the model that it belongs to, and the threshold.

    false_alarms: fraction of seconds of undisturbed driving above the threshold; fitted_to: number of scores that the
    distribution was fitted to.
    """

    kind: str
    model_sha256: str
    gamma: GammaFit
    threshold: float
    false_alarms: float
    fitted_to: int


class Monitor:
    """Scores the frames of a drive: the higher, the more unlike what the model was trained on.

    info: what its file states. A score has no unit that kinds share; compare it with the threshold: a second with a
    higher average score is uncertain.
    """

    def __init__(self, info: MonitorInfo, model: ModelFile, arrays: Arrays) -> None:
        self.info, self.threshold, self.preprocessing = info, info.threshold, model.preprocessing
        self._scorer = KINDS[info.kind][1](model, arrays)
        self.score(np.zeros((FRAME_HEIGHT, FRAME_WIDTH, 3), np.uint8))  # the first call is slow; take it here

    def score(self, frame: Image) -> float:
        """Return the score of an RGB frame, uint8 (160, 320, 3); raises BadImage for one of another size."""
        return float(self._scorer(self.preprocessing.apply(frame)[np.newaxis])[0])


def save_monitor(path: Path, info: MonitorInfo, arrays: Arrays) -> None:
    """Write a monitor file, completely or not at all."""
    content = io.BytesIO()
    text = np.frombuffer(json.dumps({"version": _VERSION} | to_json(info)).encode(), np.uint8)
    named: dict[str, Any] = {_TEXT: text, **{_ARRAYS + name: array for name, array in arrays.items()}}
    np.savez_compressed(content, **named)
    content.write(hashlib.sha256(content.getvalue()).digest())
    write_bytes(path, content.getbuffer(), follow=True)


def load_monitor(path: Path | str, model: Path | str) -> Monitor:
    """Load the monitor of a model file; raises UserError, also for the monitor of another model."""
    path, model = Path(path), Path(model)
    info, arrays = read_monitor(path)
    loaded = load_model_file(model)
    if info.model_sha256 != sha256_of(model):
        raise UserError(
            f"{path}: belongs to another model than {model}, which may have been trained again since; "
            f"fit it again: {shown_command(*_FIT, path, '--force')}"
        )
    return Monitor(info, loaded, arrays)


def read_monitor(path: Path) -> tuple[MonitorInfo, Arrays]:
    """Read what a monitor file states, and the arrays of its kind; raises UserError."""
    if not path.is_file():
        raise UserError(f"{path}: no such monitor; make one with: {shown_command(*_FIT, path)}")
    content = read_bytes(path, "model")
    if not content.startswith(_ZIP):
        raise UserError(f"{path}: not a monitor; make one with: bcclone monitor fit MODEL STORE -o NAME.monitor")
    with explained(path, "a complete monitor file", f"fit it again: {shown_command(*_FIT, path, '--force')}"):
        archived, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
        if hashlib.sha256(archived).digest() != digest:
            raise ValueError("a part of it is missing or changed")
        with np.load(io.BytesIO(archived), allow_pickle=False) as archive:
            arrays = dict(archive)
        stored = parse_json(arrays.pop(_TEXT).tobytes())
        if stored.pop("version", None) != _VERSION:
            raise ValueError("it was written by another version of bcclone")
        return from_json(MonitorInfo, stored), {name.removeprefix(_ARRAYS): array for name, array in arrays.items()}


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
    with writing(Path(output), "monitor", settings.force, (model, store, *inputs_of(settings))):
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


def nominal_scores(scorer: Scorer, drives: Iterable[Drive]) -> FloatArray:
    """Return the scores of undisturbed driving, averaged over each second of it, (windows,)."""
    averages = [np.empty(0)]
    for frames, a_second in drives:
        images, scores = iter(frames), [np.empty(0)]
        while batch := list(islice(images, _BATCH)):
            scores.append(scorer(np.stack(batch)).astype(np.float64))
        averages.append(moving_average(np.concatenate(scores), a_second))
    return np.concatenate(averages)


def moving_average(scores: FloatArray, frames: int) -> FloatArray:
    """Return the averages over each `frames` consecutive scores, (n - frames + 1,); of all if there are fewer."""
    if len(scores) <= frames:
        return np.array([scores.mean()]) if len(scores) else scores
    return np.convolve(scores, np.full(frames, 1 / frames), mode="valid")


def validation_drives(path: Path) -> Iterator[Drive]:
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
        a_second = _frames_a_second(store.rows["time_ms"])
        breaks = (np.diff(samples["row"].astype(np.int64)) != 1) | (np.diff(samples["episode"].astype(np.int64)) != 0)
        for stretch in np.split(samples["frame"], np.flatnonzero(breaks) + 1):
            yield (store.frames[int(frame)] for frame in stretch), a_second


def recorded_drives(recordings: Sequence[str], preprocessing: Preprocessing) -> Iterator[Drive]:
    """Yield the drives of recordings, such as runs of drive.py; raises UserError for one that cannot be read."""
    for recording in recordings:
        log = find_log(recording)
        index, rows = ImageIndex(log), read_log(log).rows
        paths = [path for name in rows["center"] if (path := index.find(name)) is not None]
        images = (preprocessing.apply(decode_jpeg(read_file(path))) for path in paths)
        yield images, _frames_a_second(rows["time_ms"].to_numpy())


def _frames_a_second(times_ms: IndexArray) -> int:
    """Return how many frames of a recording there are in WINDOW_SECONDS, 1 at least."""
    steps = np.diff(times_ms)
    usual_ms = max(float(np.median(steps[steps > 0])), 1.0) if (steps > 0).any() else 1000
    return max(round(1000 / usual_ms * WINDOW_SECONDS), 1)


class MonitorWatch:
    """Averages the scores of a drive over its last second.

    clock: returns the time of the present frame, in seconds.
    """

    def __init__(self, monitor: Monitor, clock: Callable[[], float] = time.monotonic) -> None:
        self._monitor, self._clock = monitor, clock
        self._recent: deque[tuple[float, float]] = deque()  # time and score
        self._start: float | None = None  # time of the first frame since the last forget()

    def judge(self, frame: Image) -> Uncertainty:
        """Return the uncertainty at the next frame of the drive, RGB uint8 (160, 320, 3)."""
        now, score = self._clock(), self._monitor.score(frame)
        self._recent.append((now, score))
        self._start = now if self._start is None else self._start
        while now - self._recent[0][0] >= WINDOW_SECONDS:
            self._recent.popleft()
        average = sum(one for _, one in self._recent) / len(self._recent)
        return Uncertainty(score, average, self._monitor.threshold, complete=now - self._start >= WINDOW_SECONDS)

    def forget(self) -> None:
        """Forget the frames so far: the next one does not follow the last one."""
        self._recent.clear()
        self._start = None


def open_watch(monitor: Path, model: Path, clock: Callable[[], float] = time.monotonic) -> MonitorWatch:
    """Return the watch of a drive by a model's monitor file, which is loaded once; raises UserError.

    clock: as for MonitorWatch.
    """
    versions = tuple(file_version(path) if path.exists() else None for path in (monitor, model))
    return MonitorWatch(_load(monitor, model, versions), clock)


@lru_cache(maxsize=1)
def _load(monitor: Path, model: Path, versions: tuple[object, ...]) -> Monitor:
    """Load a monitor. versions: of the files, which are loaded again when they have changed."""
    return load_monitor(monitor, model)
