"""Statistics of a LeRobot data set, meta/stats.json; its policies scale their inputs by them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bcclone.dataset.images import decode_image

_QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
_IMAGES_READ, _EVERY_PIXEL = 100, 4  # of each camera, about; every fourth pixel in a row and a column


class Statistics:
    """Collects the numbers of all frames, and the colours of some. features: as in info.json; rows: how many follow."""

    def __init__(self, features: Mapping[str, Mapping[str, Any]], rows: int) -> None:
        self._values: dict[str, list[Any]] = {
            name: [] for name, each in features.items() if each["dtype"] not in ("image", "string")
        }
        self._colors: dict[str, list[Any]] = {name: [] for name, each in features.items() if each["dtype"] == "image"}
        self._between, self._count = max(rows // _IMAGES_READ, 1), 0

    def add(self, record: Mapping[str, Any]) -> None:
        """Add a frame."""
        for name, values in self._values.items():
            values.append(np.atleast_1d(record[name]))
        if self._count % self._between == 0:
            for name, colors in self._colors.items():
                colors.append(decode_image(record[name]["bytes"])[::_EVERY_PIXEL, ::_EVERY_PIXEL].reshape(-1, 3) / 255)
        self._count += 1

    def as_json(self) -> dict[str, dict[str, Any]]:
        """Return the content of stats.json: numbers have the shape of the feature, colours (3, 1, 1), 0 to 1."""
        content: dict[str, dict[str, Any]] = {
            name: _statistics(np.array(values, np.float64)) for name, values in self._values.items()
        }
        for name, colors in self._colors.items():
            of_pixels = _statistics(np.concatenate(colors))
            shaped: dict[str, Any] = {key: [[[one]] for one in value] for key, value in of_pixels.items()}
            content[name] = shaped | {"count": [len(colors)]}
        return content


def _statistics(values: Any) -> dict[str, list[float]]:
    """Return the statistics of each column, ignoring NaN."""
    columns = np.where(np.isnan(values).all(axis=0), 0.0, values)
    statistics = {
        "min": np.nanmin(columns, axis=0), "max": np.nanmax(columns, axis=0),
        "mean": np.nanmean(columns, axis=0), "std": np.nanstd(columns, axis=0),
    }  # fmt: skip
    statistics |= {name: np.nanquantile(columns, share, axis=0) for name, share in _QUANTILES.items()}
    return {name: each.tolist() for name, each in statistics.items()} | {"count": [len(values)]}
