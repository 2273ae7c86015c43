"""Convert recordings of the simulator to a store, or use their samples without one.

    from bcclone import preprocess

    conversion = preprocess.convert(preprocess.PreprocessSettings(("recordings/lake",), Path("data.h5")), print)

Importing this is fast; the conversion loads OpenCV, HDF5 and pandas on first use.
"""

from typing import TYPE_CHECKING

from bcclone.lazy import lazy_attributes
from bcclone.preprocess.settings import Conversion, LogRead, PreprocessSettings, Skip
from bcclone.sample_settings import SampleSettings

if TYPE_CHECKING:
    from bcclone.preprocess.conversion import convert, open_in_place, open_samples
    from bcclone.preprocess.sharded import count_unfinished_shards

__all__ = [
    "Conversion",
    "LogRead",
    "PreprocessSettings",
    "SampleSettings",
    "Skip",
    "convert",
    "count_unfinished_shards",
    "open_in_place",
    "open_samples",
]

__getattr__ = lazy_attributes(
    __name__,
    dict.fromkeys(("convert", "open_in_place", "open_samples"), "conversion") | {"count_unfinished_shards": "sharded"},
)
