"""Which recordings a network has learned from: rows of a store -> short fingerprints, and back.

A fingerprint is the smallest hashes of the rows of a recording: of the name of the centre image,
which has the time, and of speed, throttle and steering without its side: simulated drives share
their times, and at full throttle their speeds. Folders do not matter, nor rows that were deleted,
nor a mirrored steering. The smallest hashes are an even sample of the rows (A. Broder, "On the
resemblance and containment of documents", 1997), so that they tell which share of another table's
rows they come from.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_MOST_MARKS = 128  # of a recording
_MOST_OF_ALL = 4096  # marks of all recordings: an attribute of HDF5 has at most 64 KB
_DIGITS = 8  # of a mark


@dataclass(frozen=True)
class Fingerprint:
    """What a model file keeps of a recording that it was trained on."""

    rows: int  # how many of its rows the training had
    marks: str  # the smallest hashes of these rows, hexadecimal digits, in ascending order

    def __post_init__(self) -> None:
        int(self.marks or "0", 16)
        if self.rows < 1 or not self.marks or len(self.marks) % _DIGITS:
            raise ValueError(f"a fingerprint of {self.rows} rows, expected marks of them")

    @property
    def hashes(self) -> list[str]:
        return [self.marks[at : at + _DIGITS] for at in range(0, len(self.marks), _DIGITS)]


def fingerprints_of(
    center: Sequence[str],
    speed_mph: npt.ArrayLike,
    throttle: npt.ArrayLike,
    steering: npt.ArrayLike,
    recording: npt.ArrayLike,
) -> list[Fingerprint]:
    """Return the fingerprint of each recording that has one of these rows.

    center: name of the centre image of each row
    speed_mph, throttle, steering: (rows,), as recorded
    recording: (rows,), the number of the recording of each row
    """
    hashes = _hashes(center, speed_mph, throttle, steering)
    numbers = np.asarray(recording)
    each = np.unique(numbers)
    if len(each) > _MOST_OF_ALL:
        return []
    most = min(max(_MOST_OF_ALL // max(len(each), 1), 1), _MOST_MARKS)
    found = []
    for number in each.tolist():
        of_one = np.unique(hashes[numbers == number])[:most]
        count = int((numbers == number).sum())
        found.append(Fingerprint(count, "".join(of_one.tolist())))
    return found


def merged(fingerprints: Iterable[Fingerprint]) -> list[Fingerprint]:
    """Return the fingerprints of several trainings, those of the same rows once, not too long."""
    different = {one.marks: one for one in fingerprints}
    most = max(_MOST_OF_ALL // max(len(different), 1), 1)
    return [
        Fingerprint(one.rows, one.marks[: most * _DIGITS])
        for one in list(different.values())[:_MOST_OF_ALL]
    ]


def share_known(
    known: Iterable[Fingerprint],
    center: Sequence[str],
    speed_mph: npt.ArrayLike,
    throttle: npt.ArrayLike,
    steering: npt.ArrayLike,
) -> float:
    """Return which share of these rows is from the recordings of the fingerprints, 0 to 1."""
    hashes = set(_hashes(center, speed_mph, throttle, steering).tolist())
    rows = 0.0
    for fingerprint in known:
        marks = fingerprint.hashes
        rows += fingerprint.rows * sum(mark in hashes for mark in marks) / len(marks)
    return min(rows / max(len(center), 1), 1.0)


def _hashes(
    center: Sequence[str],
    speed_mph: npt.ArrayLike,
    throttle: npt.ArrayLike,
    steering: npt.ArrayLike,
) -> npt.NDArray[np.str_]:
    """Return the hash of each row, as text of hexadecimal digits."""
    # a store keeps numbers in single precision
    numbers = np.abs(np.stack([speed_mph, throttle, steering], axis=1).astype(np.float32))
    texts = []
    for name, row in zip(center, numbers.tolist(), strict=True):
        text = f"{name} {' '.join(f'{number:.4g}' for number in row)}"
        digest = hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=4)
        texts.append(digest.hexdigest())
    return np.array(texts, f"<U{_DIGITS}")
