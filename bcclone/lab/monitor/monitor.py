"""Monitors, their thresholds, and the files that hold them.

A gamma distribution, fitted to the scores of undisturbed driving, gives the threshold for a rate of false alarms, as in
SelfOracle: A. Stocco, M. Weiss, M. Calzana and P. Tonella, "Misbehaviour prediction for autonomous driving systems",
ICSE 2020, https://arxiv.org/abs/1910.04443, section 3.4.

A monitor file is a NumPy archive (.npz) of plain arrays: `monitor`, a JSON text with the kind, the model's SHA-256, the
gamma distribution and the threshold, and the arrays of the kind under `arrays/`. It is read without pickle.
"""

import io
import json
import math
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import tensorflow as tf
from scipy.stats import gamma

from bcclone.dataset.images import FRAME_HEIGHT, FRAME_WIDTH, Image
from bcclone.lab.monitor.monitor_kinds import KINDS, Arrays
from bcclone.model.model_file import ModelFile, load_model_file
from bcclone.system.arrays import FloatArray
from bcclone.system.atomic import sha256_of, write_bytes
from bcclone.system.codec import explained, parse_json, read_bytes
from bcclone.system.errors import UserError
from bcclone.system.json_values import from_json, to_json

_VERSION = 1
_ZIP = b"PK"  # the first bytes of a monitor's file
_TEXT, _ARRAYS = "monitor", "arrays/"
_WHAT, _FIT = "a complete monitor file", "fit it again: bcclone monitor fit MODEL STORE -o {path} --force"
_FEWEST = 10  # scores that a distribution is fitted to


@dataclass(frozen=True)
class GammaFit:
    """A gamma distribution that begins at 0."""

    shape: float
    scale: float

    def __post_init__(self) -> None:
        if not (0 < self.shape < math.inf and 0 < self.scale < math.inf):
            raise ValueError(f"a gamma distribution of shape {self.shape} and scale {self.scale}, expected more than 0")

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

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind {str(self.kind)[:40]!r}, expected one of {', '.join(KINDS)}")
        if not 0 < self.threshold < math.inf:
            raise ValueError(f"threshold {self.threshold}, expected more than 0")


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
    write_bytes(path, content.getbuffer(), follow=True)


def load_monitor(path: Path | str, model: Path | str) -> Monitor:
    """Load the monitor of a model file; raises UserError, also for the monitor of another model."""
    path, model = Path(path), Path(model)
    info, arrays = read_monitor(path)
    loaded = load_model_file(model)
    remedy = _FIT.format(path=path)
    if info.model_sha256 != sha256_of(model):
        raise UserError(
            f"{path}: belongs to another model than {model}, which may have been trained again since; {remedy}"
        )
    with explained(path, _WHAT, remedy):
        try:
            return Monitor(info, loaded, arrays)
        except tf.errors.OpError as error:  # arrays of other shapes and types
            raise ValueError(str(error)) from None


def read_monitor(path: Path) -> tuple[MonitorInfo, Arrays]:
    """Read what a monitor file states, and the arrays of its kind; raises UserError."""
    if not path.is_file():
        raise UserError(f"{path}: no such monitor; make one with: bcclone monitor fit MODEL STORE -o {path}")
    content = read_bytes(path, "model")
    if not content.startswith(_ZIP):
        raise UserError(f"{path}: not a monitor; make one with: bcclone monitor fit MODEL STORE -o NAME.monitor")
    with explained(path, _WHAT, _FIT.format(path=path)):
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as archive:
                arrays = dict(archive)
        except (zipfile.BadZipFile, zlib.error, struct.error, EOFError) as error:
            raise ValueError(str(error) or "a part of it is missing") from None
        stored = parse_json(arrays.pop(_TEXT).tobytes())
        if stored.pop("version", None) != _VERSION:
            raise ValueError("it was written by another version of bcclone")
        return from_json(MonitorInfo, stored), {name.removeprefix(_ARRAYS): array for name, array in arrays.items()}
