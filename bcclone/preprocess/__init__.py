"""Recordings -> store: settings, plan (which rows and images), convert (decode, sample, write).

Or, with in_place, the samples without a store.
"""

from bcclone.preprocess.convert import convert, open_in_place, stored_settings
from bcclone.preprocess.settings import Conversion, LogRead, PreprocessSettings

__all__ = ["Conversion", "LogRead", "PreprocessSettings", "convert", "open_in_place", "stored_settings"]
